"""Plan: what would be created and changed in the CRM, field by field, for approval. Twin: ``rollout plan``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows._options import WaveOptions
from flows._plans import publish_plan
from flows._states import failed
from flows._tables import publish_findings
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.plan import PlanSummary, run_plan


class PlanOptions(WaveOptions):
    """What to plan."""


@phase_task("plan")
def plan_load(context: PhaseContext, options: PlanOptions) -> PlanSummary:
    """Compare with what the CRM holds and publish what would change."""
    summary = run_plan(context, wave=options.wave or None)
    publish_plan(context, summary)
    publish_findings(context, "plan")
    return summary


DEFAULTS = PlanOptions()


@flow(name="plan", flow_run_name="plan · {options.label}")
def plan(options: PlanOptions = DEFAULTS) -> State[Any]:
    """Plan the load; a named person approves it before anything runs."""
    state = plan_load(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary = state.result()
    return Completed(message=f"plan {summary.plan_id} of wave {summary.wave} waits for approval", data=summary)
