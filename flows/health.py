"""Health check, every few minutes. Twin: ``rollout health``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed

from flows._operation import publish_probes
from flows._options import ProjectOptions
from flows._states import failed
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.health import HealthSummary, run_health


class HealthOptions(ProjectOptions):
    """What to look at."""

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return "all probes"


@phase_task("health")
def probe(context: PhaseContext, _options: HealthOptions) -> HealthSummary:
    """Measure every probe, record it, tell people, and publish the table."""
    summary = run_health(context)
    publish_probes(context, summary)
    return summary


DEFAULTS = HealthOptions()


@flow(name="health", flow_run_name="health · {options.label}")
def health(options: HealthOptions = DEFAULTS) -> State[Any]:
    """Check that the CRM is there, stores what it is given, and that the syncs keep up."""
    state = probe(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: HealthSummary = state.result()
    if summary.ok:
        return Completed(name="Healthy", message=f"{len(summary.probes)} probes are fine", data=summary)
    wrong = "; ".join(f"{item.name}: {item.detail}" for item in summary.probes if not item.ok)
    return Failed(name="Unhealthy", message=wrong or summary.incidents.not_sent, data=summary)
