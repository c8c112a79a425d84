"""Delta: plan what changed on either side since the import, any number of times. Twin: ``rollout delta``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows._artifacts import publish_link
from flows._options import WaveOptions
from flows._plans import publish_plan
from flows._states import failed
from flows._tables import publish_findings
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.delta import DeltaSummary, run_delta


class DeltaOptions(WaveOptions):
    """What to compare."""

    in_turn = "all that are loaded"


@phase_task("delta")
def plan_delta(context: PhaseContext, options: DeltaOptions) -> DeltaSummary:
    """Compare old source, new source and CRM, and publish a plan for each wave in which there is something new."""
    summary = run_delta(context, wave=options.wave or None)
    for plan in summary.plans:
        publish_plan(context, plan)
    if summary.cleansed:
        publish_findings(context, "cleanse")
    if summary.gone_file:
        publish_link(context, ("delta", "gone"), summary.gone_file)
    return summary


DEFAULTS = DeltaOptions()


@flow(name="delta", flow_run_name="delta · {options.label}")
def delta(options: DeltaOptions = DEFAULTS) -> State[Any]:
    """Plan what changed since the import; what people changed in the CRM stays, or is theirs to decide about."""
    state = plan_delta(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: DeltaSummary = state.result()
    gone = sum(summary.gone.values())
    told = f"{summary.to_decide:,} conflicts, {gone:,} records gone from the source (they stay)"
    if not summary.plans:
        return Completed(message=f"nothing new to load; {told}", data=summary)
    plans = ", ".join(f"{plan.plan_id} (wave {plan.wave})" for plan in summary.plans)
    return Completed(name="AwaitingApproval", message=f"plans wait for approval: {plans}; {told}", data=summary)
