"""Health of the data as figures that can be recomputed, and one score of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rollout.assess.model import EntityProfile, Ratio, SourceProfile

WEIGHTS: Mapping[str, int] = MappingProxyType(
    {"completeness": 25, "validity": 25, "distinctness": 20, "integrity": 20, "freshness": 10}
)
"""What counts for the score, and how much. What cannot be judged counts for nothing, and the others for more."""

HEALTH = (*WEIGHTS, "uniqueness", "readiness")
"""All figures, in the order in which they are printed."""

_OF_SOURCES = ("completeness", "validity", "integrity", "uniqueness", "readiness")


def health_of(entities: Iterable[EntityProfile]) -> dict[str, Ratio]:
    """The figures over some entities together."""
    entities = tuple(entities)
    found = {name: _total(getattr(source, name) for one in entities for source in one.sources) for name in _OF_SOURCES}
    found["distinctness"] = _total(distinctness(entity) for entity in entities)
    found["freshness"] = _total(freshness(entity) for entity in entities)
    return {name: found[name] for name in HEALTH}


def health_of_source(source: SourceProfile) -> dict[str, Ratio]:
    """The figures that a source has by itself."""
    return {name: getattr(source, name) for name in HEALTH if name in _OF_SOURCES}


def distinctness(entity: EntityProfile) -> Ratio:
    """Records that are left when all duplicates are merged, likely ones too, of all records that can be judged."""
    if entity.figures is None or not entity.figures.duplicates.is_judged:
        return Ratio(part=0, whole=0)
    return Ratio(part=entity.figures.duplicates.unique, whole=entity.figures.duplicates.records)


def freshness(entity: EntityProfile) -> Ratio:
    """Records that something happened with lately, of all records of entities that can be dormant."""
    dormancy = entity.figures.dormancy if entity.figures else None
    if dormancy is None:
        return Ratio(part=0, whole=0)
    return Ratio(part=dormancy.records - dormancy.dormant, whole=dormancy.records)


def score(health: Mapping[str, Ratio]) -> float | None:
    """0 to 100: the weighted mean of the shares that can be judged; None where none can."""
    shares = {name: share for name in WEIGHTS if (share := health[name].share) is not None}
    weight = sum(WEIGHTS[name] for name in shares)
    return 100 * sum(WEIGHTS[name] * share for name, share in shares.items()) / weight if weight else None


def _total(ratios: Iterable[Ratio]) -> Ratio:
    total = Ratio(part=0, whole=0)
    for ratio in ratios:
        total += ratio
    return total
