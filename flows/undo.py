"""Undo: take back what the approved plan says. Twin: ``rollout undo``.

No personal code here, as for the import: only a plan is applied that a named person approved with theirs.
"""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import Field

from flows._options import ProjectOptions
from flows._states import failed, gate_state
from flows._tables import publish_conservation, publish_gates
from flows._tasks import phase_task
from flows._undone import publish_undo
from rollout.phases.context import PhaseContext
from rollout.phases.undo import UndoSummary, run_undo


class UndoOptions(ProjectOptions):
    """Which approved plan to apply."""

    plan_id: str = Field(
        default="",
        max_length=64,
        title="撤销计划 · Undo plan",
        description="已批准的撤销计划编号；留空为未完成的，或最近批准的。"
        "An approved undo plan's id; empty: the one under way, or the one approved last.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return f"plan {self.plan_id}" if self.plan_id else "plan approved last"


@phase_task("undo")
def take_back(context: PhaseContext, options: UndoOptions) -> UndoSummary:
    """Apply the plan; publish what went back, what was left and why, and where every row is now."""
    summary = run_undo(context, plan_id=options.plan_id or None)
    publish_undo(context, summary)
    publish_conservation(context, summary.wave)
    publish_gates(context, [summary.gate] if summary.gate else [], summary.wave)
    return summary


DEFAULTS = UndoOptions()


@flow(name="undo", flow_run_name="undo · {options.label}")
def undo(options: UndoOptions = DEFAULTS) -> State[Any]:
    """Take back what the approved plan says, or go on with an undo that was interrupted."""
    state = take_back(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: UndoSummary = state.result()
    if summary.unknown or summary.open:
        told = f"{summary.unknown:,} records unknown, {summary.open:,} open → start the undo again"
        return Failed(name="RecordsOpen", message=told, data=summary)
    if summary.gate:
        return gate_state([summary.gate], summary)
    told = (
        f"{summary.deleted:,} deleted, {summary.restored:,} restored, {summary.released:,} released,"
        f" {summary.kept:,} kept, {summary.conflicts:,} in conflict (wave {summary.wave}, {summary.state})"
    )
    return Completed(message=told, data=summary)
