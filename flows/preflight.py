"""Preflight: what in the CRM would disturb the import, or undo it on the first night. Twin: ``rollout preflight``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed

from flows._options import ProjectOptions
from flows._states import failed
from flows._tables import publish_findings
from flows._tasks import phase_task
from rollout.model.finding import Level
from rollout.phases.context import PhaseContext
from rollout.phases.preflight import PHASE, PreflightSummary, run_preflight


class PreflightOptions(ProjectOptions):
    """What to look at."""

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return "rules of the CRM"


@phase_task("preflight")
def look_at_rules(context: PhaseContext, _options: PreflightOptions) -> PreflightSummary:
    """Look at the CRM's own rules and publish what was found."""
    summary = run_preflight(context)
    publish_findings(context, PHASE)
    return summary


DEFAULTS = PreflightOptions()


@flow(name="preflight", flow_run_name="preflight · {options.label}")
def preflight(options: PreflightOptions = DEFAULTS) -> State[Any]:
    """See what would disturb the import or take its records away at night; changes nothing."""
    state = look_at_rules(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: PreflightSummary = state.result()
    if summary.errors:
        errors = "; ".join(finding.message for finding in summary.findings if finding.level is Level.ERROR)
        return Failed(name="NotQuiet", message=f"{summary.errors} errors: {errors}", data=summary)
    rules = ", ".join(summary.rules_on) or "none"
    return Completed(message=f"{summary.warnings} warnings; rules that are on: {rules}", data=summary)
