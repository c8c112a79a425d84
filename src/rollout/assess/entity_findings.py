"""What is noticed about an entity as a whole → findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollout.assess.entity_model import Dormancy, Duplicates, EntityFigures
from rollout.model.finding import Finding, Level


def findings_of_figures(name: str, figures: EntityFigures) -> Iterator[Finding]:
    """The findings of an entity's figures, at the entity's name."""
    yield from _of_duplicates(name, figures.duplicates)
    if figures.dormancy is not None:
        yield from _of_dormancy(name, figures.dormancy)
    if figures.owners is not None and figures.owners.pool:
        yield _found(
            "assess.owner_pool",
            Level.INFO,
            name,
            figures.owners.pool,
            f"rows of {figures.owners.leavers} people who left without a successor",
            "they go to the pool; name successors in the owner map where there are any",
            names=figures.owners.leavers,
        )
    if figures.volumes is not None and figures.volumes.ahead:
        yield _found(
            "assess.date_ahead",
            Level.WARNING,
            f"{name}/{figures.volumes.label or figures.volumes.field}",
            figures.volumes.ahead,
            "records dated after today",
            "correct the dates; they are no sign that a record is alive",
        )


def _of_duplicates(name: str, duplicates: Duplicates) -> Iterator[Finding]:
    if duplicates.exact:
        yield _found(
            "assess.duplicates_exact",
            Level.INFO,
            name,
            duplicates.exact,
            "records that agree with an earlier one on an exact key",
            "they are merged into one record, and every merge says why",
        )
    if duplicates.likely:
        yield _found(
            "assess.duplicates_likely",
            Level.WARNING,
            name,
            duplicates.likely,
            "further records that are likely the same as another one",
            "plan time for people to review such pairs",
            estimated=duplicates.sampled is not None,
        )


def _of_dormancy(name: str, dormancy: Dormancy) -> Iterator[Finding]:
    if dormancy.dormant:
        yield _found(
            "assess.dormant",
            Level.WARNING,
            name,
            dormancy.dormant,
            f"records without any contact since {dormancy.cutoff.isoformat()}",
            "decide before a plan is made: load them frozen, give them to the pool, or leave them out",
            cutoff=dormancy.cutoff.isoformat(),
            years=f"{dormancy.after_years:g}",
            never=dormancy.never,
        )


def _found(id_: str, level: Level, where: str, count: int, message: str, hint: str, **detail: Any) -> Finding:
    return Finding(
        id=id_, level=level, message=f"{message}: {count}", where=where, hint=hint, count=count, detail=detail
    )
