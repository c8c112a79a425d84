"""Load test: simulated salespeople work in the CRM, and the gate is judged. Twin: ``rollout loadtest``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from pydantic import Field

from flows._artifacts import publish_reports
from flows._options import ProjectOptions
from flows._states import failed, gate_state
from flows._tables import publish_findings, publish_gates
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.loadtest import LoadTestSummary, run_loadtest


class LoadTestOptions(ProjectOptions):
    """How many users work in the CRM, and for how long."""

    users: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="用户数 · Users",
        description="同时工作的用户数；0 为项目文件中的设置。Concurrent users; 0: as the project asks.",
    )
    ramp_s: float = Field(
        default=0,
        ge=0,
        le=3_600,
        title="逐步增加（秒）· Ramp (s)",
        description="从第一位到最后一位用户的秒数；0 为项目设置。Seconds until all have come; 0: as the project asks.",
    )
    hold_s: float = Field(
        default=0,
        ge=0,
        le=86_400,
        title="保持（秒）· Hold (s)",
        description="全部用户在线的秒数，至少 1；0 为项目设置。Seconds that all stay (1 or more); 0: the project's.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return f"{self.users or 'all'} users"


@phase_task("loadtest")
def put_under_load(context: PhaseContext, options: LoadTestOptions) -> LoadTestSummary:
    """Run the load test and publish its gate, findings and report."""
    summary = run_loadtest(
        context, users=options.users or None, ramp_s=options.ramp_s or None, hold_s=options.hold_s or None
    )
    publish_gates(context, (summary.gate,))
    publish_findings(context, "loadtest")
    publish_reports(context, summary.reports)
    return summary


DEFAULTS = LoadTestOptions()


@flow(name="loadtest", flow_run_name="loadtest · {options.label}")
def loadtest(options: LoadTestOptions = DEFAULTS) -> State[Any]:
    """Test the CRM under load; the gate's verdict is how this ends."""
    state = put_under_load(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: LoadTestSummary = state.result()
    return gate_state((summary.gate,), summary)
