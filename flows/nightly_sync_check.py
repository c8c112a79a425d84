"""Nightly sync check. Twin: ``rollout sync-check``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows._artifacts import publish_link
from flows._options import ProjectOptions
from flows._states import failed, gate_state
from flows._tables import publish_findings, publish_gates
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.nightly import PHASE, SyncCheckSummary, run_sync_check


class SyncCheckOptions(ProjectOptions):
    """What to compare."""

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return "CRM against ERP and legacy"


@phase_task("sync check")
def compare(context: PhaseContext, _options: SyncCheckOptions) -> SyncCheckSummary:
    """Compare, record, tell people, and publish gate, findings and the list of differences."""
    summary = run_sync_check(context)
    publish_gates(context, (summary.gate,))
    publish_findings(context, PHASE)
    publish_link(context, ("sync-check", "differences"), summary.differences)
    return summary


DEFAULTS = SyncCheckOptions()


@flow(name="nightly-sync-check", flow_run_name="sync check · {options.label}")
def nightly_sync_check(options: SyncCheckOptions = DEFAULTS) -> State[Any]:
    """Compare the CRM with the systems around it and with what was loaded; the gate's verdict is how this ends."""
    state = compare(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: SyncCheckSummary = state.result()
    return gate_state((summary.gate,), summary)
