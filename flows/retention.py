"""Retention: destroy what was kept to take imports back, once it is too late for that. Twin: ``rollout retention``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows._artifacts import key
from flows._options import ProjectOptions
from flows._states import failed
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.retention import RetentionSummary, run_retention
from rollout.report.markdown import markdown_table

COLUMNS = ("计划 plan", "种类 kind", "批次 wave", "期限 window ended", "行 rows", "前后内容 images")


class RetentionOptions(ProjectOptions):
    """What to look at."""

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return "undo windows that are over"


@phase_task("retention")
def destroy(context: PhaseContext, _options: RetentionOptions) -> RetentionSummary:
    """Destroy the keys of plans that can no longer be taken back, and publish which they were."""
    summary = run_retention(context)
    if summary.destroyed:
        rows = [
            [
                one.plan_id,
                one.kind,
                one.wave,
                f"{one.window_ended_at:%Y-%m-%d %H:%M} UTC",
                f"{one.rows:,}",
                f"{one.images:,}",
            ]
            for one in summary.destroyed
        ]
        create_markdown_artifact(
            markdown_table(COLUMNS, rows),
            key=key(context.project.spec.project.id, "retention"),
            description=f"已销毁 · Destroyed: the sealed values of {len(rows)} plans",
        )
    return summary


DEFAULTS = RetentionOptions()


@flow(name="retention", flow_run_name="retention · {options.label}")
def retention(options: RetentionOptions = DEFAULTS) -> State[Any]:
    """Destroy before- and after-images whose undo window is over, each with a record."""
    state = destroy(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: RetentionSummary = state.result()
    kept = ", ".join(f"{len(plans)} {why}" for why, plans in summary.kept.items()) or "none"
    until = f"; next window ends {summary.next_at:%Y-%m-%d %H:%M} UTC" if summary.next_at else ""
    return Completed(message=f"{len(summary.destroyed)} plans destroyed; kept: {kept}{until}", data=summary)
