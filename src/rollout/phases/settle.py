"""Decide what an interrupted load left open, by looking at the target, before anything new is planned or sent."""

from __future__ import annotations

import time

from rollout.journal.leases import Lease, Throttle
from rollout.journal.plans import PlanRecord, Plans
from rollout.journal.rows import PARTING, SECOND_STEP, STEP, RowStates, reopen_batches
from rollout.load.machine import RowState
from rollout.load.sending import Sender
from rollout.load.work import LoadScope
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.directory import own_login
from rollout.phases.translated import link_reader

BATCH_LINES = 1_000


def load_scope(
    context: PhaseContext,
    plan: PlanRecord,
    entity: str,
    target: TargetConnector,
    *,
    lease: Lease,
    run_id: str,
    max_attempts: int = 5,
    step: int = STEP,
) -> LoadScope:
    """What the batches of one entity share."""
    return LoadScope(
        journal=context.journal,
        plan=plan,
        entity=entity,
        # What a sync carried, and an undo takes along, is of an entity that the project may not have.
        fields=tuple(context.project.spec.entities[entity].fields) if entity in context.project.spec.entities else (),
        target=target,
        throttle=Throttle(context.journal, target.name, target.capabilities, time.sleep),
        sealer=context.journal.sealer(plan.key_id),
        ledger=context.journal.ledger_sealer(),
        lease=lease,
        states=RowStates(plan.plan_id, entity, run_id, step),
        clock_s=time.monotonic,
        sleep=time.sleep,
        max_attempts=max_attempts,
        links=link_reader(target),
        deferred=context.project.spec.deferred(entity) if entity in context.project.spec.entities else (),
        own_login=own_login(context, plan.target),
    )


def settle_open_lines(
    context: PhaseContext, target_name: str, target: TargetConnector, lease: Lease, *, but: str = ""
) -> int:
    """Probe open lines of all plans of a target but one; answers how many were decided.

    Rows that were never stored are closed without being sent: what becomes of them is for the next plan to say.

    Args:
        context: The phase's context.
        target_name: The target's name in the project.
        target: Its connector.
        lease: The target's load lease.
        but: A plan to leave alone.
    """
    with context.journal.transaction() as connection:
        lease.assert_fence(connection)
        reopen_batches(connection, context.journal.project_id, target_name)
        open_plans = Plans(context.journal.project_id).with_open_lines(connection, target_name)
    return sum(_settle(context, plan, entity, target, lease) for plan, entity in open_plans if plan.plan_id != but)


def _settle(context: PhaseContext, plan: PlanRecord, entity: str, target: TargetConnector, lease: Lease) -> int:
    states: list[RowState] = []
    with context.journal.running("settle", entity=entity, wave=plan.wave) as run:
        for step in (PARTING, STEP, SECOND_STEP):
            scope = load_scope(context, plan, entity, target, lease=lease, run_id=run.run_id, step=step)
            with context.journal.transaction() as connection:
                lines = scope.states.open_lines(connection)
            sender = Sender(scope)
            for start in range(0, len(lines), BATCH_LINES):
                states += sender.settle(lines[start : start + BATCH_LINES])
        run.summary = {"plan_id": plan.plan_id, "decided": {state.value: states.count(state) for state in RowState}}
    return len(states)
