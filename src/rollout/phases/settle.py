"""Decide what an interrupted load left open, by looking at the target, before anything new is planned or sent."""

from __future__ import annotations

import time

from rollout.journal.leases import Lease
from rollout.journal.plans import PlanRecord, Plans
from rollout.journal.rows import RowStates
from rollout.load.machine import RowState
from rollout.load.sending import Sender
from rollout.load.work import LoadScope
from rollout.phases.context import PhaseContext, TargetConnector

LEASE_MARGIN_S = 30.0
"""What a lease lasts beyond the longest call, so that it is renewed several times before it runs out."""


def lease_ttl_s(target: TargetConnector) -> float:
    """How long a load's lease lasts without renewal."""
    return target.capabilities.call_timeout_s + LEASE_MARGIN_S


def load_lease(target_name: str) -> str:
    """The lease under which a target is planned and loaded, one at a time."""
    return f"load {target_name}"


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
        open_plans = Plans(context.journal.project_id).with_open_lines(connection, target_name)
    return sum(_settle(context, plan, entity, target, lease) for plan, entity in open_plans if plan.plan_id != but)


def _settle(context: PhaseContext, plan: PlanRecord, entity: str, target: TargetConnector, lease: Lease) -> int:
    run_id = context.journal.start_run("settle", entity=entity, wave=plan.wave)
    sender = Sender(
        LoadScope(
            journal=context.journal,
            plan=plan,
            entity=entity,
            target=target,
            sealer=context.journal.sealer(plan.key_id),
            lease=lease,
            states=RowStates(plan.plan_id, entity, run_id),
            clock=context.clock,
            sleep=time.sleep,
        )
    )
    states = sender.settle()
    context.journal.finish_run(
        run_id, state="completed", summary={"plan_id": plan.plan_id, "decided": {s: states.count(s) for s in RowState}}
    )
    return len(states)
