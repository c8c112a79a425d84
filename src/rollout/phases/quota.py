"""Time and calls of a plan, for the load and for taking it back; what cannot finish is refused before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rollout.errors import ConfigError
from rollout.journal.calls import calls_since
from rollout.journal.plans import TAKING_BACK, PlanRecord, Plans
from rollout.load.estimate import HOUR_S, Allowance, Counts, Estimate, Pace, exceeded, load_cost, undo_cost
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.pace import calls_at_once, rows_a_call
from rollout.project.spec import TargetSpec


def pace(context: PhaseContext, target_name: str, target: TargetConnector, *, call_s: float) -> Pace:
    """How fast a target can be worked on: its settings, and what its latest load reached.

    Args:
        context: The phase's context.
        target_name: Its name in the project.
        target: Its connector.
        call_s: Seconds that a call was measured to take.
    """
    settings = context.project.spec.targets[target_name]
    return Pace(
        batch_rows=rows_a_call(settings, target.capabilities),
        concurrency=calls_at_once(settings, target.capabilities),
        call_s=call_s,
        capabilities=target.capabilities,
        rows_per_s=_measured(context, target_name),
    )


MIN_ROWS = 200
"""A load of fewer rows says nothing about the pace of others."""


def _measured(context: PhaseContext, target_name: str) -> float | None:
    """Rows a second of the latest load, if it was of this target and large enough to judge by."""
    run = context.journal.latest_run("load")
    if run is None or run.summary.get("target") != target_name or run.summary.get("rows", 0) < MIN_ROWS:
        return None
    return float(run.summary["rows_per_s"]) or None


def estimated(counts: Counts, reckoned: Pace, *, planning_calls: int) -> dict[str, Any]:
    """What a plan that loads keeps as its ``estimate``, with the calls that planning took."""
    load, undo = load_cost(counts, reckoned), undo_cost(counts, reckoned)
    return {**as_stored(load), "undo_calls": undo.calls, "undo_seconds": undo.seconds, "planning_calls": planning_calls}


def as_stored(cost: Estimate) -> dict[str, Any]:
    """An estimate as plans keep it."""
    return {"calls": cost.calls, "seconds": cost.seconds, "basis": cost.basis}


def limits(
    context: PhaseContext,
    target_name: str,
    target: TargetConnector,
    plan_kind: str,
    estimate: Mapping[str, Any],
    *,
    made: int = 0,
) -> list[str]:
    """What a plan cannot keep to, in words with the figures; empty: it can be carried out and be taken back.

    Args:
        context: The phase's context.
        target_name: The target's name in the project.
        target: Its connector.
        plan_kind: The plan's.
        estimate: As plans keep it.
        made: Calls made today that the journal does not know of yet.
    """
    spec = context.project.spec
    undo_window_h = float(spec.retention.undo_window_h)
    settings = spec.targets[target_name]
    if plan_kind in TAKING_BACK:
        allowed = _allowance(context, target_name, settings, target, window_h=undo_window_h, made=made)
        return exceeded("taking it back", estimate["calls"], estimate["seconds"], allowed)
    allowed = _allowance(context, target_name, settings, target, window_h=settings.window_h, made=made)
    told = exceeded("the load", estimate["calls"], estimate["seconds"], allowed)
    # The undo window begins when the load is done, and has days of its own.
    to_undo = Allowance(window_h=undo_window_h, daily_calls=allowed.daily_calls)
    return told + exceeded("taking it back", estimate["undo_calls"], estimate["undo_seconds"], to_undo)


def refuse_what_cannot_finish(context: PhaseContext, plan: PlanRecord, target: TargetConnector) -> None:
    """Refuse to begin what cannot end in its time or with the calls there are; what has begun goes on with the rest.

    Raises:
        ConfigError: With the figures. Nothing was sent.
    """
    estimate = dict(plan.estimate)
    if plan.state == "loading":
        with context.journal.transaction() as connection:
            share = Plans(context.journal.project_id).share_to_do(connection, plan.plan_id)
        estimate |= {"calls": round(estimate["calls"] * share), "seconds": estimate["seconds"] * share}
    told = limits(context, plan.target, target, plan.kind, estimate)
    if told:
        raise ConfigError(
            f"plan {plan.plan_id} is not begun, for it could not be finished: {'; '.join(told)}",
            where=f"targets.{plan.target}",
            hint="part it into waves, or raise window_h, daily_calls or retention.undo_window_h if there is more",
        )


def _allowance(
    context: PhaseContext,
    target_name: str,
    settings: TargetSpec,
    target: TargetConnector,
    *,
    window_h: float | None,
    made: int,
) -> Allowance:
    given = [limit for limit in (settings.daily_calls, target.capabilities.daily_calls) if limit is not None]
    if not given:
        return Allowance(window_h=window_h, daily_calls=None)
    now = context.clock()
    begun_at, ends_at = _day(now, ZoneInfo(context.project.spec.project.time_zone))
    with context.journal.transaction() as connection:
        used = calls_since(connection, context.journal.project_id, target_name, begun_at, target.capabilities)
    return Allowance(
        window_h=window_h,
        daily_calls=min(given),
        used_today=used + made,
        day_left_h=(ends_at - now).total_seconds() / HOUR_S,
    )


def _day(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The day's beginning and end in the project's time zone."""
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight, midnight + timedelta(days=1)
