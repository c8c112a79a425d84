"""What one plan does with a record that another plan, of another target, does not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from rollout.load.plan import PlannedRow


class Difference(StrEnum):
    """How two plans differ about a record."""

    ACTION = "other_action"
    """One creates it, say, where the other finds it there; or both leave it to people, for other reasons."""
    VALUES = "other_values"
    """The same is done with it, and what it says afterwards differs."""
    ONLY_HERE = "only_here"
    ONLY_THERE = "only_there"


class RowDifference(NamedTuple):
    """How two plans differ about one record; fields by name, never values."""

    kind: Difference
    fields: tuple[str, ...] = ()


def compared(here: PlannedRow, there: PlannedRow) -> RowDifference | None:
    """How two rows of one record differ; None: they do the same.

    What a target held before, and under which id, is its own: it counts only by what the plan makes of it.
    """
    if (here.action, here.reason_code) != (there.action, there.reason_code):
        return RowDifference(Difference.ACTION)
    ours, theirs = _effect(here), _effect(there)
    fields = tuple(sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)))
    return RowDifference(Difference.VALUES, fields) if fields else None


def _effect(row: PlannedRow) -> Mapping[str, tuple[object, ...]]:
    """By field what happens to it: people's value stays, or it is set, over people's value or not."""
    effect: dict[str, tuple[object, ...]] = dict.fromkeys(row.kept, ("stays",))
    for name, value in {**row.new, **row.references, **row.deferred}.items():
        effect[name] = ("set", value, name in row.overwrites, name in row.clashing)
    return effect
