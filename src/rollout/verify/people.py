"""What the answers of people who compared records prove: a bound of its own beside the machine's. Pure.

The bound is the same exact one as the machine's (`rollout.verify.sample`), and holds only if everybody who was asked
answered: whoever finds something wrong may be slower to answer than who does not. So a sample with open lines proves
nothing, unless what was found wrong is too much whatever the others say.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.verdict import Measurement
from rollout.verify.sample import bound

BOUND, CHECKED = "people_wrong_bound", "people_checked"
"""The metrics that people's answers are judged by."""


class PeopleResult(Frozen):
    """What people's answers about one entity prove."""

    entity: str
    population: int = Field(description="Loaded records.")
    asked: int = Field(description="Records that were drawn for people.")
    checked: int = Field(description="Of them those that somebody called right or wrong as they are now.")
    wrong: int
    lapsed: int = Field(description="Of the open ones those that were checked and loaded with other values since.")
    bound: float | None = Field(
        description="At most this share of the loaded records is wrong (0 to 1); None: answers are missing."
    )
    at_best: float | None = Field(description="The bound if all open lines turn out right; None: nothing was drawn.")
    confidence: float

    @property
    def open(self) -> int:
        """Records that nobody called right or wrong as they are now."""
        return self.asked - self.checked


def people_result(
    entity: str, population: int, *, asked: int, right: int, wrong: int, lapsed: int, confidence: float
) -> PeopleResult:
    """What ``right`` and ``wrong`` answers of ``asked`` records prove about ``population`` of them.

    Raises:
        ValueError: The figures contradict each other.
    """
    if right + wrong > asked:
        raise ValueError(f"{right} + {wrong} answers about {asked} records")
    at_best = bound(population, asked, wrong, confidence=confidence).bound
    return PeopleResult(
        entity=entity,
        population=population,
        asked=asked,
        checked=right + wrong,
        wrong=wrong,
        lapsed=lapsed,
        bound=at_best if right + wrong == asked else None,
        at_best=at_best,
        confidence=confidence,
    )


def people_measurements(results: Sequence[PeopleResult], *, limit: float) -> list[Measurement]:
    """The bound of the worst entity, and the share of the lines that were answered.

    Entities of which nothing was loaded have nothing to check. As long as answers are missing there is no evidence;
    but what was found wrong is told as soon as it is more than ``limit`` allows, whatever the others say.

    Args:
        results: By entity.
        limit: Share (0 to 1) that the bound must not exceed.
    """
    drawn = [result for result in results if result.asked]
    asked, checked = sum(result.asked for result in drawn), sum(result.checked for result in drawn)
    bounds = [result.bound for result in drawn if result.bound is not None]
    certain = [result.at_best for result in drawn if result.at_best is not None and result.at_best > limit]
    complete = bool(drawn) and len(bounds) == len(drawn)
    return [
        Measurement(
            metric=BOUND,
            value=max(bounds) if complete else max(certain, default=None),
            evidence=checked,
            detail=", ".join(map(_told, drawn)) or "nothing was loaded that people could check",
        ),
        Measurement(
            metric=CHECKED,
            value=checked / asked if asked else None,
            evidence=checked if complete else 0,
            detail=f"{checked} of {asked} lines answered",
        ),
    ]


def _told(result: PeopleResult) -> str:
    proven = f"{result.open} open" if result.bound is None else f"at most {result.bound:.2%} of {result.population}"
    return f"{result.entity}: {result.wrong} of {result.checked} wrong, {proven}"
