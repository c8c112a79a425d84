"""`rollout map`: suggestions for mappings, and the workbook in which people confirm them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout.cli.progress import TerminalProgress
from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.map_suggest import SourceSuggestions


@click.group()
def command() -> None:
    """Say which column fills which field: suggested by the data, confirmed by people in a workbook."""


_entities = click.option("--entity", "entities", multiple=True, help="Only this entity; may be repeated.")


@_entities
@click.option("--write", is_flag=True, help="Add the proposals to the mapping files, unconfirmed; nothing is replaced.")
def _suggest(invocation: Invocation, *, entities: tuple[str, ...], write: bool) -> int:
    """Suggest columns for fields that nothing fills, with reasons, value maps and date formats."""
    from rollout.phases.context import open_context  # noqa: PLC0415 - heavy
    from rollout.phases.map_suggest import run_suggest  # noqa: PLC0415
    from rollout.project.loader import load_draft  # noqa: PLC0415

    invocation.workspace  # noqa: B018 - begins the log
    project = load_draft(invocation.path, env=invocation.env)
    with open_context(project, progress=TerminalProgress()) as context:
        summary = run_suggest(context, entities=entities or None, write=write)
    parts = [
        _told(entity, source, told) for entity, sources in summary.entities.items() for source, told in sources.items()
    ]
    closing = f"Written: {', '.join(summary.written)}; nobody has confirmed it yet." if summary.written else ""
    if not closing and any(told.fields for sources in summary.entities.values() for told in sources.values()):
        closing = "Next: rollout map suggest --write, then: rollout map export FILE.xlsx"
    invocation.emit(summary, text="\n".join([*parts, closing]).rstrip())
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
