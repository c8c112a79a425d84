"""Verify: read the CRM back, compare, sample, judge the gates. Twin: ``rollout verify``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows._artifacts import publish_reports
from flows._options import WaveOptions
from flows._states import failed, gate_state
from flows._tables import publish_gates
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.verify import VerifySummary, run_verify


class VerifyOptions(WaveOptions):
    """What to verify."""

    in_turn = "wave loaded last"


@phase_task("verify")
def verify_target(context: PhaseContext, options: VerifyOptions) -> VerifySummary:
    """Compare every row with the CRM and publish the gates."""
    summary = run_verify(context, wave=options.wave or None)
    publish_gates(context, summary.gates, summary.wave)
    publish_reports(context, summary.reports)
    return summary


DEFAULTS = VerifyOptions()


@flow(name="verify", flow_run_name="verify · {options.label}")
def verify(options: VerifyOptions = DEFAULTS) -> State[Any]:
    """Verify the load; the gates' verdict is how this ends."""
    state = verify_target(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: VerifySummary = state.result()
    return gate_state(summary.gates, summary)
