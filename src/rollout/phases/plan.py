"""`plan`: what a load would change, field by field, with hash, counts and estimate. Writes nothing to the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError
from rollout.journal.crypto import canonical_json
from rollout.journal.leases import Lease
from rollout.journal.plans import COVERING, TAKING_BACK, Plans
from rollout.load.plan import LOADING, PlanHash
from rollout.model.base import Frozen
from rollout.phases.after_target import refuse_before_other
from rollout.phases.compare_plans import PlanComparison, compare_with_trial
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.dormant_ready import refuse_undecided
from rollout.phases.drift import plan_inputs
from rollout.phases.leases import working_on
from rollout.phases.map_ready import refuse_open_mapping
from rollout.phases.nothing_new import nothing_new
from rollout.phases.numbers import unnumbered
from rollout.phases.pace import few_collections
from rollout.phases.plan_file import PlanFile
from rollout.phases.plan_tally import EntityPlan
from rollout.phases.plan_writer import PlanWriter
from rollout.phases.planner import Planner
from rollout.phases.quota import estimated, limits, pace
from rollout.phases.settle import settle_open_lines
from rollout.phases.status import require
from rollout.phases.wave_order import next_wave, refuse_unknown_wave

MakePlanner = Callable[[PhaseContext, TargetConnector, str, str, Executor], Planner]
"""Makes a planner of the context, the target, its name, the wave and a thread."""


class _Draft(NamedTuple):
    """What a plan is to be of."""

    wave: str
    kind: str
    scope: Mapping[str, Any]
    make_planner: MakePlanner


class PlanSummary(Frozen):
    """A plan as people see it before they approve it."""

    plan_id: str
    plan_hash: str
    kind: str = "load"
    target: str
    wave: str
    entities: dict[str, EntityPlan]
    calls: int
    estimate_s: float
    estimate_basis: str
    undo_calls: int = Field(description="Calls that taking it back would need.")
    undo_estimate_s: float
    limits: tuple[str, ...] = Field(
        default=(), description="What of the time and calls there are it cannot keep to: it is refused when loaded."
    )
    file: str = Field(description="The plan field by field, relative to the workspace; personal data masked.")
    is_kept: bool = Field(default=True, description="False: a delta found nothing new, and left no plan behind.")
    compared: PlanComparison | None = Field(
        default=None, description="Beside the plan of the target that this one is loaded after; None: there is none."
    )


def run_plan(context: PhaseContext, *, wave: str | None = None) -> PlanSummary:
    """Make a plan of one wave for the target of the phase `plan`.

    Args:
        context: The phase's context.
        wave: Its name; None: the first that is not finished, see `rollout.phases.wave_order`.

    Raises:
        ApprovalError: It is a later wave, and nobody said go to the pilot; an undo is not finished; or the target that
            must be loaded before this one does not hold the wave.
        ConfigError: There is no such wave. Nothing was cleansed, or sources or rules changed since: cleanse again.
        Retryable: The target or the database cannot be reached.
    """
    target_name, _, target = context.target("plan")
    if wave is not None:
        refuse_unknown_wave(context, wave)
    # Nobody may load or cleanse while a plan is made: what it sees must not change under it.
    with few_collections(), working_on(context, target_name, target) as lease:
        prepare_to_plan(context, target_name, target, lease)
        return plan_wave(context, wave or next_wave(context, target_name), lease)


def prepare_to_plan(context: PhaseContext, target_name: str, target: TargetConnector, lease: Lease) -> None:
    """See to it that what was begun is decided, before anything new is planned.

    Raises:
        ApprovalError: An undo has begun and is not finished.
        Retryable: The target or the database cannot be reached.
    """
    refuse_unfinished_undo(context, target_name)
    settle_open_lines(context, target_name, target, lease)


def plan_wave(
    context: PhaseContext,
    wave: str,
    lease: Lease,
    *,
    kind: str = "load",
    scope: Mapping[str, Any] | None = None,
    make_planner: MakePlanner = Planner,
) -> PlanSummary:
    """Make a plan of a wave under the target's lease.

    A delta that finds nothing new leaves no plan behind.

    Args:
        context: The phase's context.
        wave: A wave of the project.
        lease: The target's.
        kind: load | delta | retry.
        scope: Of a retry: the plan whose rows it takes up again.
        make_planner: Makes what decides about the records.

    Raises:
        ApprovalError: It is a later wave, and nobody said go to the pilot; the target that must be loaded before this
            one does not hold the wave; or people must complete the owner map, confirm a date format or decide about
            dormant records first.
        ConfigError: Nothing was cleansed, or sources or rules changed since.
        Retryable: The target or the database cannot be reached.
    """
    target_name, _, target = context.target("plan")
    require(context, "plan", wave)
    inputs = plan_inputs(context, target_name, target, wave)
    _refuse_stale_cleansing(context, inputs)
    refuse_open_mapping(context)
    refuse_undecided(context)
    if kind in COVERING:  # a retry finishes what was let through
        refuse_before_other(context, target_name, wave, inputs)
    with context.journal.running("plan", wave=wave) as run:
        context.journal.add_findings(run.run_id, list(unnumbered(context)))
        draft = _Draft(wave, kind, scope or {}, make_planner)
        summary = _make_plan(context, inputs, draft, lease)
        if kind in COVERING and summary.is_kept:
            summary = summary.model_copy(update={"compared": compare_with_trial(context, summary.plan_id)})
        run.summary = summary.model_dump(mode="json")
    return summary


def _make_plan(context: PhaseContext, inputs: dict[str, Any], draft: _Draft, lease: Lease) -> PlanSummary:
    target_name, _, target = context.target("plan")
    wave, kind = draft.wave, draft.kind
    journal, plans = context.journal, Plans(context.journal.project_id)
    sealer = journal.new_data_key()
    plan_hash = PlanHash(canonical_json(inputs))
    with journal.transaction() as connection:
        plans.forget_drafts(connection, target_name)
        plan_id = plans.create(
            connection, target=target_name, wave=wave, key_id=sealer.key_id, kind=kind, scope=draft.scope
        )
    with (
        PlanFile(context.project, plan_id) as file,
        PlanWriter(journal, plan_id, sealer, plan_hash, file) as writer,
        ThreadPoolExecutor(1) as background,
    ):
        planner = draft.make_planner(context, target, target_name, wave, background)
        entities = {name: planner.plan_entity(name, writer) for name in inputs["order"]}
    counts = {
        name: {action.value: getattr(plan, action.value) for action in LOADING} for name, plan in entities.items()
    }
    call_s = sum(planner.call_s) / len(planner.call_s) if planner.call_s else 0.0
    cost = estimated(counts, pace(context, target_name, target, call_s=call_s), planning_calls=planner.calls)
    summary = PlanSummary(
        plan_id=plan_id,
        plan_hash=plan_hash.hexdigest(),
        kind=kind,
        target=target_name,
        wave=wave,
        entities=entities,
        calls=cost["calls"],
        estimate_s=cost["seconds"],
        estimate_basis=cost["basis"],
        undo_calls=cost["undo_calls"],
        undo_estimate_s=cost["undo_seconds"],
        limits=tuple(limits(context, target_name, target, kind, cost, made=planner.calls)),
        file=file.relative,
        is_kept=kind != "delta" or not _is_no_news(context, plan_id, target_name, inputs, entities),
    )
    with journal.transaction() as connection:
        lease.assert_fence(connection)
        if summary.is_kept:
            plans.seal(connection, plan_id, plan_hash=summary.plan_hash, inputs=inputs, counts=counts, estimate=cost)
            plans.supersede_older(connection, plan_id, target_name, wave, kind=kind)
        else:
            plans.forget_drafts(connection, target_name)
    if not summary.is_kept:
        (context.project.workspace.root / summary.file).unlink(missing_ok=True)
    return summary


def _is_no_news(
    context: PhaseContext, plan_id: str, target_name: str, inputs: Mapping[str, Any], entities: Mapping[str, EntityPlan]
) -> bool:
    """Whether there is nothing to write, to learn or to decide but what is open already, since the latest load.

    Where sources or rules changed without effect there is: that what is loaded rests on them as they are now.
    """
    wave = inputs["wave"]
    with context.journal.transaction() as connection:
        base = Plans(context.journal.project_id).latest_begun(connection, target_name, wave=wave)
    if base is None or any(base.inputs[name] != inputs[name] for name in ("sources", "rules")):
        return False
    if any(plan.learn for plan in entities.values()):
        return False
    open_rows = sum(plan.create + plan.update + plan.adopt + plan.conflict for plan in entities.values())
    return nothing_new(context, plan_id, target_name, wave, open_rows=open_rows)


def refuse_unfinished_undo(context: PhaseContext, target_name: str) -> None:
    """What is being taken back must be taken back before anything new is planned.

    Raises:
        ApprovalError: A plan of kind undo or unmerge has begun and is not wholly applied.
    """
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        begun = plans.latest(connection, target_name, ("loading",), kinds=TAKING_BACK)
    if begun:
        verb = "undo" if begun.kind == "undo" else "unmerge"
        raise ApprovalError(
            f"plan {begun.plan_id} ({begun.kind} of wave '{begun.wave}') has begun and is not finished",
            hint=f"run `rollout {verb}` until it is; then plan again",
        )


def _refuse_stale_cleansing(context: PhaseContext, inputs: dict[str, Any]) -> None:
    """A plan is made from the sources and rules as they are; a cleansing of older ones must be repeated."""
    run = context.journal.latest_run("cleanse")
    if run is None:
        raise ConfigError("nothing was cleansed yet", hint="run `rollout cleanse` first")
    if run.summary.get("inputs") != {"sources": inputs["sources"], "rules": inputs["rules"]}:
        raise ConfigError(
            "the sources or the rules changed since the last cleansing", hint="run `rollout cleanse`, then plan again"
        )
