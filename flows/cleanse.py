"""Cleanse: map, normalise, validate, merge duplicates; quarantine what does not fit. Twin: ``rollout cleanse``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows._artifacts import publish_reports
from flows._data import publish_cleansed
from flows._options import ProjectOptions
from flows._states import failed
from flows._tables import publish_conservation, publish_findings
from flows._tasks import phase_task
from rollout.phases.cleanse import CleanseSummary, run_cleanse
from rollout.phases.context import PhaseContext


class CleanseOptions(ProjectOptions):
    """What to cleanse."""


@phase_task("cleanse")
def cleanse_entities(context: PhaseContext, _options: CleanseOptions) -> CleanseSummary:
    """Cleanse every entity, parents first; publish where its rows went and what waits for people."""
    summary = run_cleanse(context)
    publish_conservation(context)
    publish_cleansed(context, summary)
    publish_findings(context, "cleanse")
    publish_reports(context, summary.reports)
    return summary


DEFAULTS = CleanseOptions()


@flow(name="cleanse", flow_run_name="cleanse · {options.label}")
def cleanse(options: CleanseOptions = DEFAULTS) -> State[Any]:
    """Cleanse, validate and merge duplicates."""
    state = cleanse_entities(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: CleanseSummary = state.result()
    pairs = sum(done.review for done in summary.entities.values())
    undecided = sum(done.dormant.undecided for done in summary.entities.values() if done.dormant)
    waiting = f"; for people: {pairs:,} pairs to review, {undecided:,} dormant records to decide"
    told = f"cleansed; every source row is accounted for{waiting if pairs or undecided else ''}"
    return Completed(message=told, data=summary)
