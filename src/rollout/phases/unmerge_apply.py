"""`unmerge`, second half: applies the approved plan, and goes on with one that was interrupted."""

from __future__ import annotations

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError, DriftError
from rollout.journal import audit_trail
from rollout.journal.apart import keep_apart
from rollout.journal.crosswalk import target_ids
from rollout.journal.plans import ApprovalRecord, PlanRecord, Plans
from rollout.load.runner import EntityLoad
from rollout.model.base import Frozen
from rollout.phases.approved import refuse_altered
from rollout.phases.context import PhaseContext
from rollout.phases.drift import drifted
from rollout.phases.leases import working_on
from rollout.phases.settle import load_scope, settle_open_lines
from rollout.phases.unmerge import KIND, unmerge_inputs

_APPLICABLE = ("approved", "loading", "applied")


class UnmergeSummary(Frozen):
    """A merged row that became a record of its own."""

    plan_id: str
    target: str
    entity: str
    source_key: str
    migration_key: str
    target_id: str | None = Field(description="The new record; None: it is not there, see `reasons`.")
    state: str = Field(description="applied | loading (run it again) | already_applied.")
    approved_by: str
    reasons: dict[str, int] = Field(description="Why it is not there, by `outcome/reason code`.")


def run_unmerge(context: PhaseContext, *, plan_id: str | None = None) -> UnmergeSummary:
    """Create the record, once its row has a migration key of its own and matching knows to leave it alone.

    Args:
        context: The phase's context.
        plan_id: The plan; None: the one that is under way, or else the one approved last.

    Raises:
        ConfigError: There is no such plan.
        ApprovalError: Nobody approved the plan as it is.
        DriftError: The target is another one than the plan was made for.
        LeaseHeld: Somebody else works on the target.
        Retryable: The target or the database cannot be reached; run it again.
    """
    target_name, _, target = context.target("load")
    plan, approval = _approved_plan(context, target_name, plan_id)
    if plan.state == "applied":
        return _summary(context, plan, approval, "already_applied")
    with working_on(context, target_name, target) as lease:
        plan, approval = _approved_plan(context, target_name, plan.plan_id)
        entity = plan.scope["entity"]
        if changes := drifted(plan.inputs, unmerge_inputs(context, target_name, plan.wave, entity)):
            raise DriftError(
                f"changed since plan {plan.plan_id} was made: {'; '.join(changes)}", hint="plan the unmerge again"
            )
        refuse_altered(context, plan)
        settle_open_lines(context, target_name, target, lease, but=plan.plan_id)
        with context.journal.running(KIND, entity=entity, wave=plan.wave) as run:
            _part(context, plan, approval)
            scope = load_scope(context, plan, entity, target, lease=lease, run_id=run.run_id)
            EntityLoad(scope, batch_rows=1, concurrency=1, max_conflict_share=1.0, advance=lambda _: None).run()
            plans, state = Plans(context.journal.project_id), "loading"
            with context.journal.transaction() as connection:
                lease.assert_fence(connection)
                if plans.is_done(connection, plan.plan_id):
                    plans.move(connection, plan.plan_id, "applied", before=("loading",))
                    state = "applied"
            summary = _summary(context, plan, approval, state)
            run.summary = summary.model_dump(mode="json")
    return summary


def _approved_plan(context: PhaseContext, target_name: str, plan_id: str | None) -> tuple[PlanRecord, ApprovalRecord]:
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        if plan_id:
            plan = plans.get(connection, plan_id)
        else:
            plan = plans.latest(connection, target_name, ("loading",), kinds=(KIND,))
            plan = plan or plans.latest_approved(connection, target_name, _APPLICABLE, kinds=(KIND,))
        if plan is None or plan.kind != KIND or plan.target != target_name:
            told = f"'{plan_id}' is no unmerge of target '{target_name}'" if plan_id else "no unmerge is approved"
            raise (ConfigError if plan_id else ApprovalError)(
                told, hint="plan one with `rollout unmerge KEY`, then `rollout approve`"
            )
        approval = plans.approval(connection, plan)
    if plan.state == "superseded":
        raise ApprovalError(f"a newer plan took the place of plan {plan.plan_id}", hint="plan the unmerge again")
    if approval is None or plan.state not in _APPLICABLE:
        raise ApprovalError(f"plan {plan.plan_id} is not approved", hint=f"rollout approve --plan {plan.plan_id}")
    return plan, approval


def _part(context: PhaseContext, plan: PlanRecord, approval: ApprovalRecord) -> None:
    """Give the row its own key and keep it apart, together with the plan's beginning: a crash leaves all or nothing."""
    project, plans = context.journal.project_id, Plans(context.journal.project_id)
    entity, source_key = plan.scope["entity"], plan.scope["source_key"]
    begins = plan.state != "loading"
    with context.journal.transaction() as connection:
        plans.move(connection, plan.plan_id, "loading", before=("approved", "loading"))
        keep_apart(connection, project, entity, source_key, _migration_key(context, plan), plan_id=plan.plan_id)
        if begins:
            detail = {"entity": entity, "plan_id": plan.plan_id, "reason": approval.reason, **plan.scope}
            audit_trail.append(connection, project, approval.person, "record.unmerged", source_key, detail)


def _migration_key(context: PhaseContext, plan: PlanRecord) -> str:
    with context.journal.transaction() as connection:
        batches = Plans(context.journal.project_id).identities(connection, plan.plan_id, plan.scope["entity"])
        return next(identity[0] for batch in batches for identity in batch)


def _summary(context: PhaseContext, plan: PlanRecord, approval: ApprovalRecord, state: str) -> UnmergeSummary:
    entity, key = plan.scope["entity"], _migration_key(context, plan)
    with context.journal.transaction() as connection:
        found = target_ids(connection, context.journal.project_id, entity, plan.target, [key])
        reasons = Plans(context.journal.project_id).reasons(connection, plan.plan_id)
    return UnmergeSummary(
        plan_id=plan.plan_id,
        target=plan.target,
        entity=entity,
        source_key=plan.scope["source_key"],
        migration_key=key,
        target_id=found.get(key),
        state=state,
        approved_by=approval.person,
        reasons=reasons.get(entity, {}),
    )
