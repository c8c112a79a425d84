"""`retention`: destroys what was kept to take loads back, once their time to be taken back is over.

What goes are the plans' data keys: values, images before and after each write cannot be opened any more, wherever
copies of the journal lie. Keys, states, reasons and keyed digests stay: every figure can still be recomputed.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from rollout.journal import audit_trail
from rollout.journal.data_keys import DataKeys
from rollout.journal.people import os_user
from rollout.journal.retention import SealedPlan, count_sealed, sealed_plans
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.phases.undo_window import Window, windows

PHASE = "retention"
_UNDER_WAY = ("draft", "proposed", "approved", "loading")
"""States of plans whose values are still needed."""


class DestroyedPlan(Frozen):
    """A plan whose sealed values were destroyed."""

    plan_id: str
    kind: str
    wave: str
    key_id: str
    window_ended_at: datetime
    rows: int
    images: int


class RetentionSummary(Frozen):
    """What was destroyed, and what is still kept."""

    run_id: str
    destroyed: tuple[DestroyedPlan, ...]
    kept: dict[str, tuple[str, ...]] = Field(
        description="Plans by why their values are kept: before_go (users are not in yet), window (it can still be "
        "taken back), under_way (the plan is not finished), open_rows (what became of calls is not decided), "
        "decisions (people's decisions about rows are sealed with it)."
    )
    next_at: datetime | None = Field(description="When the next window ends; None: none is open.")


def run_retention(context: PhaseContext) -> RetentionSummary:
    """Destroy the sealed values of every plan whose undo window is over, each with an entry in the audit trail.

    Raises:
        Retryable: The database cannot be reached; what was destroyed is recorded, run it again.
    """
    journal = context.journal
    with journal.running(PHASE) as run:
        with journal.transaction() as connection:
            plans = sealed_plans(connection, journal.project_id)
        found = windows(context, [plan.plan_id for plan in plans])
        now = context.clock()
        destroyed: list[DestroyedPlan] = []
        kept: dict[str, list[str]] = {}
        for plan in plans:
            window = found[plan.plan_id]
            if why := _kept(plan, window, now):
                kept.setdefault(why, []).append(plan.plan_id)
            else:
                destroyed.append(_destroy(context, plan, window))
        ends = [found[plan_id].ends_at for plan_id in kept.get("window", ())]
        summary = RetentionSummary(
            run_id=run.run_id,
            destroyed=tuple(destroyed),
            kept={why: tuple(plan_ids) for why, plan_ids in sorted(kept.items())},
            next_at=min((at for at in ends if at is not None), default=None),
        )
        run.summary = summary.model_dump(mode="json")
    return summary


def _kept(plan: SealedPlan, window: Window, now: datetime) -> str | None:
    """Why a plan's values must stay; None: they must go."""
    if window.ends_at is None:
        return "before_go"
    if not window.is_over(now):
        return "window"
    if plan.state in _UNDER_WAY:
        return "under_way"
    if plan.has_open_rows:
        return "open_rows"
    return "decisions" if plan.is_needed else None


def _destroy(context: PhaseContext, plan: SealedPlan, window: Window) -> DestroyedPlan:
    journal = context.journal
    assert window.ends_at is not None
    with journal.transaction() as connection:
        rows, images = count_sealed(connection, plan.plan_id)
        done = DestroyedPlan(
            plan_id=plan.plan_id,
            kind=plan.kind,
            wave=plan.wave,
            key_id=plan.key_id,
            window_ended_at=window.ends_at,
            rows=rows,
            images=images,
        )
        DataKeys(journal.project_id, journal.keys).destroy(connection, plan.key_id, context.clock())
        detail = done.model_dump(mode="json", exclude={"plan_id"})
        audit_trail.append(connection, journal.project_id, os_user(), "retention.destroyed", plan.plan_id, detail)
    return done
