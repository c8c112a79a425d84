"""`rollout undo`: take back what a load did, without losing what people did since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout.cli.tables import gate, table, unprotected
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.undo import UndoSummary
    from rollout.phases.undo_make import UndoPlanSummary

_ACTIONS = ("delete", "restore", "release", "keep")


@click.option("--wave", help="Plan to take back all loads, retries and deltas of this wave.")
@click.option("--run", "run_id", help="Plan to take back one load: the id of its run, or of its plan.")
@click.option("--through", is_flag=True, help="Take what later loads did to the same records back as well.")
@click.option("--rehearse", is_flag=True, help="Measure how long it takes: the gate `undo` is judged at the end.")
@click.option("--plan", "plan_id", help="Apply this plan. Default: the one under way, or the one approved last.")
def _undo(
    invocation: Invocation,
    *,
    wave: str | None,
    run_id: str | None,
    through: bool,
    rehearse: bool,
    plan_id: str | None,
) -> int:
    """Take back what a load did, without losing what people did since.

    With --wave or --run it plans: which records would go, which fields would go back, and what stays because people
    have worked on it. `rollout approve` comes next. Without them it applies the approved plan, or goes on with one that
    was interrupted.

    Exit 1 if records are still open; running it again goes on.
    """
    if wave or run_id:
        if plan_id:
            raise click.UsageError("--plan applies a plan, --wave and --run make one: leave one of them out")
        return _plan(invocation, wave=wave, run_id=run_id, through=through, rehearse=rehearse)
    if through or rehearse:
        raise click.UsageError("--through and --rehearse belong to the plan: give --wave or --run with them")
    from rollout.phases.undo import run_undo  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_undo(context, plan_id=plan_id)
    invocation.emit(summary, text=_told(invocation, summary))
    return 1 if summary.unknown or summary.open else 0


def _plan(invocation: Invocation, *, wave: str | None, run_id: str | None, through: bool, rehearse: bool) -> int:
    from rollout.phases.undo_make import plan_undo  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = plan_undo(context, wave=wave, run=run_id, through=through, rehearse=rehearse)
    invocation.emit(summary, text=_planned(invocation, summary))
    return 0


def _planned(invocation: Invocation, summary: UndoPlanSummary) -> str:
    rows = [[name, *(found.get(action, 0) for action in _ACTIONS)] for name, found in summary.entities.items()]
    reasons = "".join(f"\n  {rows:,} × {reason}" for reason, rows in summary.reasons.items())
    until = f", possible until {summary.window_ends_at:%Y-%m-%d %H:%M} UTC" if summary.window_ends_at else ""
    return (
        f"{table(['entity', *_ACTIONS], rows, title='What an undo would do')}\n"
        f"{summary.conflicts:,} records in which people changed what would go back: those fields stay{reasons}\n"
        f"Plan {summary.plan_id} takes back {', '.join(summary.plans)} of wave {summary.wave} from target"
        f" '{summary.target}', hash {summary.plan_hash[:16]}…{until}\n"
        f"About {summary.estimate_s:g} s and {summary.calls:,} calls ({summary.estimate_basis})\n"
        f"Field by field: {invocation.workspace.root / summary.file}\n"
        f"Next: rollout approve --plan {summary.plan_id} --by NAME --reason TEXT"
    )


def _told(invocation: Invocation, summary: UndoSummary) -> str:
    figures = ("deleted", "restored", "released", "kept", "conflicts", "unknown", "open")
    told = {
        "applied": "The undo is applied.",
        "already_applied": "The undo was applied before: nothing was changed.",
        "loading": "Records are still open: run `rollout undo` again.",
    }[summary.state]
    told += f" {summary.rows:,} rows in {summary.seconds:.1f} s, plan {summary.plan_id} of wave {summary.wave},"
    told += f" approved by {summary.approved_by}"
    rows = [[name, getattr(summary, name)] for name in figures]
    lines = [table(["records", ""], rows, title="What was taken back"), told]
    if summary.unprotected.rows:
        lines.append(unprotected(summary.unprotected))
    if summary.kept or summary.conflicts:
        lines.append(f"What was left, and why: {invocation.workspace.root / summary.file}")
    if summary.syncs_reset:
        lines.append(f"These syncs read from the beginning again: {', '.join(summary.syncs_reset)}")
    if summary.gate:
        lines.append(gate(summary.gate))
    return "\n".join(lines)


command = verb(_undo)
