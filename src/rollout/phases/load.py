"""`load`: applies the approved plan, and nothing but it (promises 2 and 3)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError, DriftError
from rollout.journal.leases import Lease
from rollout.journal.overlay import overlay_of, reasons
from rollout.journal.plans import COVERING, FORWARD, ApprovalRecord, PlanRecord, Plans
from rollout.journal.rows import SECOND_STEP, STEP, rows_written
from rollout.load.exposure import Exposure, UnprotectedWindow
from rollout.load.runner import EntityLoad, release
from rollout.model.base import Frozen
from rollout.model.outcome import LOADED, Accounting
from rollout.phases.after_target import refuse_before_other
from rollout.phases.approved import refuse_altered
from rollout.phases.context import PhaseContext, TargetConnector, chosen_entities, shown
from rollout.phases.drift import drifted, plan_inputs
from rollout.phases.layers import LayerByLayer, LayerResult
from rollout.phases.leases import working_on
from rollout.phases.pace import calls_at_once, few_collections, rows_a_call
from rollout.phases.quiet import QuietProof, quiet_watch
from rollout.phases.quota import refuse_what_cannot_finish
from rollout.phases.settle import load_scope, settle_open_lines
from rollout.phases.status import require
from rollout.phases.wave_order import refuse_unknown_wave

LOADABLE = ("approved", "loading", "applied")
"""States of a plan that a load may be asked for."""


class LoadSummary(Frozen):
    """What a load did. ``entities`` is the conservation table."""

    plan_id: str
    plan_hash: str
    kind: str = Field(default="load", description="load | delta | retry.")
    target: str
    wave: str
    state: str = Field(description="applied | loading (rows are open: run it again) | already_applied.")
    approved_by: str
    entities: dict[str, Accounting]
    accounted: bool = Field(description="Every source row of every entity is in exactly one bucket.")
    closed: bool = Field(description="And none of them is waiting or unknown.")
    reasons: dict[str, dict[str, int]] = Field(description="Rows by `bucket/reason code`, after all plans of the wave.")
    layers: tuple[LayerResult, ...] = Field(
        default=(), description="Layers that were read back before a later one; a last one that is not PASS held it up."
    )
    quiet: QuietProof | None = Field(default=None, description="What the target's rules did meanwhile; None: not told.")
    unprotected: UnprotectedWindow = Field(
        default=UnprotectedWindow(), description="How long edits of people could have been overwritten unseen."
    )
    waits_for_approval: str | None = Field(description="A newer plan that nobody has approved yet.")
    rows: int = Field(description="Rows this run decided.")
    seconds: float
    rows_per_s: float


def run_load(
    context: PhaseContext,
    *,
    plan_id: str | None = None,
    entities: Sequence[str] | None = None,
    wave: str | None = None,
    retry: bool = False,
) -> LoadSummary:
    """Apply a plan, or go on with it where an earlier run stopped.

    Args:
        context: The phase's context.
        plan_id: The plan; None: the one approved last.
        entities: Only these, in the project's load order; None: all.
        wave: The plan must be of this wave; None: of any.
        retry: Only a plan of rows that an earlier load left over.

    Raises:
        ConfigError: There is no such plan, entity or wave; the plan is of another wave, or of a kind that is not
            loaded; or it could not be finished in the time and with the calls there are.
        ApprovalError: Nobody approved the plan as it is; its wave needs a go of the pilot; or the target that must be
            loaded before this one does not hold the wave.
        DriftError: Sources, mapping, rules or target schema changed since; or too many rows are in conflict.
        LeaseHeld: Another load of this target is under way.
        Retryable: The target or the database cannot be reached; what was done is kept, run it again.
    """
    target_name, _, target = context.target("load")
    journal, plans = context.journal, Plans(context.journal.project_id)
    order = chosen_entities(context, entities)
    if wave is not None:
        refuse_unknown_wave(context, wave)
    begun_s = time.perf_counter()
    plan, approval = _approved_plan(context, target_name, plan_id, wave, kinds=("retry",) if retry else FORWARD)
    if plan.state == "applied":
        return _summary(context, plan, approval, "already_applied", 0, 0.0)
    with few_collections(), working_on(context, target_name, target) as lease:
        # What may have changed before we held it.
        plan, approval = _approved_plan(context, target_name, plan.plan_id, wave)
        require(context, "load", plan.wave)
        _refuse_drift(context, plan, target)
        if plan.kind in COVERING and plan.state == "approved":  # what has begun is finished, not left half done
            refuse_before_other(context, target_name, plan.wave, plan.inputs)
        refuse_altered(context, plan)
        refuse_what_cannot_finish(context, plan, target)
        settle_open_lines(context, target_name, target, lease, but=plan.plan_id)
        _refuse_undecided(context, plan)
        with journal.running("load", wave=plan.wave) as run:
            with journal.transaction() as connection:
                plans.move(connection, plan.plan_id, "loading", before=("approved", "loading"))
            layers = LayerByLayer(context, plan, target, run.run_id)
            with quiet_watch(context, target_name) as watch:
                loads = _load_all(context, plan, layers.entities(order), target, lease, run.run_id)
            with journal.transaction() as connection:
                rows_written(connection)
                lease.assert_fence(connection)
                done = plans.is_done(connection, plan.plan_id)
                if done:
                    plans.move(connection, plan.plan_id, "applied", before=("loading",))
            rows = sum(load.states.total() for load in loads)
            exposure = Exposure()
            for load in loads:
                exposure.add(load.exposure)
            summary = _summary(
                context, plan, approval, "applied" if done else "loading", rows, time.perf_counter() - begun_s
            ).model_copy(update={"layers": tuple(layers.results), "quiet": watch.proof, "unprotected": exposure.window})
            run.summary = summary.model_dump(mode="json")
    return summary


def _approved_plan(
    context: PhaseContext,
    target_name: str,
    plan_id: str | None,
    wave: str | None,
    *,
    kinds: Sequence[str] = FORWARD,
) -> tuple[PlanRecord, ApprovalRecord]:
    """The plan to load, as it is now, and who approved exactly that."""
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        if plan_id:
            plan = plans.get(connection, plan_id)
            if plan is None:
                raise ConfigError(f"there is no plan '{plan_id}' in this project", hint="`rollout plan` makes one")
        else:
            plan = plans.latest_approved(connection, target_name, LOADABLE, wave=wave, kinds=kinds)
            if plan is None:
                raise _nothing_approved(wave, kinds)
        approval = plans.approval(connection, plan)
    if plan.kind not in kinds:
        verb = {"retry": "load --retry", **dict.fromkeys(FORWARD, "load")}.get(plan.kind, plan.kind)
        raise ConfigError(f"plan {plan.plan_id} is of kind '{plan.kind}'", hint=f"apply it with `rollout {verb}`")
    if plan.target != target_name:
        raise ConfigError(f"plan {plan.plan_id} is for target '{plan.target}'", hint="make a plan for this target")
    if wave not in (None, plan.wave):
        raise ConfigError(f"plan {plan.plan_id} is of wave '{plan.wave}', not '{wave}'", hint="leave one of them out")
    if plan.state == "superseded":
        raise ApprovalError(
            f"a newer plan took the place of plan {plan.plan_id}", hint="have the newest plan approved, and load that"
        )
    if approval is None or plan.state not in LOADABLE:
        raise ApprovalError(f"plan {plan.plan_id} is not approved", hint=f"rollout approve --plan {plan.plan_id}")
    return plan, approval


def _nothing_approved(wave: str | None, kinds: Sequence[str]) -> ApprovalError:
    told = "no plan is approved" if wave is None else f"no plan of wave '{wave}' is approved"
    if "load" in kinds:
        return ApprovalError(told, hint="run `rollout plan`, then `rollout approve`")
    hint = "`rollout rejects export FILE`, decide, `rollout rejects import FILE`: that makes the plan and approves it"
    return ApprovalError(f"{told} of rows to send again", hint=hint)


def _refuse_undecided(context: PhaseContext, plan: PlanRecord) -> None:
    """Rows that an earlier plan sent, and nobody knows what became of, must not be sent again."""
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        for entity in plan.order:
            keys = plans.undecided_keys(connection, plan.target, entity, but=plan.plan_id)
            rows = plans.will_send(connection, plan.plan_id, entity, sorted(keys)) if keys else 0
            if rows:
                raise DriftError(
                    f"{rows} rows were sent by an earlier load, and what became of them is not known yet",
                    where=entity,
                    hint="make a new plan with `rollout plan`: it leaves them out until that is decided",
                )


def _refuse_drift(context: PhaseContext, plan: PlanRecord, target: TargetConnector) -> None:
    changes = drifted(plan.inputs, plan_inputs(context, plan.target, target, plan.wave))
    if changes:
        raise DriftError(
            f"changed since plan {plan.plan_id} was made: {'; '.join(changes)}",
            hint="run `rollout cleanse` and `rollout plan`, and have the new plan approved",
        )


def _load_all(
    context: PhaseContext,
    plan: PlanRecord,
    entities: Iterator[str],
    target: TargetConnector,
    lease: Lease,
    run_id: str,
) -> list[EntityLoad]:
    """Both steps of the load."""

    def load(name: str, step: int) -> EntityLoad:
        return _load_entity(context, plan, name, target, lease=lease, run_id=run_id, step=step)

    first = [load(name, STEP) for name in entities]
    release(first)
    deferring = [name for name in plan.order if context.project.spec.deferred(name)]
    second = [load(name, SECOND_STEP) for name in deferring]
    release(second)
    return first + second


def _load_entity(
    context: PhaseContext,
    plan: PlanRecord,
    entity: str,
    target: TargetConnector,
    *,
    lease: Lease,
    run_id: str,
    step: int,
) -> EntityLoad:
    settings = context.project.spec.targets[plan.target]
    planned = sum(plan.counts[entity].values()) if step == STEP else None
    with shown(context.progress, f"load {entity}", planned, "rows") as progress:
        load = EntityLoad(
            load_scope(
                context, plan, entity, target, lease=lease, run_id=run_id, max_attempts=settings.max_attempts, step=step
            ),
            batch_rows=rows_a_call(settings, target.capabilities),
            concurrency=calls_at_once(settings, target.capabilities),
            max_conflict_share=settings.max_conflict_share,
            advance=progress.advance,
        )
        load.run()
    return load


def _summary(
    context: PhaseContext, plan: PlanRecord, approval: ApprovalRecord, state: str, rows: int, seconds: float
) -> LoadSummary:
    table = context.journal.accounting(plan.target, wave=plan.wave)
    with context.journal.transaction() as connection:
        overlay = overlay_of(connection, context.journal.project_id, plan.target, plan.wave)
        told = reasons(connection, overlay) if overlay else {}
        waiting = Plans(context.journal.project_id).latest(connection, plan.target, ("proposed",), wave=plan.wave)
    if state == "already_applied":
        table = [_as_unchanged(line) for line in table]
    return LoadSummary(
        plan_id=plan.plan_id,
        plan_hash=plan.plan_hash,
        kind=plan.kind,
        target=plan.target,
        wave=plan.wave,
        state=state,
        approved_by=approval.person,
        entities={line.entity: line for line in table},
        accounted=bool(table) and all(line.accounted for line in table),
        closed=bool(table) and all(line.closed for line in table),
        reasons=told,
        waits_for_approval=waiting.plan_id if waiting else None,
        rows=rows,
        seconds=round(seconds, 3),
        rows_per_s=round(rows / seconds, 1) if seconds else 0.0,
    )


def _as_unchanged(line: Accounting) -> Accounting:
    """A plan that is already applied changes nothing when it is loaded again: what it loaded is unchanged now."""
    moved = Counter({bucket.value: line.bucket(bucket) for bucket in LOADED})
    return line.model_copy(update={**dict.fromkeys(moved, 0), "unchanged": moved.total()})
