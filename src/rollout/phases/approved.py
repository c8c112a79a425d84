"""What must hold before a plan is applied: it is the one that a named person approved, row by row."""

from __future__ import annotations

from rollout.errors import DriftError
from rollout.journal.crypto import canonical_json
from rollout.journal.plans import PlanRecord, Plans
from rollout.load.plan import PlanHash
from rollout.phases.context import PhaseContext


def refuse_altered(context: PhaseContext, plan: PlanRecord) -> None:
    """Raise DriftError unless the plan's rows are those that were approved."""
    found = PlanHash(canonical_json(plan.inputs))
    with context.journal.transaction() as connection:
        for entity in plan.order:
            for batch in Plans(context.journal.project_id).identities(connection, plan.plan_id, entity):
                found.add(entity, batch)
    if found.hexdigest() != plan.plan_hash:
        raise DriftError(
            f"the rows of plan {plan.plan_id} are not those that were approved",
            hint="the journal was altered: keep a copy for the audit, then make a new plan",
        )
