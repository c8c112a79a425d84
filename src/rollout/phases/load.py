"""`load`: applies the approved plan, and nothing but it (promises 2 and 3)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError, DriftError
from rollout.journal.crypto import canonical_json
from rollout.journal.leases import Lease, hold
from rollout.journal.plans import PlanRecord, Plans
from rollout.journal.rows import RowStates
from rollout.load.plan import PlanHash
from rollout.load.runner import EntityLoad
from rollout.load.work import LoadScope
from rollout.model.base import Frozen
from rollout.model.outcome import LOADED, Accounting
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.drift import drifted, plan_inputs
from rollout.phases.settle import lease_ttl_s, load_lease, settle_open_lines
from rollout.project.spec import TargetSpec


class LoadSummary(Frozen):
    """What a load did. ``entities`` is the conservation table."""

    plan_id: str
    plan_hash: str
    target: str
    wave: str
    state: str = Field(description="applied | loading (rows are open: run it again) | already_applied.")
    approved_by: str
    entities: dict[str, Accounting]
    accounted: bool = Field(description="Every source row of every entity is in exactly one bucket.")
    closed: bool = Field(description="And none of them is waiting or unknown.")
    reasons: dict[str, dict[str, int]] = Field(description="Rejected, in conflict, waiting, unknown: by reason code.")
    rows: int = Field(description="Rows this run decided.")
    seconds: float
    rows_per_s: float


def run_load(
    context: PhaseContext, *, plan_id: str | None = None, entities: Sequence[str] | None = None
) -> LoadSummary:
    """Apply a plan, or go on with it where an earlier run stopped.

    Args:
        context: The phase's context.
        plan_id: The plan; None: the latest approved one.
        entities: Only these, in the project's load order; None: all.

    Raises:
        ApprovalError: Nobody approved the plan as it is.
        DriftError: Sources, mapping, rules or target schema changed since; or too many rows are in conflict.
        LeaseHeld: Another load of this target is under way.
        Retryable: The target or the database cannot be reached; what was done is kept, run it again.
    """
    target_name, target_spec, target = context.target("load")
    journal, plans = context.journal, Plans(context.journal.project_id)
    with journal.transaction() as connection:
        plan = _choose(plans.get(connection, plan_id), plan_id) if plan_id else None
        plan = plan or plans.latest(connection, target_name, ("approved", "loading", "applied"))
        if plan is None:
            raise ApprovalError("no plan is approved", hint="run `rollout plan`, then `rollout approve`")
        approval = plans.approval(connection, plan)
    if approval is None:
        raise ApprovalError(f"plan {plan.plan_id} is not approved", hint=f"rollout approve --plan {plan.plan_id}")
    if plan.target != target_name:
        raise ConfigError(f"plan {plan.plan_id} is for target '{plan.target}'", hint="make a plan for this target")
    begun_s = time.perf_counter()
    if plan.state == "applied":
        return _summary(context, plan, approval.person, "already_applied", 0, 0.0)
    with hold(journal, load_lease(target_name), ttl_s=lease_ttl_s(target)) as lease:
        _refuse_drift(context, plan, target)
        _refuse_altered(context, plan)
        settle_open_lines(context, target_name, target, lease, but=plan.plan_id)
        with journal.running("load", wave=plan.wave) as run:
            with journal.transaction() as connection:
                plans.set_state(connection, plan.plan_id, "loading")
            order = [name for name in context.project.spec.load_order if entities is None or name in entities]
            rows = sum(
                _load_entity(context, plan, name, target, target_spec, lease=lease, run_id=run.run_id) for name in order
            )
            with journal.transaction() as connection:
                done = plans.is_done(connection, plan.plan_id)
                if done:
                    plans.set_state(connection, plan.plan_id, "applied")
            summary = _summary(
                context, plan, approval.person, "applied" if done else "loading", rows, time.perf_counter() - begun_s
            )
            run.summary = summary.model_dump(mode="json")
    return summary


def _choose(plan: PlanRecord | None, plan_id: str) -> PlanRecord:
    if plan is None:
        raise ConfigError(f"there is no plan '{plan_id}' in this project", hint="run `rollout plan` to make one")
    return plan


def _refuse_drift(context: PhaseContext, plan: PlanRecord, target: TargetConnector) -> None:
    changes = drifted(plan.inputs, plan_inputs(context, target))
    if changes:
        raise DriftError(
            f"changed since plan {plan.plan_id} was made: {'; '.join(changes)}",
            hint="run `rollout cleanse` and `rollout plan`, and have the new plan approved",
        )


def _refuse_altered(context: PhaseContext, plan: PlanRecord) -> None:
    """The rows must be those that were approved."""
    found = PlanHash(canonical_json(plan.inputs))
    with context.journal.transaction() as connection:
        for entity in plan.counts_in_order(context.project.spec.load_order):
            found.add(entity, Plans(context.journal.project_id).identities(connection, plan.plan_id, entity))
    if found.hexdigest() != plan.plan_hash:
        raise DriftError(
            f"the rows of plan {plan.plan_id} are not those that were approved",
            hint="the journal was altered: keep a copy for the audit, then make a new plan",
        )


def _load_entity(
    context: PhaseContext,
    plan: PlanRecord,
    entity: str,
    target: TargetConnector,
    target_spec: TargetSpec,
    *,
    lease: Lease,
    run_id: str,
) -> int:
    capabilities = target.capabilities
    with shown(context.progress, f"load {entity}", sum(plan.counts[entity].values()), "rows") as progress:
        scope = LoadScope(
            journal=context.journal,
            plan=plan,
            entity=entity,
            target=target,
            sealer=context.journal.sealer(plan.key_id),
            lease=lease,
            states=RowStates(plan.plan_id, entity, run_id),
            clock=context.clock,
            sleep=time.sleep,
            max_attempts=target_spec.max_attempts,
        )
        load = EntityLoad(
            scope,
            batch_rows=min(target_spec.batch_rows or capabilities.max_batch_rows, capabilities.max_batch_rows),
            concurrency=min(target_spec.concurrency or capabilities.concurrency, capabilities.concurrency),
            max_conflict_share=target_spec.max_conflict_share,
            advance=progress.advance,
        )
        load.run()
    return load.states.total()


def _summary(
    context: PhaseContext, plan: PlanRecord, approved_by: str, state: str, rows: int, seconds: float
) -> LoadSummary:
    table = context.journal.accounting(plan.target, wave=plan.wave)
    with context.journal.transaction() as connection:
        reasons = Plans(context.journal.project_id).reasons(connection, plan.plan_id)
    if state == "already_applied":
        table = [_as_unchanged(line) for line in table]
    return LoadSummary(
        plan_id=plan.plan_id,
        plan_hash=plan.plan_hash,
        target=plan.target,
        wave=plan.wave,
        state=state,
        approved_by=approved_by,
        entities={line.entity: line for line in table},
        accounted=bool(table) and all(line.accounted for line in table),
        closed=bool(table) and all(line.closed for line in table),
        reasons=reasons,
        rows=rows,
        seconds=round(seconds, 3),
        rows_per_s=round(rows / seconds, 1) if seconds else 0.0,
    )


def _as_unchanged(line: Accounting) -> Accounting:
    """A plan that is already applied changes nothing when it is loaded again: what it loaded is unchanged now."""
    moved = Counter({bucket.value: line.bucket(bucket) for bucket in LOADED})
    return line.model_copy(update={**dict.fromkeys(moved, 0), "unchanged": moved.total()})
