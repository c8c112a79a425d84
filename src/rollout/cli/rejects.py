"""`rollout rejects`: the queue of rows that a load left over."""

from __future__ import annotations

from pathlib import Path

import click

from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb


@click.group()
def command() -> None:
    """See, repair and decide the rows that a load could not finish: rejected, in conflict, waiting, unknown."""


_wave = click.option("--wave", help="Of this wave. Default: the one loaded last.")
_skipped = click.option("--skipped", is_flag=True, help="Also the rows that people skipped.")


@_wave
@_skipped
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Rows to list one by one.")
def _list(invocation: Invocation, *, wave: str | None, skipped: bool, limit: int) -> int:
    """List what waits for people, counted by reason; personal data masked."""
    from rollout.phases.rejects import list_rejects  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = list_rejects(context, wave=wave, skipped=skipped, limit=limit)
    rows = [[row.entity, row.key, row.title, row.state, row.reason_code, row.message] for row in summary.listed]
    told = "\n".join(
        f"{entity}: {count:,} × {reason}"
        for entity, counts in summary.entities.items()
        for reason, count in counts.items()
    )
    listed = "\n" + text_table(["entity", "key", "title", "state", "reason", "message"], rows) if rows else ""
    invocation.emit(
        summary,
        text=f"{summary.rows:,} rows of wave {summary.wave} wait, {summary.decided:,} of them are decided."
        + (f"\n{told}{listed}\nNext: rollout rejects export FILE.xlsx" if summary.rows else ""),
    )
    return 1 if summary.rows else 0


@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_wave
@_skipped
def _export(invocation: Invocation, *, file: Path, wave: str | None, skipped: bool) -> int:
    """Write the queue as an Excel workbook, a line a field to look at; values in plain text, for one's own eyes."""
    from rollout.phases.rejects import export_rejects  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = export_rejects(context, file, wave=wave, skipped=skipped)
    invocation.emit(
        summary,
        text=f"{summary.rows:,} rows of wave {summary.wave} are in {summary.file}.\n"
        f"Next: choose an action for each, then: rollout rejects import {summary.file} --by NAME --reason TEXT",
    )
    return 0


@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--by", "person", required=True, help="Who decided, as `rollout people` knows them.")
@click.option(
    "--code",
    envvar="ROLLOUT_CODE",
    prompt="Personal code",
    hide_input=True,
    help="Their personal code; asked for when missing. $ROLLOUT_CODE keeps it out of the shell's history.",
)
@click.option("--reason", required=True, help="Why, in a sentence; it is recorded.")
def _import(invocation: Invocation, *, file: Path, person: str, code: str, reason: str) -> int:
    """Carry out what was decided in the workbook: all of it, or nothing where a line cannot be done.

    Makes the plan of what is sent again, approved by the person who decided; `rollout load --retry` applies it.
    """
    from rollout.phases.rejects_import import import_rejects  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = import_rejects(context, file, person=person, code=code, reason=reason)
    if summary.problems:
        wrong = "\n".join(
            f"line {found.line} ({found.key}): {found.message}\n  → {found.hint}" for found in summary.problems
        )
        invocation.emit(summary, text=f"{wrong}\nNothing was done: {len(summary.problems)} lines cannot be.")
        return 2
    decided = ", ".join(f"{count:,} × {choice}" for choice, count in summary.decisions.items()) or "nothing"
    told = f"Decided by {person}: {decided}."
    if summary.gone:
        told += f" {summary.gone:,} rows are settled since the export."
    if summary.plan_id and summary.approved:
        told += f"\nPlan {summary.plan_id} sends them again.\nNext: rollout load --retry"
    elif summary.plan_id:
        told += (
            f"\nPlan {summary.plan_id} also holds {summary.unfinished:,} rows that no load came to yet: see"
            f" {summary.file}.\nNext: rollout approve --plan {summary.plan_id}"
        )
    invocation.emit(summary, text=told)
    return 0


command.add_command(verb(_list), "list")
command.add_command(verb(_export), "export")
command.add_command(verb(_import), "import")
