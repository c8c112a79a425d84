"""Which plans an undo takes back, and whether their time to be taken back is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rollout.errors import ApprovalError, ConfigError
from rollout.journal.history import begun_plans, plans_of_run
from rollout.journal.plans import PlanRecord, Plans
from rollout.phases.context import PhaseContext
from rollout.phases.undo_window import windows
from rollout.phases.wave_order import refuse_unknown_wave


@dataclass(frozen=True)
class ChosenPlans:
    """The plans that are taken back."""

    wave: str
    plans: tuple[str, ...]
    begun: tuple[str, ...]
    """Every plan that was begun in the target, undos included, in that order."""
    is_taken_back: bool
    """All of them were taken back already, as far as that was possible."""
    ends_at: datetime | None
    """When the first of their windows ends; None: none has begun."""


def chosen_plans(context: PhaseContext, target_name: str, *, wave: str | None, run: str | None) -> ChosenPlans:
    """The plans of a wave, or the one that a run applied.

    Raises:
        ConfigError: There is no such wave or run, or it loaded nothing.
        ApprovalError: The time in which it can be taken back is over.
    """
    plans = Plans(context.journal.project_id)
    if wave is not None:
        refuse_unknown_wave(context, wave)
    with context.journal.transaction() as connection:
        ids = begun_plans(connection, context.journal.project_id, target_name)
        begun = [plan for plan_id in ids if (plan := plans.get(connection, plan_id)) is not None]
        of_run = plans_of_run(connection, context.journal.project_id, target_name, run) if run else []
    chosen = [
        plan for plan in begun if plan.kind != "undo" and (plan.wave == wave if run is None else plan.plan_id in of_run)
    ]
    if not chosen:
        known = ", ".join(f"{plan.plan_id} ({plan.kind} of wave {plan.wave})" for plan in begun if plan.kind != "undo")
        told = f"'{run}' is no load of target '{target_name}'" if run else f"nothing of wave '{wave}' was loaded"
        raise ConfigError(told, hint=f"loads that can be named with --run: {known or 'none'}")
    return _within_window(context, chosen, begun)


def _within_window(context: PhaseContext, chosen: Sequence[PlanRecord], begun: Sequence[PlanRecord]) -> ChosenPlans:
    """Leave out what was taken back and what nobody can take back any more; refuse if anything of that still stands."""
    found = windows(context, [plan.plan_id for plan in chosen])
    now = context.clock()
    gone = _taken_back(begun)
    late = [plan for plan in chosen if found[plan.plan_id].is_over(now)]
    standing = [plan for plan in late if plan.plan_id not in gone]
    if standing:
        ended = "; ".join(
            f"plan {plan.plan_id} until {found[plan.plan_id].ends_at:%Y-%m-%d %H:%M} UTC" for plan in standing
        )
        others = [plan.plan_id for plan in chosen if plan not in late]
        hint = f"still possible: --run {', --run '.join(others)}" if others else "correct the records, or load again"
        raise ApprovalError(f"it is too late to take this back: it could be, {ended}", hint=hint)
    plans = tuple(plan.plan_id for plan in chosen if plan not in late)
    ends = [ends_at for plan_id in plans if (ends_at := found[plan_id].ends_at) is not None]
    if not plans:
        raise ConfigError("all of that was taken back already", hint="`rollout status` shows what is loaded")
    return ChosenPlans(
        chosen[0].wave,
        plans,
        tuple(plan.plan_id for plan in begun),
        is_taken_back=gone.issuperset(plans),
        ends_at=min(ends, default=None),
    )


def _taken_back(begun: Sequence[PlanRecord]) -> set[str]:
    """Plans that an undo took back wholly, as far as it could."""
    undos = [plan for plan in begun if plan.kind == "undo" and plan.state == "applied"]
    return {plan_id for undo in undos for plan_id in undo.scope.get("plans", ())}
