"""`undo`, first half: the plan that a named person then approves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError
from rollout.journal.crypto import canonical_json
from rollout.journal.history import newest_run
from rollout.journal.leases import Lease
from rollout.journal.plans import Plans
from rollout.load.estimate import taking_back_cost
from rollout.load.plan import UNDOING, PlanHash
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.drift import target_inputs
from rollout.phases.leases import working_on
from rollout.phases.pace import few_collections
from rollout.phases.plan import refuse_unfinished_undo
from rollout.phases.plan_file import PlanFile
from rollout.phases.quota import as_stored, pace
from rollout.phases.settle import settle_open_lines
from rollout.phases.sync import crm, syncing
from rollout.phases.undo_draft import UndoDraft
from rollout.phases.undo_plan import UndoPlanner
from rollout.phases.undo_scope import ChosenPlans, chosen_plans


class UndoPlanSummary(Frozen):
    """What an undo would do, as people see it before they approve it. Figures are records."""

    plan_id: str
    plan_hash: str
    target: str
    wave: str
    plans: tuple[str, ...] = Field(description="The loads that are taken back.")
    through: bool = Field(description="With what later loads did to the same records.")
    rehearse: bool
    deleted: int = Field(description="Created by the load, and untouched since.")
    restored: int = Field(description="Fields go back to what they were before.")
    released: int = Field(description="Made by people and adopted by the load: given back to them.")
    kept: int = Field(description="Created by the load, and edited or linked by people since: they stay.")
    conflicts: int = Field(description="Of those restored or released, the ones in which people changed fields since.")
    reasons: dict[str, int] = Field(description="Kept, by reason code.")
    entities: dict[str, dict[str, int]] = Field(description="Rows by entity and action.")
    calls: int
    estimate_s: float
    estimate_basis: str
    window_ends_at: datetime | None = Field(description="Until when it can be taken back; None: users are not in yet.")
    file: str = Field(description="The plan field by field, relative to the workspace; personal data masked.")


def plan_undo(
    context: PhaseContext,
    *,
    wave: str | None = None,
    run: str | None = None,
    through: bool = False,
    rehearse: bool = False,
) -> UndoPlanSummary:
    """Plan to take back a wave (its loads, retries and deltas), or one load.

    Args:
        context: The phase's context.
        wave: The wave.
        run: Instead of a wave a load: the id of its run, or of its plan.
        through: What later loads did to the same records goes back as well.
        rehearse: To measure how long it takes: the gate `undo` is judged when it is applied.

    Raises:
        ConfigError: There is no such wave or run, or it loaded nothing.
        ApprovalError: It is too late; later loads wrote to the same records; another undo is not finished; or users
            are at work already where it is to be rehearsed.
        Retryable: The target or the database cannot be reached.
    """
    if (wave is None) == (run is None):
        raise ConfigError("name what is to be taken back", hint="either --wave or --run")
    target_name, _, target = context.target("load")
    with few_collections(), working_on(context, target_name, target) as lease, without_syncs(context, target_name):
        refuse_unfinished_undo(context, target_name)
        settle_open_lines(context, target_name, target, lease)
        chosen = chosen_plans(context, target_name, wave=wave, run=run)
        if rehearse and chosen.ends_at is not None:
            raise ApprovalError(
                f"users of wave '{chosen.wave}' are at work in target '{target_name}'",
                hint="rehearse on a test target, or before they are let in",
            )
        with context.journal.running("undo_plan", wave=chosen.wave) as handle:
            summary = _make(context, chosen, lease, through=through, rehearse=rehearse)
            handle.summary = summary.model_dump(mode="json")
    return summary


@contextlib.contextmanager
def without_syncs(context: PhaseContext, target_name: str) -> Iterator[None]:
    """Keep the syncs from linking new records to those that are about to go."""
    if context.project.spec.integration is None or not context.project.spec.integration.syncs:
        yield
        return
    synced, connector = crm(context)
    if synced != target_name:
        yield
        return
    with syncing(context, target_name, connector):
        yield


def undo_inputs(
    context: PhaseContext, target_name: str, target: TargetConnector, wave: str, order: tuple[str, ...]
) -> dict[str, object]:
    """What an undo rests on: the target as it is. Sources and rules may be gone by then."""
    return {"sources": {}, "rules": {}, **target_inputs(context, target_name, target, wave, order)}


def _make(
    context: PhaseContext, chosen: ChosenPlans, lease: Lease, *, through: bool, rehearse: bool
) -> UndoPlanSummary:
    target_name, _, target = context.target("load")
    journal, plans = context.journal, Plans(context.journal.project_id)
    begun_s = time.perf_counter()
    sealer = journal.new_data_key()
    scope: dict[str, object] = {
        "wave": chosen.wave,
        "plans": list(chosen.plans),
        "through": through,
        "rehearse": rehearse,
    }
    with journal.transaction() as connection:
        scope["after_run"] = newest_run(connection, journal.project_id)
        plans.forget_drafts(connection, target_name)
        plan_id = plans.create(
            connection, target=target_name, wave=chosen.wave, key_id=sealer.key_id, kind="undo", scope=scope
        )
    draft = UndoDraft(journal, plan_id, sealer)
    planner = UndoPlanner(
        context, target_name, target, plans=chosen.plans, begun=chosen.begun, through=through, draft=draft
    )
    planner.plan()
    if not draft.rows and chosen.is_taken_back:
        raise ConfigError(
            f"nothing that plan {', '.join(chosen.plans)} wrote is left to be taken back",
            hint="it was taken back before: `rollout status` shows what is loaded",
        )
    inputs = undo_inputs(context, target_name, target, chosen.wave, planner.order)
    plan_hash = PlanHash(canonical_json(inputs))
    with PlanFile(context.project, plan_id) as file:
        tally = draft.finish(planner.order, plan_hash, file)
    counts = {name: {action.value: tally.actions[name][action.value] for action in UNDOING} for name in planner.order}
    call_s = sum(planner.call_s) / len(planner.call_s) if planner.call_s else 0.0
    cost = taking_back_cost(counts, pace(context, target_name, target, call_s=call_s))
    estimate = {**as_stored(cost), "planning_seconds": round(time.perf_counter() - begun_s, 3)}
    with journal.transaction() as connection:
        lease.assert_fence(connection)
        plans.seal(
            connection, plan_id, plan_hash=plan_hash.hexdigest(), inputs=inputs, counts=counts, estimate=estimate
        )
        plans.supersede_older(connection, plan_id, target_name, chosen.wave, kind="undo")
    return UndoPlanSummary(
        plan_id=plan_id,
        plan_hash=plan_hash.hexdigest(),
        target=target_name,
        wave=chosen.wave,
        plans=chosen.plans,
        through=through,
        rehearse=rehearse,
        deleted=tally.total("delete"),
        restored=tally.total("restore") - tally.kept_and_restored,
        released=tally.total("release"),
        kept=tally.total("keep") + tally.kept_and_restored,
        conflicts=planner.conflicts,
        reasons=dict(sorted(tally.reasons.items())),
        entities={name: {action: rows for action, rows in found.items() if rows} for name, found in counts.items()},
        calls=cost.calls,
        estimate_s=cost.seconds,
        estimate_basis=cost.basis,
        window_ends_at=chosen.ends_at,
        file=file.relative,
    )
