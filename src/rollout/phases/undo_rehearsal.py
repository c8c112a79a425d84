"""A rehearsed undo: how long it took, whether anything was left, and whether all of it fits the window."""

from __future__ import annotations

from rollout.journal.history import golden_records, seconds_since_begun
from rollout.journal.plans import PlanRecord
from rollout.model.verdict import GateResult, Measurement, judge_gate
from rollout.phases.context import PhaseContext
from rollout.project.gates import criteria

GATE = "undo"
HOUR_S = 3600.0


def judge_rehearsal(context: PhaseContext, plan: PlanRecord, run_id: str, taken: int, left: int) -> GateResult:
    """Judge and record the gate.

    The time is reckoned from the plan's first run to the end of the last, whatever interrupted it, with the time that
    planning took; a part of the records is taken for the pace of all.

    Args:
        context: The phase's context.
        plan: The undo, wholly applied.
        run_id: The run that ended it.
        taken: Records that were taken back.
        left: Records that were not, or not wholly.
    """
    journal = context.journal
    with journal.transaction() as connection:
        seconds = seconds_since_begun(connection, plan.plan_id) + float(plan.estimate["planning_seconds"])
        whole = golden_records(connection, journal.project_id)
    share = max(whole / taken, 1.0) if taken else None
    detail = f"{taken:,} records in {seconds:,.1f} s"
    if share is not None and share > 1:
        detail += f"; at that pace {whole:,} records"
    measured = [
        Measurement(
            metric="undo_hours",
            value=seconds * share / HOUR_S if share is not None else None,
            evidence=taken,
            detail=detail,
        ),
        Measurement(metric="undo_left", value=float(left), evidence=taken + left),
    ]
    result = judge_gate(GATE, list(criteria(context.project.spec, GATE)), measured)
    journal.record_gate(run_id, result)
    return result
