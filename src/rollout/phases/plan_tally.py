"""What a plan does with an entity, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from rollout.load.plan import LOADING, Action, PlannedRow
from rollout.model.base import Frozen


class EntityPlan(Frozen):
    """What the plan does with one entity."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    conflict: int = 0
    adopt: int = Field(default=0, description="Records that people created in the target and that become ours.")
    skip: int = Field(default=0, description="Rows that a named person said are not to be loaded.")
    fields: dict[str, int] = Field(default_factory=dict, description="Values that are changed or filled, by field.")
    kept: dict[str, int] = Field(default_factory=dict, description="Fields in which people's value stays.")
    overwrites: dict[str, int] = Field(
        default_factory=dict, description="Fields in which the source's value takes the place of people's."
    )
    conflicts: dict[str, int] = Field(default_factory=dict, description="Conflicts by reason code.")
    learn: int = Field(default=0, description="Unchanged rows of which the journal learns that both sides agree.")
    waits: int = Field(default=0, description="Records that will wait: a parent's earlier wave did not load it yet.")


class Tally:
    """Counts what a plan does with an entity."""

    def __init__(self) -> None:
        self._actions: Counter[Action] = Counter()
        self._fields: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._overwrites: Counter[str] = Counter()
        self._conflicts: Counter[str] = Counter()
        self._learn = 0

    def add(self, planned: Sequence[PlannedRow]) -> None:
        """Count further rows."""
        for row in planned:
            action = row.action
            self._actions[action] += 1
            if row.kept:
                self._kept.update(row.kept)
            if action is Action.UPDATE or action is Action.ADOPT:
                self._fields.update(list(row.old))
                self._overwrites.update(row.overwrites)
            elif action is Action.UNCHANGED and row.agreed:
                self._learn += 1
            elif action is Action.CONFLICT:
                self._conflicts[row.reason_code or ""] += 1

    def told(self, *, waits: int) -> EntityPlan:
        """What was counted."""
        return EntityPlan(
            **{action.value: self._actions[action] for action in LOADING},
            fields=dict(self._fields),
            kept=dict(self._kept),
            overwrites=dict(self._overwrites),
            conflicts=dict(self._conflicts),
            learn=self._learn,
            waits=waits,
        )
