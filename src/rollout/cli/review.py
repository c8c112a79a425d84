"""`rollout review`: people decide about pairs of records that matching does not decide by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout.cli.signing import signed
from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb
from rollout.errors import ConfigError

if TYPE_CHECKING:
    from rollout.phases.review_import import ReviewImport


@click.group()
def command() -> None:
    """See and decide which records are the same, where matching leaves it to people."""


_entity = click.option("--entity", help="Only of this entity. Default: all.")


@_entity
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Pairs to list one by one.")
def _list(invocation: Invocation, *, entity: str | None, limit: int) -> int:
    """List the pairs that wait for people, counted by why; personal data masked."""
    from rollout.phases.review import list_review  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = list_review(context, entity=entity, limit=limit)
    counted = "".join(
        f"\n{name}: {count:,} × {reason}"
        for name, by_reason in summary.entities.items()
        for reason, count in by_reason.items()
    )
    rows = [
        [pair.entity, pair.title, "" if pair.probability is None else f"{pair.probability:.1%}", pair.reasons]
        for pair in summary.listed
    ]
    listed = "\n" + text_table(["entity", "records", "probability", "why"], rows) if rows else ""
    told = f"{summary.pairs:,} pairs wait for people."
    if summary.decided:
        told += f" {summary.decided:,} are decided: the next `rollout cleanse` heeds it."
    following = "\nNext: rollout review export DIR" if summary.pairs else ""
    invocation.emit(summary, text=told + counted + listed + following)
    return 0


@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_entity
@click.option("--merged", is_flag=True, help="Also what was merged by itself, the least sure first.")
@click.option("--unmasked", is_flag=True, help="Show personal data; the files are sealed by handouts.password.")
@click.option("--language", type=click.Choice(["zh", "en"]), help="Of the workbooks. Default: the project's first.")
def _export(
    invocation: Invocation, *, folder: Path, entity: str | None, merged: bool, unmasked: bool, language: str | None
) -> int:
    """Write an Excel workbook for each entity into FOLDER: a line a pair, side by side, with what made us ask."""
    from rollout.phases.review import export_review  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = export_review(
            context,
            folder,
            entity=entity,
            merged=merged,
            unmasked=unmasked,
            language=language,  # type: ignore[arg-type]
        )
    rows = [[file.entity, f"{file.pairs:,}", file.file] for file in summary.files]
    told = text_table(["entity", "pairs", "file"], rows) if rows else "No pair waits for anybody."
    following = f"\nDue on {summary.due_on}. Next: rollout review import FILES --by NAME --reason TEXT" if rows else ""
    invocation.emit(summary, text=told + following)
    return 0


@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--password-env", help="Variable that holds the password of sealed files. Default: handouts.password.")
@signed("Why, in a sentence; it is recorded, with the notes beside the lines.")
def _import(
    invocation: Invocation,
    *,
    files: tuple[Path, ...],
    person: str,
    code: str,
    reason: str,
    password_env: str | None,
) -> int:
    """Record what was decided in the workbooks: all of it, or nothing where a line cannot be taken."""
    from rollout.phases.review_import import import_review  # noqa: PLC0415 - heavy

    password = os.environ.get(password_env) if password_env else None
    if password_env and not password:
        raise ConfigError(f"${password_env} is not set", hint="set it to the password of the workbooks")
    with invocation.context() as context:
        summary = import_review(context, files, person=person, code=code, reason=reason, password=password)
    if summary.problems:
        wrong = "\n".join(
            f"{found.file} line {found.line} ({found.pair}): {found.message}\n  → {found.hint}"
            for found in summary.problems
        )
        invocation.emit(summary, text=f"{wrong}\nNothing was recorded: {len(summary.problems)} lines cannot be taken.")
        return 2
    invocation.emit(summary, text=_told(summary, person))
    return 0


@click.argument("left")
@click.argument("right")
@click.argument("verdict", type=click.Choice(["same", "different"]))
@click.option("--entity", required=True, help="Whose rows they are.")
@signed("Why, in a sentence; it is recorded.")
def _decide(
    invocation: Invocation, *, left: str, right: str, verdict: str, entity: str, person: str, code: str, reason: str
) -> int:
    """Say of two rows, LEFT and RIGHT (`source:row key`), whether they are the same record, asked about or not.

    `different` takes a merge back that is not loaded yet; `rollout unmerge` takes back one that is.
    """
    from rollout.phases.review_import import decide_pair  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = decide_pair(context, entity, (left, right), verdict, person=person, code=code, reason=reason)
    invocation.emit(summary, text=_told(summary, person))
    return 0


def _told(summary: ReviewImport, person: str) -> str:
    told = f"Decided by {person}: {summary.same:,} same, {summary.different:,} different"
    told += f", {summary.unanswered:,} left open." if summary.unanswered else "."
    if summary.gone:
        told += f" {summary.gone:,} pairs are no longer asked about."
    return f"{told}\nNext: rollout cleanse"


command.add_command(verb(_list), "list")
command.add_command(verb(_export), "export")
command.add_command(verb(_import), "import")
command.add_command(verb(_decide), "decide")
