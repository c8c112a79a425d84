"""`rollout dormant`: records that nothing happened with for years, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from rollout.cli.signing import signed
from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.dormant_people import DormantSummary
    from rollout.project.spec import Language

_CHOICES = ["keep", "frozen", "pool", "leave_out"]


@click.group()
def command() -> None:
    """List dormant records and decide what becomes of them; no plan is made before that."""


@verb
def _list(invocation: Invocation) -> int:
    """Count dormant records by the year in which something last happened, and by what was decided.

    Exit 1 while some are undecided.
    """
    from rollout.phases.dormant_people import list_dormant  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = list_dormant(context)
    invocation.emit(summary, text=_text(summary))
    return 1 if summary.undecided else 0


@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--language", type=click.Choice(["zh", "en"]), help="Default: the project's first.")
def _export(invocation: Invocation, *, file: Path, language: str | None) -> int:
    """Write all dormant records as an Excel workbook, in which people choose line by line."""
    from rollout.phases.dormant_people import export_dormant  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = export_dormant(context, file, language=cast("Language | None", language))
    invocation.emit(
        summary,
        text=f"{_text(summary)}\nThey are in {file}.\nNext: rollout dormant decide {file} --by NAME --reason TEXT",
    )
    return 0


@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--all", "every", type=click.Choice(_CHOICES), help="For all that no line of a workbook ever named.")
@click.option("--entity", "entities", multiple=True, help="With --all: only of this entity; may be repeated.")
@signed("Why, in a sentence; it is recorded.")
def _decide(
    invocation: Invocation,
    *,
    files: tuple[Path, ...],
    every: str | None,
    entities: tuple[str, ...],
    person: str,
    code: str,
    reason: str,
) -> int:
    """Decide by workbooks, line by line, or with --all about everything else, later findings included."""
    from rollout.phases.dormant_people import decide_dormant  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        done = decide_dormant(
            context,
            person=person,
            code=code,
            reason=reason,
            files=files,
            every=every,
            entities=entities or None,
        )
    if done.problems:
        invocation.emit(done, text="\n".join([*done.problems, "Nothing was recorded."]))
        return 2
    told = [
        f"{name}: {', '.join(f'{count:,} × {choice}' for choice, count in counts.items())}"
        for name, counts in done.entities.items()
    ]
    if done.not_dormant:
        told.append(f"{len(done.not_dormant):,} lines name no dormant record; nothing was done about them.")
    invocation.emit(done, text="\n".join([*(told or ["Nothing was chosen."]), "Next: rollout cleanse"]))
    return 0


def _text(summary: DormantSummary) -> str:
    rows = [
        [
            name,
            f"{found.found:,}",
            f"{found.undecided:,}",
            ", ".join(f"{count:,} {choice.replace('_', ' ')}" for choice, count in found.choices.items()) or "–",
            ", ".join(f"{year}: {count:,}" for year, count in found.last_seen.items()) or "–",
            f"{found.as_of} − {found.after_years:g} years",
        ]
        for name, found in summary.entities.items()
    ]
    return text_table(["entity", "dormant", "undecided", "decided", "last seen", "silent since"], rows)


command.add_command(_list, "list")
command.add_command(verb(_export), "export")
command.add_command(verb(_decide), "decide")
