"""Monthly operation report. Twin: ``rollout monthly-report``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed
from pydantic import Field

from flows._artifacts import publish_reports
from flows._options import ProjectOptions
from flows._states import failed
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.monthly import MonthlySummary, write_monthly_report


class MonthOptions(ProjectOptions):
    """Which month to report on."""

    month: str = Field(
        default="",
        max_length=7,
        pattern=r"^(\d{4}-(0[1-9]|1[0-2]))?$",
        title="月份 · Month",
        description="YYYY-MM；留空为上个月。YYYY-MM; empty: the month before this one.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return self.month or "last month"


@phase_task("monthly report")
def write(context: PhaseContext, options: MonthOptions) -> MonthlySummary:
    """Write the report and publish its links."""
    summary = write_monthly_report(context, month=options.month or None)
    publish_reports(context, summary.reports)
    return summary


DEFAULTS = MonthOptions()


@flow(name="monthly-operation-report", flow_run_name="operation report · {options.label}")
def monthly_operation_report(options: MonthOptions = DEFAULTS) -> State[Any]:
    """Write the operation report of a month from the journal."""
    state = write(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: MonthlySummary = state.result()
    told = f"{summary.month}: measured {summary.measured} of {summary.expected} health checks"
    return Completed(message=told, data=summary)
