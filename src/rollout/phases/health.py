"""`health`: is the CRM there, does it store what it is given, do the syncs keep up? Every few minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

from pydantic import Field

from rollout.journal.operations import Operations, ProbeRow
from rollout.model.base import Frozen
from rollout.operate.incidents import Signal
from rollout.phases.alerting import IncidentSummary, settle
from rollout.phases.context import PhaseContext
from rollout.phases.probes import Probe, not_configured, probes

PHASE = "health"


class HealthSummary(Frozen):
    """The answer of `health`."""

    run_id: str
    ok: bool = Field(description="Every probe is fine, and everybody who had to be told was told.")
    probes: tuple[Probe, ...]
    not_configured: tuple[str, ...] = Field(description="Probes that the project has nothing for.")
    incidents: IncidentSummary


def run_health(context: PhaseContext, *, sleep: Callable[[float], None] = time.sleep) -> HealthSummary:
    """Measure every probe, record what was measured, open and close incidents, tell people.

    Args:
        context: The phase's context.
        sleep: Waits where the target shows what was written only after a while, seconds.

    Raises:
        ConfigError: No target names the phase `operate`.
        Retryable: The journal's database cannot be reached: then nothing can be recorded.
    """
    context.target("operate")
    with context.journal.running(PHASE) as run:
        at = context.clock()  # as the check begins: where systems hang, it may last into the time of the next
        found = tuple(probes(context, sleep=sleep))
        with context.journal.transaction() as connection:
            Operations(context.journal.project_id).add_probes(
                connection,
                [
                    ProbeRow(run.run_id, probe.name, probe.ok, probe.latency_s, probe.value, probe.detail, at)
                    for probe in found
                ],
            )
        incidents = settle(
            context, PHASE, [Signal(f"{PHASE}:{probe.name}", probe.detail) for probe in found if not probe.ok]
        )
        summary = HealthSummary(
            run_id=run.run_id,
            ok=all(probe.ok for probe in found) and not _untold(context, incidents),
            probes=found,
            not_configured=not_configured(context),
            incidents=incidents,
        )
        run.summary = summary.model_dump(mode="json")
    return summary


def _untold(context: PhaseContext, incidents: IncidentSummary) -> bool:
    """Whether a messenger failed; a project without one has nobody to tell."""
    return context.project.spec.operations.alerts is not None and bool(incidents.not_sent)
