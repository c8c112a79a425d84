"""Decisions of people that a later plan finds not carried out yet: they hold while both sides are as the person saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rollout.errors import ConfigError
from rollout.journal.plans import Plans
from rollout.journal.row_decisions import RowDecision
from rollout.load.adopt import Adoptions
from rollout.load.plan import PlannedRow
from rollout.load.work import row_place
from rollout.model.choice import AS_BEFORE, WITH_ID, Choice
from rollout.phases.context import PhaseContext
from rollout.phases.repairs import Repairs


class Standing:
    """Finds the decisions that still hold about rows in conflict.

    Args:
        context: The phase's context.
        repairs: The newest decisions.
    """

    def __init__(self, context: PhaseContext, repairs: Repairs) -> None:
        self._journal = context.journal
        self._repairs = repairs

    def about(self, entity: str, row: PlannedRow) -> Mapping[str, Choice]:
        """By field whose value counts; only fields in which both sides hold what the person saw when they decided."""
        decision = self._repairs.of(entity).get(row.migration_key)
        if decision is None or not decision.by_field:
            return {}
        seen = self._seen(entity, decision)
        now = row.payload()
        return {
            name: choice
            for name, choice in decision.by_field.items()
            if name in row.clashing and seen and _sides(seen, name) == _sides(now, name)
        }

    def _seen(self, entity: str, decision: RowDecision) -> Mapping[str, Any] | None:
        """The row that the decision was about; None where its values were destroyed in the meantime."""
        plans = Plans(self._journal.project_id)
        with self._journal.transaction() as connection:
            plan = plans.get(connection, decision.plan_id)
            if plan is None:
                return None
            stored = plans.rows_by_key(connection, plan.plan_id, entity, [decision.migration_key])
        found = stored.get(decision.migration_key)
        if found is None:
            return None
        try:
            sealer = self._journal.sealer(plan.key_id)
        except ConfigError:
            return None
        opened: Mapping[str, Any] = sealer.open(found.payload, row_place(plan.plan_id, entity, decision.migration_key))
        return opened


def _sides(payload: Mapping[str, Any], name: str) -> tuple[object, ...]:
    """Our value and theirs, as a row's payload has them."""
    return tuple(payload.get(part, {}).get(name) for part in ("new", "references", "deferred", "old"))


def decided_adoptions(found: Adoptions, decisions: Iterable[RowDecision]) -> Adoptions:
    """Adoptions with what people decided: which record it is, or that a record of its own is to be made."""
    pairs, ambiguous = dict(found.found), dict(found.ambiguous)
    for decision in decisions:
        if decision.action in (*WITH_ID, Choice.USE_LEGACY) or decision.target_id:
            ambiguous.pop(decision.golden_key, None)
            pairs.pop(decision.golden_key, None)
        if decision.action in (*WITH_ID, *AS_BEFORE) and decision.target_id:
            pairs[decision.golden_key] = decision.target_id
    return Adoptions(pairs, ambiguous)
