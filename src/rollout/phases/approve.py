"""`approve`: a named person puts their name to a plan, with a personal code and a reason (promise 2)."""

from __future__ import annotations

from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal import audit_trail, people
from rollout.journal.plans import Plans
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext


class ApprovalSummary(Frozen):
    """An approval."""

    plan_id: str
    plan_hash: str
    kind: str = Field(description="Of the plan: load | delta | retry | undo | unmerge.")
    person: str
    reason: str


def approve(
    context: PhaseContext, *, person: str, code: str, reason: str, plan_id: str | None = None
) -> ApprovalSummary:
    """Approve a plan; None: the latest one that waits for approval.

    Raises:
        ApprovalError: Wrong code, unknown person, no reason, or the plan can no longer be approved.
        ConfigError: There is no such plan.
    """
    target_name, _, _ = context.target("plan")
    journal, plans = context.journal, Plans(context.journal.project_id)
    people.sign(journal, person, code, reason)
    with journal.transaction() as connection:
        plan = plans.get(connection, plan_id) if plan_id else plans.latest(connection, target_name, ("proposed",))
        if plan is None:
            raise ConfigError(
                f"there is no plan '{plan_id}'" if plan_id else "no plan waits for approval",
                hint="run `rollout plan` to make one",
            )
        plans.approve(connection, plan, person=person, reason=reason)
        audit_trail.append(
            connection,
            journal.project_id,
            person,
            "plan.approved",
            plan.plan_id,
            {"plan_hash": plan.plan_hash, "reason": reason},
        )
    return ApprovalSummary(plan_id=plan.plan_id, plan_hash=plan.plan_hash, kind=plan.kind, person=person, reason=reason)
