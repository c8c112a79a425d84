"""Assess: profile the legacy data, list the findings, write the report. Changes nothing. Twin: ``rollout assess``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows._artifacts import publish_reports
from flows._data import publish_assessed
from flows._options import ProjectOptions
from flows._states import failed
from flows._tables import publish_findings
from flows._tasks import phase_task
from rollout.phases.assess import AssessSummary, run_assess
from rollout.phases.context import PhaseContext


class AssessOptions(ProjectOptions):
    """What to assess."""


@phase_task("assess")
def assess_sources(context: PhaseContext, _options: AssessOptions) -> AssessSummary:
    """Profile every source and publish what was found."""
    summary = run_assess(context)
    publish_assessed(context, summary)
    publish_findings(context, "assess")
    publish_reports(context, summary.reports)
    return summary


DEFAULTS = AssessOptions()


@flow(name="assess", flow_run_name="assess · {options.label}")
def assess(options: AssessOptions = DEFAULTS) -> State[Any]:
    """Assess the legacy data."""
    state = assess_sources(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: AssessSummary = state.result()
    score = "" if summary.score is None else f"health {summary.score:.1f} of 100; "
    return Completed(message=f"assessed; {score}the report is linked under Artifacts", data=summary)
