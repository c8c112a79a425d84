"""Integrate: play CRM, ERP and messaging through together, with fault drills. Twin: ``rollout integrate``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows._artifacts import publish_reports
from flows._options import ProjectOptions
from flows._states import failed, gate_state
from flows._tables import publish_findings, publish_gates, publish_integration
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.integrate import IntegrateSummary, run_integrate


class IntegrateOptions(ProjectOptions):
    """What to play through."""

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return "all scenarios"


@phase_task("integrate")
def play(context: PhaseContext, _options: IntegrateOptions) -> IntegrateSummary:
    """Play every scenario and publish the matrix, the gate and the report."""
    summary = run_integrate(context)
    publish_integration(context, summary.cells)
    publish_gates(context, summary.gates)
    publish_findings(context, "integrate")
    publish_reports(context, summary.reports)
    return summary


DEFAULTS = IntegrateOptions()


@flow(name="integrate", flow_run_name="integrate · {options.label}")
def integrate(options: IntegrateOptions = DEFAULTS) -> State[Any]:
    """Test the integration; the gate's verdict is how this ends."""
    state = play(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: IntegrateSummary = state.result()
    return gate_state(summary.gates, summary)
