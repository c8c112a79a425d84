"""`rollout sync`: carry orders, messages and the like into the CRM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout.cli.tables import table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.sync import SyncSummary

_FIGURES = ("read", "created", "updated", "unchanged", "overwrote", "stale", "late", "dead", "resolved", "unknown")


@click.group()
def command() -> None:
    """Carry what changed in the systems around the CRM into it."""


@click.argument("names", nargs=-1)
def _run(invocation: Invocation, *, names: tuple[str, ...]) -> int:
    """Run the syncs NAMES (default: all), from where each stopped to the end of its feed.

    Exit 1 if the CRM left open whether it stored a record, 3 if a system did not answer; running it again goes on.
    """
    from rollout.phases.sync import run_sync  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_sync(context, names or None)
    invocation.emit(summary, text=_text(summary))
    if any(figures.unknown for figures in summary.syncs.values()):
        return 1
    return 0 if summary.complete else 3


@verb
def _status(invocation: Invocation) -> int:
    """Where each sync stands: when it last got through to the end of its feed, its dead letters."""
    from rollout.phases.sync import sync_status  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        found = sync_status(context)
    rows = [[name, state.advanced_at or "never", sum(state.dead_letters.values())] for name, state in found.items()]
    invocation.emit({"syncs": found}, text=table(["sync", "got through at", "dead letters"], rows))
    return 0


@verb
def _dead_letters(invocation: Invocation) -> int:
    """List the records that could not be carried so far, with the reason. Every run tries them again."""
    from rollout.phases.sync import dead_letters  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        found = dead_letters(context)
    rows = [[line.sync, line.source_id, line.reason_code, line.attempts, line.message] for line in found]
    headers = ["sync", "record", "reason", "attempts", "message"]
    invocation.emit({"dead_letters": found}, text=table(headers, rows) if rows else "no dead letters")
    return 0


def _text(summary: SyncSummary) -> str:
    rows = [[name, *(getattr(figures, column) for column in _FIGURES)] for name, figures in summary.syncs.items()]
    stopped = [f"{name} stopped: {figures.stopped}" for name, figures in summary.syncs.items() if figures.stopped]
    return "\n".join([table(["sync", *_FIGURES], rows), *stopped, f"done in {summary.seconds:.1f} s"])


command.add_command(verb(_run), "run")
command.add_command(_status, "status")
command.add_command(_dead_letters, "dead-letters")
