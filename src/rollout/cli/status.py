"""`rollout status`: where the rollout is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout.cli.tables import override_line, text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.report.status import PhaseStatus, RolloutStatus


@click.option(
    "--look", "look_at_sources", is_flag=True, help="Read the sources, too: are they still what was cleansed?"
)
def _status(invocation: Invocation, *, look_at_sources: bool) -> int:
    """Show every phase: its state, its verdict, and who must do what next.

    Asks the journal alone, so that it answers whatever else is down.
    """
    from rollout.phases.status import rollout_status  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        status = rollout_status(context, look_at_sources=look_at_sources)
    invocation.emit(status, text=status_text(status))
    return 0


def status_text(status: RolloutStatus) -> str:
    """The phases as a table, the overrides, and the next step."""
    from rollout.report.status import overridden  # noqa: PLC0415 - heavy

    rows = [
        [
            f"{phase.phase} ({phase.wave})" if phase.wave else phase.phase,
            phase.state.replace("_", " "),
            phase.verdict.value if phase.verdict else "–",
            f"{phase.decided_by or '–'}{' (override)' if phase.is_override else ''}",
            " ".join([*([phase.waiting_for] if phase.waiting_for else []), *phase.remarks]) or "–",
        ]
        for phase in status.phases
    ]
    grid = text_table(["phase", "state", "verdict", "decided by", "waiting for"], rows, title="Where the rollout is")
    notes = [
        f"gate {gate.name}{f' ({gate.wave})' if gate.wave else ''}: {override_line(override)}"
        for gate, override in overridden(status)
    ]
    notes += [found.told for found in status.handouts]
    return "\n".join([grid, *notes, next_line(status.next)])


def next_line(phase: PhaseStatus | None) -> str:
    """What comes next, in one line."""
    if phase is None:
        return "Next: nothing; the CRM is live."
    name = f"{phase.phase} ({phase.wave})" if phase.wave else phase.phase
    return f"Next: {name}. {phase.waiting_for or ''}".rstrip()


command = verb(_status)
