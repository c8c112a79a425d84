"""Prepare: is everything there that the rollout needs? Changes nothing outside. Twin: ``rollout prepare``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed

from flows._options import ProjectOptions
from flows._states import failed
from flows._tables import publish_findings
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.prepare import PrepareSummary, run_prepare


class PrepareOptions(ProjectOptions):
    """What to prepare."""


@phase_task("prepare")
def prepare_project(context: PhaseContext, _options: PrepareOptions) -> PrepareSummary:
    """Reach every system and publish what was found."""
    summary = run_prepare(context)
    publish_findings(context, "prepare")
    return summary


DEFAULTS = PrepareOptions()


@flow(name="prepare", flow_run_name="prepare · {options.label}")
def prepare(options: PrepareOptions = DEFAULTS) -> State[Any]:
    """Look whether the rollout can begin."""
    state = prepare_project(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: PrepareSummary = state.result()
    if summary.errors:
        errors = "; ".join(finding.message for finding in summary.findings if finding.level == "error")
        return Failed(name="NotPrepared", message=f"{summary.errors} errors: {errors}")
    message = f"{len(summary.systems)} systems looked at, {summary.people} people may decide"
    return Completed(message=message, data=summary)
