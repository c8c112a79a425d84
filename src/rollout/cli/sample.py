"""`rollout sample`: people compare a sample of the loaded records with what they came from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb
from rollout.errors import ConfigError

if TYPE_CHECKING:
    from rollout.verify.people import PeopleResult


@click.group()
def command() -> None:
    """Have people check a sample of the loaded records; what they find is a criterion beside the machine's."""


_wave = click.option("--wave", help="Of this wave. Default: the one whose load was begun last.")


@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--by",
    type=click.Choice(["owner", "region", "all"]),
    default="owner",
    show_default=True,
    help="Who checks a record: its owner (where it has none its region), its region, or one person everything.",
)
@click.option("--entity", "entities", multiple=True, help="Only this entity; may be given several times.")
@_wave
@click.option("--again", is_flag=True, help="Also the records that were judged, with what was said.")
@click.option("--unmasked", is_flag=True, help="Show personal data; the files are sealed by handouts.password.")
@click.option("--language", type=click.Choice(["zh", "en"]), help="Of the workbooks. Default: the project's first.")
def _export(
    invocation: Invocation,
    *,
    folder: Path,
    by: str,
    entities: tuple[str, ...],
    wave: str | None,
    again: bool,
    unmasked: bool,
    language: str | None,
) -> int:
    """Write an Excel workbook for each checker into FOLDER, of the drawn records that nobody has judged yet.

    A line shows the legacy rows as they were read, what they became, what the CRM holds now and where to see it.
    """
    from rollout.phases.sample import export_sample  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = export_sample(
            context,
            folder,
            by=by,  # type: ignore[arg-type]
            wave=wave,
            entities=entities or None,
            unmasked=unmasked,
            again=again,
            language=language,  # type: ignore[arg-type]
        )
    rows = [[file.checker, f"{file.rows:,}", file.file] for file in summary.files]
    told = text_table(["checker", "records", "file"], rows) if rows else "Everything that was drawn is judged."
    invocation.emit(
        summary,
        text=f"{told}\n{_proves(summary.proves, summary.people)}"
        + (
            f"\nDue on {summary.due_on}. Next: rollout sample import FILES --by NAME"
            if rows
            else "\nNext: rollout verify"
        ),
    )
    return 0


@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--by", "person", required=True, help="Who vouches for the answers, as `rollout people` knows them.")
@click.option(
    "--code",
    envvar="ROLLOUT_CODE",
    prompt="Personal code",
    hide_input=True,
    help="Their personal code; asked for when missing. $ROLLOUT_CODE keeps it out of the shell's history.",
)
@click.option("--password-env", help="Variable that holds the password of sealed files. Default: handouts.password.")
def _import(
    invocation: Invocation, *, files: tuple[Path, ...], person: str, code: str, password_env: str | None
) -> int:
    """Record what the checkers found: all of it, or nothing where a line cannot be taken.

    The newest answer about a record counts, until the record is loaded again with other values.
    """
    from rollout.phases.sample_import import import_sample  # noqa: PLC0415 - heavy

    password = os.environ.get(password_env) if password_env else None
    if password_env and not password:
        raise ConfigError(f"${password_env} is not set", hint="set it to the password of the workbooks")
    with invocation.context() as context:
        summary = import_sample(context, files, person=person, code=code, password=password)
    if summary.problems:
        wrong = "\n".join(
            f"{found.file} line {found.line}: {found.message}\n  → {found.hint}" for found in summary.problems
        )
        invocation.emit(summary, text=f"{wrong}\nNothing was recorded: {len(summary.problems)} lines cannot be taken.")
        return 2
    told = f"Recorded for {person}: {summary.right:,} right, {summary.wrong:,} wrong"
    told += f", {summary.unanswered:,} left open." if summary.unanswered else "."
    invocation.emit(summary, text=f"{told}\n{people_text(summary.people)}\nNext: rollout verify")
    return 0


@_wave
def _list(invocation: Invocation, *, wave: str | None) -> int:
    """Show what went out, what came back, and what the answers prove until now.

    Exit 1 as long as lines are open.
    """
    from rollout.phases.sample import sample_standing  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = sample_standing(context, wave=wave)
    rows = [
        [out.handout_id, out.checker, f"{out.answered:,}/{out.rows:,}", str(out.due_on or ""), out.returned_by or "–"]
        for out in summary.handouts
    ]
    listed = text_table(["handout", "checker", "answered", "due", "returned by"], rows) + "\n" if rows else ""
    invocation.emit(summary, text=f"{listed}{_proves(summary.proves, summary.people)}")
    return 1 if any(result.open for result in summary.people) else 0


def _proves(share: float, people: Sequence[PeopleResult]) -> str:
    told = f"If nothing is found wrong this proves: at most {share:.2%} of each entity's records are wrong"
    confidence = f" ({people[0].confidence:.0%} confidence)" if people else ""
    return f"{told}{confidence}.\n{people_text(people)}"


def people_text(people: Sequence[PeopleResult]) -> str:
    """What people's answers prove, a line an entity."""
    lines = []
    for result in people:
        proven = f"{result.open:,} open: no conclusion yet"
        if not result.asked:
            proven = "nothing was loaded"
        elif result.bound is not None:
            proven = f"at most {result.bound:.2%} of {result.population:,} wrong"
        lapsed = f", {result.lapsed:,} lapsed" if result.lapsed else ""
        lines.append(
            f"{result.entity}: {result.checked:,} of {result.asked:,} judged, {result.wrong:,} wrong{lapsed}; {proven}"
        )
    return "\n".join(lines)


command.add_command(verb(_export), "export")
command.add_command(verb(_import), "import")
command.add_command(verb(_list), "list")
