"""`rollout map`: suggestions for mappings, and the workbook in which people confirm them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout.cli.progress import TerminalProgress
from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.context import PhaseContext
    from rollout.phases.map_suggest import SourceSuggestions
    from rollout.project.spec import Language


@click.group()
def command() -> None:
    """Say which column fills which field: suggested by the data, confirmed by people in a workbook."""


def _draft(invocation: Invocation) -> PhaseContext:
    """The context of a project whose mappings may be missing."""
    from rollout.phases.context import open_context  # noqa: PLC0415 - heavy
    from rollout.project.loader import load_draft  # noqa: PLC0415

    _ = invocation.workspace  # begins the log
    return open_context(load_draft(invocation.path, env=invocation.env), progress=TerminalProgress())


_entities = click.option("--entity", "entities", multiple=True, help="Only this entity; may be repeated.")


@_entities
@click.option("--write", is_flag=True, help="Add the proposals to the mapping files, unconfirmed; nothing is replaced.")
def _suggest(invocation: Invocation, *, entities: tuple[str, ...], write: bool) -> int:
    """Suggest columns for fields that nothing fills, with reasons, value maps and date formats."""
    from rollout.phases.map_suggest import run_suggest  # noqa: PLC0415 - heavy

    with _draft(invocation) as context:
        summary = run_suggest(context, entities=entities or None, write=write)
    parts = [
        _told(entity, source, told) for entity, sources in summary.entities.items() for source, told in sources.items()
    ]
    closing = f"Written: {', '.join(summary.written)}; nobody has confirmed it yet." if summary.written else ""
    if not closing and any(told.fields for sources in summary.entities.values() for told in sources.values()):
        closing = "Next: rollout map suggest --write, then: rollout map export FILE.xlsx"
    invocation.emit(summary, text="\n".join([*parts, closing]).rstrip())
    return 0


@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_entities
@click.option("--language", type=click.Choice(["zh", "en"]), help="Of headers. Default: the project's first.")
def _export(invocation: Invocation, *, file: Path, entities: tuple[str, ...], language: Language | None) -> int:
    """Write the workbook in which people change and confirm mappings: fields, value maps, owners; samples masked."""
    from rollout.phases.map_export import export_map  # noqa: PLC0415 - heavy

    with _draft(invocation) as context:
        summary = export_map(context, file, entities=entities or None, language=language)
    invocation.emit(
        summary,
        text=f"{summary.fields:,} fields are in {summary.file}: {summary.unmapped:,} that nothing fills,"
        f" {summary.unconfirmed:,} that nobody confirmed; {summary.open_values:,} values and"
        f" {summary.open_owners:,} people are not mapped.\nNext: fill it in, then: rollout map import {summary.file}",
    )
    return 0


@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--apply", is_flag=True, help="Write what differs into the mapping files and tables.")
@click.option("--by", "person", help="Who applies it, as `rollout people` knows them.")
@click.option(
    "--code",
    envvar="ROLLOUT_CODE",
    help="Their personal code; asked for when missing. $ROLLOUT_CODE keeps it out of the shell's history.",
)
@click.option("--reason", default="mapping workbook", show_default=True, help="Why, in a sentence; it is recorded.")
def _import(
    invocation: Invocation, *, file: Path, apply: bool, person: str | None, code: str | None, reason: str
) -> int:
    """Show what the workbook changes; with --apply write it. Refused where a file changed since the export."""
    from rollout.phases.map_import import import_map  # noqa: PLC0415 - heavy

    if apply and person is None:
        raise click.UsageError("--apply needs --by NAME: it is recorded who confirmed the changes")
    if apply and code is None:
        code = click.prompt("Personal code", hide_input=True, err=True)
    with _draft(invocation) as context:
        summary = import_map(context, file, apply=apply, person=person or "", code=code or "", reason=reason)
    lines = [
        f"{change.place} {change.cell}: {change.old or '–'} → {change.new or '–'} ({change.file})"
        for change in summary.changes
    ]
    if summary.problems:
        wrong = [
            f"{found.sheet}, line {found.line} ({found.place}): {found.message}\n  → {found.hint}"
            for found in summary.problems
        ]
        invocation.emit(
            summary, text="\n".join([*lines, *wrong, f"Nothing was written: {len(wrong)} lines cannot be taken."])
        )
        return 2
    if not summary.changes:
        closing = "The workbook says what the project says: nothing changes."
    elif summary.applied:
        closing = f"Written to {', '.join(summary.files)}.\nNext: rollout cleanse"
    else:
        closing = f"{len(lines)} cells differ.\nNext: rollout map import {file} --apply --by NAME"
    invocation.emit(summary, text="\n".join([*lines, closing]))
    return 0


def _told(entity: str, source: str, told: SourceSuggestions) -> str:
    """What is suggested for a source, as people read it."""
    lines = [f"{entity} ← {source} ({told.rows:,} rows; {told.file})"]
    rows = [
        [
            item.target,
            item.column,
            f"{item.score:.2f}",
            ", ".join(str(reason) for reason in item.reasons),
            _about(item.dates, item.date_format, must_confirm=item.must_confirm),
        ]
        for item in told.fields
    ]
    if rows:
        lines.append(text_table(["field", "column", "score", "reasons", "dates"], rows))
    for item in told.fields:
        lines += [f"  {item.target}: '{line.raw}' ({line.rows:,}) → {line.value or '?'}" for line in item.values]
    for field, gaps in told.values.items():
        lines += [
            f"  {field}: '{line.raw}' ({line.rows:,}) is not in the value map → {line.value or '?'}" for line in gaps
        ]
    if told.unfilled:
        lines.append(f"  nothing found for: {', '.join(told.unfilled)}")
    if told.unused:
        lines.append(f"  columns that fill nothing: {', '.join(told.unused)}")
    return "\n".join(lines)


def _about(dates: dict[str, float], likely: str | None, *, must_confirm: bool) -> str:
    ways = ", ".join(f"{way} {share:.0%}" for way, share in dates.items())
    return f"{ways}: confirm the format{f', perhaps {likely}' if likely else ''}" if must_confirm else ways


command.add_command(verb(_suggest), "suggest")
command.add_command(verb(_export), "export")
command.add_command(verb(_import), "import")
