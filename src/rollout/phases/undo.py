"""`undo`, second half: applies the approved plan, and goes on with one that was interrupted (promise 4)."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError, DriftError
from rollout.journal.history import count_undone, loaded_since, retire
from rollout.journal.leases import Lease
from rollout.journal.plans import ApprovalRecord, PlanRecord, Plans
from rollout.journal.rows import rows_written
from rollout.journal.syncs import Syncs
from rollout.load.exposure import Exposure, UnprotectedWindow
from rollout.load.machine import RowState
from rollout.load.plan import Action
from rollout.load.runner import EntityLoad
from rollout.model.base import Frozen
from rollout.model.verdict import GateResult
from rollout.phases.approved import refuse_altered
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.drift import drifted
from rollout.phases.leases import working_on
from rollout.phases.pace import calls_at_once, few_collections, rows_a_call
from rollout.phases.quota import refuse_what_cannot_finish
from rollout.phases.settle import load_scope, settle_open_lines
from rollout.phases.undo_make import undo_inputs, without_syncs
from rollout.phases.undo_rehearsal import judge_rehearsal
from rollout.phases.undo_report import LISTED, LeftRecord, left_records, write_left
from rollout.phases.undo_window import windows

APPLICABLE = ("approved", "loading", "applied")
"""States of a plan that an undo may be asked for."""


class UndoCounts(Frozen):
    """What became of the records. A record is in one of these, but for `conflicts`, which may be restored in part."""

    deleted: int = Field(default=0, description="Created by the load, gone now.")
    already_gone: int = Field(default=0, description="Of the deleted, those that people had deleted before us.")
    restored: int = Field(default=0, description="Fields went back to what they were.")
    released: int = Field(default=0, description="Given back to the people who had made them.")
    kept: int = Field(default=0, description="Left as they are, for people have worked on them since.")
    conflicts: int = Field(default=0, description="People changed fields since: those were left alone.")
    unknown: int = Field(default=0, description="What the last call did is not known yet: run it again.")
    open: int = Field(default=0, description="Still to be done: run it again.")


class UndoSummary(UndoCounts):
    """What an undo did, over all runs of its plan."""

    plan_id: str
    plan_hash: str
    target: str
    wave: str
    state: str = Field(description="applied | loading (records are open: run it again) | already_applied.")
    approved_by: str
    kept_records: tuple[LeftRecord, ...] = Field(description=f"The first {LISTED}; the file has all.")
    conflict_records: tuple[LeftRecord, ...] = Field(description=f"The first {LISTED}; the file has all.")
    file: str = Field(description="All records that were left, relative to the workspace; personal data masked.")
    syncs_reset: tuple[str, ...] = Field(
        default=(), description="Syncs of whose records some were deleted along: they read from the beginning again."
    )
    gate: GateResult | None = Field(default=None, description="Of a rehearsal: whether an undo fits its window.")
    unprotected: UnprotectedWindow = Field(
        default=UnprotectedWindow(), description="How long edits of people could have been overwritten unseen."
    )
    rows: int = Field(description="Rows that this run decided.")
    seconds: float
    rows_per_s: float


def run_undo(context: PhaseContext, *, plan_id: str | None = None) -> UndoSummary:
    """Apply an undo, or go on with it where an earlier run stopped.

    Args:
        context: The phase's context.
        plan_id: The plan; None: the one that is under way, or else the one approved last.

    Raises:
        ConfigError: There is no such plan, or it is of another kind or target.
        ApprovalError: Nobody approved the plan as it is, or it is too late.
        DriftError: The target is another one than the plan was made for.
        LeaseHeld: Somebody else works on the target.
        Retryable: The target or the database cannot be reached; what was done is kept, run it again.
    """
    target_name, _, target = context.target("load")
    begun_s = time.perf_counter()
    plan, approval = _approved_plan(context, target_name, plan_id)
    if plan.state == "applied":
        return _summary(context, plan, approval, target, state="already_applied", rows=0, seconds=0.0)
    with few_collections(), working_on(context, target_name, target) as lease, without_syncs(context, target_name):
        plan, approval = _approved_plan(context, target_name, plan.plan_id)
        _refuse_late(context, plan)
        _refuse_drift(context, plan, target)
        refuse_altered(context, plan)
        refuse_what_cannot_finish(context, plan, target)
        settle_open_lines(context, target_name, target, lease, but=plan.plan_id)
        with context.journal.running("undo", wave=plan.wave) as run:
            rows, reset, exposure = _apply(context, plan, target, lease, run.run_id)
            state = _finish(context, plan, lease)
            summary = _summary(
                context, plan, approval, target, state=state, rows=rows, seconds=time.perf_counter() - begun_s
            ).model_copy(update={"syncs_reset": reset, "unprotected": exposure.window})
            if plan.scope["rehearse"] and state == "applied":
                gate = judge_rehearsal(context, plan, run.run_id, _taken(summary), _left(summary))
                summary = summary.model_copy(update={"gate": gate})
            listless = {"kept_records", "conflict_records"}  # the file has them, and the journal
            run.summary = summary.model_dump(mode="json", exclude=listless)
    return summary


def _approved_plan(context: PhaseContext, target_name: str, plan_id: str | None) -> tuple[PlanRecord, ApprovalRecord]:
    """The plan to apply, as it is now, and who approved exactly that."""
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        if plan_id:
            plan = plans.get(connection, plan_id)
        else:
            plan = plans.latest(connection, target_name, ("loading",), kinds=("undo",))
            plan = plan or plans.latest_approved(connection, target_name, APPLICABLE, kinds=("undo",))
        if plan is None or plan.kind != "undo" or plan.target != target_name:
            told = f"'{plan_id}' is no undo of target '{target_name}'" if plan_id else "no undo is approved"
            raise (ConfigError if plan_id else ApprovalError)(
                told, hint="plan one with `rollout undo --wave W` or `--run R`, then `rollout approve`"
            )
        approval = plans.approval(connection, plan)
    if plan.state == "superseded":
        raise ApprovalError(f"a newer plan took the place of plan {plan.plan_id}", hint="plan the undo again")
    if approval is None or plan.state not in APPLICABLE:
        raise ApprovalError(f"plan {plan.plan_id} is not approved", hint=f"rollout approve --plan {plan.plan_id}")
    return plan, approval


def _refuse_late(context: PhaseContext, plan: PlanRecord) -> None:
    """What has begun may be finished at any time; nothing is begun when its time is over."""
    if plan.state == "loading":
        return
    found = windows(context, list(plan.scope["plans"]))
    over = sorted(plan_id for plan_id, window in found.items() if window.is_over(context.clock()))
    if over:
        raise ApprovalError(
            f"it is too late to take back plan {', '.join(over)}: the undo window of"
            f" {context.project.spec.retention.undo_window_h} h is over",
            hint="correct the records in the CRM, or load again",
        )


def _refuse_drift(context: PhaseContext, plan: PlanRecord, target: TargetConnector) -> None:
    now = undo_inputs(context, plan.target, target, plan.wave, tuple(plan.order))
    changes = drifted(plan.inputs, now)
    if plan.state != "loading":
        with context.journal.transaction() as connection:
            since = loaded_since(connection, context.journal.project_id, plan.target, plan.scope["after_run"])
        changes += [f"the target, which plan {loaded} was loaded into" for loaded in since]
    if changes:
        raise DriftError(
            f"changed since plan {plan.plan_id} was made: {'; '.join(changes)}",
            hint="plan the undo again, and have the new plan approved",
        )


def _apply(
    context: PhaseContext, plan: PlanRecord, target: TargetConnector, lease: Lease, run_id: str
) -> tuple[int, tuple[str, ...], Exposure]:
    """Take every row to an outcome; answers how many were decided, the syncs that read anew, and what was exposed."""
    plans, journal = Plans(context.journal.project_id), context.journal
    with journal.transaction() as connection:
        plans.move(connection, plan.plan_id, "loading", before=("approved", "loading"))
        plans.supersede_loads(connection, plan.plan_id, plan.target, plan.wave)
        retire(connection, plan.scope["plans"])
    rows, waiting, exposure = 0, -1, Exposure()
    while True:
        # What refers to each other within an entity goes level by level: what still waits comes round once more.
        before, waiting = waiting, 0
        for entity in plan.order:
            applied = _apply_entity(context, plan, entity, target, lease=lease, run_id=run_id)
            exposure.add(applied.exposure)
            decided = applied.states
            waiting += decided[RowState.WAITING]
            rows += sum(decided.values()) - decided[RowState.WAITING]
        if waiting in (0, before):
            break
    with journal.transaction() as connection:
        lease.assert_fence(connection)
        reset = Syncs(journal.project_id, plan.target).forget_undone(connection, plan.plan_id)
    return rows, tuple(reset), exposure


def _apply_entity(
    context: PhaseContext, plan: PlanRecord, entity: str, target: TargetConnector, *, lease: Lease, run_id: str
) -> EntityLoad:
    settings = context.project.spec.targets[plan.target]
    planned = sum(plan.counts.get(entity, {}).values())
    with shown(context.progress, f"undo {entity}", planned, "rows") as progress:
        load = EntityLoad(
            load_scope(context, plan, entity, target, lease=lease, run_id=run_id, max_attempts=settings.max_attempts),
            batch_rows=rows_a_call(settings, target.capabilities),
            concurrency=calls_at_once(settings, target.capabilities),
            max_conflict_share=1.0,  # what people changed since is left alone, however much it is
            advance=progress.advance,
        )
        load.run()
    return load


def _finish(context: PhaseContext, plan: PlanRecord, lease: Lease) -> str:
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        rows_written(connection)
        lease.assert_fence(connection)
        if not plans.is_done(connection, plan.plan_id):
            return "loading"
        plans.move(connection, plan.plan_id, "applied", before=("loading",))
    return "applied"


def _summary(
    context: PhaseContext,
    plan: PlanRecord,
    approval: ApprovalRecord,
    target: TargetConnector,
    *,
    state: str,
    rows: int,
    seconds: float,
) -> UndoSummary:
    with context.journal.transaction() as connection:
        counted = undo_counts(count_undone(connection, plan.plan_id))
    left = left_records(context, plan, target)
    return UndoSummary(
        **counted.model_dump(),
        plan_id=plan.plan_id,
        plan_hash=plan.plan_hash,
        target=plan.target,
        wave=plan.wave,
        state=state,
        approved_by=approval.person,
        kept_records=tuple(record for record in left if record.outcome == "kept")[:LISTED],
        conflict_records=tuple(record for record in left if record.outcome == "conflict")[:LISTED],
        file=write_left(context, plan, left),
        rows=rows,
        seconds=round(seconds, 3),
        rows_per_s=round(rows / seconds, 1) if seconds else 0.0,
    )


_COUNTED: Mapping[str, str] = {
    RowState.KEPT: "kept",
    RowState.CONFLICT: "conflicts",
    RowState.UNKNOWN: "unknown",
    RowState.INTENT: "unknown",
}
_GONE_BACK = {Action.DELETE: "deleted", Action.RELEASE: "released", Action.RESTORE: "restored"}


def undo_counts(rows: Mapping[tuple[str, str, str | None, str | None], int]) -> UndoCounts:
    """Counts by what became of the records: see :func:`rollout.journal.history.count_undone`."""
    found = dict.fromkeys(UndoCounts.model_fields, 0)
    for (action, state, planned, reason), count in rows.items():
        if state == RowState.UNDONE:
            found["kept" if planned else _GONE_BACK[Action(action)]] += count
            found["conflicts"] += count if reason == "partly_undone" else 0
            found["already_gone"] += count if reason == "already_gone" else 0
        else:
            found[_COUNTED.get(state, "open")] += count
    return UndoCounts(**found)


def _taken(summary: UndoSummary) -> int:
    return summary.deleted + summary.restored + summary.released


def _left(summary: UndoSummary) -> int:
    return summary.kept + summary.conflicts + summary.unknown + summary.open
