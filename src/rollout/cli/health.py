"""`rollout health`: is the CRM well, and do the syncs keep up?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.alerting import IncidentSummary
    from rollout.phases.health import HealthSummary


@verb
def command(invocation: Invocation) -> int:
    """Log in, create, read back and delete a record, look at every sync, dead letters, disk and database; tell people.

    Exit 1 if anything is not as it should be; it is recorded all the same.
    """
    from rollout.phases.health import run_health  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_health(context)
    invocation.emit(summary, text=_text(summary))
    return 0 if summary.ok else 1


def _text(summary: HealthSummary) -> str:
    rows = [
        [
            "ok" if probe.ok else "FAILS",
            probe.name,
            "–" if probe.latency_s is None else f"{probe.latency_s:.3f} s",
            probe.detail,
        ]
        for probe in summary.probes
    ]
    rows += [["–", name, "–", "not configured"] for name in summary.not_configured]
    return "\n".join([text_table(["", "probe", "took", "what it found"], rows), incidents(summary.incidents)])


def incidents(found: IncidentSummary) -> str:
    """What a run did to the incidents, in a line."""
    told = f"{found.open} incidents open ({len(found.opened)} new, {len(found.closed)} over)"
    told += f", {found.messages} messages sent"
    return f"{told}; not sent: {found.not_sent}" if found.not_sent else told
