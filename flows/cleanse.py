"""Cleanse: map, normalise, validate, merge duplicates; quarantine what does not fit. Twin: ``rollout cleanse``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows._artifacts import publish_conservation, publish_findings
from flows._common import ProjectOptions, phase_task
from flows._states import failed
from rollout.phases.cleanse import CleanseSummary, run_cleanse
from rollout.phases.context import PhaseContext


class CleanseOptions(ProjectOptions):
    """What to cleanse."""


@phase_task("cleanse")
def cleanse_entities(context: PhaseContext, _options: CleanseOptions) -> CleanseSummary:
    """Cleanse every entity, parents first, and publish where its rows went."""
    summary = run_cleanse(context)
    publish_conservation(context)
    publish_findings(context, "cleanse")
    return summary


DEFAULTS = CleanseOptions()


@flow(name="cleanse", flow_run_name="cleanse · {options.label}")
def cleanse(options: CleanseOptions = DEFAULTS) -> State[Any]:
    """Cleanse, validate and merge duplicates."""
    state = cleanse_entities(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    return Completed(message="cleansed; every source row is accounted for", data=state.result())
