"""Undo planned: what would be taken back, for approval. Deployed as "undo (plan)"; twin: ``rollout undo --wave``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed
from pydantic import Field

from flows._options import ProjectOptions
from flows._states import failed
from flows._tasks import phase_task
from flows._undone import publish_undo_plan
from rollout.phases.context import PhaseContext
from rollout.phases.undo_make import UndoPlanSummary, plan_undo


class UndoPlanOptions(ProjectOptions):
    """What is to be taken back."""

    wave: str = Field(
        default="",
        max_length=64,
        title="批次 · Wave",
        description="撤销该批次的全部导入、重试和增量；与“运行”二选一。"
        "Take back all imports, retries and deltas of this wave; either this or a run.",
    )
    run: str = Field(
        default="",
        max_length=64,
        title="运行 · Run",
        description="只撤销一次导入：其运行编号或计划编号；与“批次”二选一。"
        "Take back one import: the id of its run, or of its plan; either this or a wave.",
    )
    through: bool = Field(
        default=False,
        title="连同之后的 · Through",
        description="同一批记录之后的导入也一并撤销。What later imports did to the same records goes back as well.",
    )
    rehearse: bool = Field(
        default=False,
        title="演练 · Rehearse",
        description="仅用于测试环境：撤销时测量用时，判定门禁 undo。"
        "For a test target: measures how long it takes, and the gate `undo` is judged when it is applied.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return f"wave {self.wave}" if self.wave else f"run {self.run or '–'}"


@phase_task("undo plan")
def plan_taking_back(context: PhaseContext, options: UndoPlanOptions) -> UndoPlanSummary:
    """Compare what was loaded with what the CRM holds now, and publish what would go back and what stays."""
    summary = plan_undo(
        context,
        wave=options.wave or None,
        run=options.run or None,
        through=options.through,
        rehearse=options.rehearse,
    )
    publish_undo_plan(context, summary)
    return summary


DEFAULTS = UndoPlanOptions()


@flow(name="undo-plan", flow_run_name="undo plan · {options.label}")
def undo_plan(options: UndoPlanOptions = DEFAULTS) -> State[Any]:
    """Plan to take an import back; leaves the CRM alone. A named person approves it before anything runs."""
    state = plan_taking_back(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: UndoPlanSummary = state.result()
    told = (
        f"undo plan {summary.plan_id} of wave {summary.wave} waits for approval: {summary.deleted:,} to delete,"
        f" {summary.restored:,} to restore, {summary.released:,} to release, {summary.kept:,} stay,"
        f" {summary.conflicts:,} in conflict"
    )
    return Completed(name="AwaitingApproval", message=told, data=summary)
