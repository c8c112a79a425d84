"""Tables for people on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rollout.load.exposure import UnprotectedWindow
from rollout.model.outcome import Accounting, Bucket
from rollout.model.progress import Override
from rollout.model.verdict import GateResult

if TYPE_CHECKING:  # heavy
    from rollout.phases.compare_plans import PlanComparison


def rendered(table: Table) -> str:
    """A table as text, as wide as the terminal, without colours when nobody looks."""
    console = Console(file=StringIO(), force_terminal=False, width=max(Console().width, 120))
    console.print(table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().rstrip()


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> str:
    """A table; the first column is text, the others are figures."""
    grid = Table(title=title or None, title_justify="left")
    for at, header in enumerate(headers):
        grid.add_column(header, justify="right" if at else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return rendered(grid)


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> str:
    """A table of text; the last column, and the widest one, may run over several lines."""
    grid = Table(title=title or None, title_justify="left")
    widths = [max(map(cell_len, (header, *(row[at] for row in rows)))) for at, header in enumerate(headers)]
    for at, header in enumerate(headers):
        # If what is wide could not give way, narrow columns would vanish beside it.
        grid.add_column(header, no_wrap=at < len(headers) - 1 and widths[at] < max(widths))
    for row in rows:
        grid.add_row(*map(escape, row))
    return rendered(grid)


_SIDE_BY_SIDE = 4
"""Entities that have a column each; more of them have a row each."""


def conservation(entities: Mapping[str, Accounting]) -> str:
    """The conservation table: a column an entity, the buckets below the source that they add up to.

    Many entities have a row each instead, and buckets that hold nothing of any are left out.
    """
    if len(entities) > _SIDE_BY_SIDE:
        return _one_below_the_other(entities)
    rows: list[list[object]] = [["source", *(line.source for line in entities.values())]]
    rows += [[f"  {bucket.value}", *(line.bucket(bucket) for line in entities.values())] for bucket in Bucket]
    if any(line.not_loaded for line in entities.values()):
        rows.append(["  not loaded yet", *(line.not_loaded for line in entities.values())])
    rows.append(["adds up", *map(_adds_up, entities.values())])
    return table(["", *entities], rows, title="Where every source row is")


def _one_below_the_other(entities: Mapping[str, Accounting]) -> str:
    lines = entities.values()
    shown = [bucket for bucket in Bucket if any(line.bucket(bucket) for line in lines)]
    pending = ["not loaded yet"] if any(line.not_loaded for line in lines) else []
    rows = [
        [name, line.source, *map(line.bucket, shown), *([line.not_loaded] if pending else []), _adds_up(line)]
        for name, line in entities.items()
    ]
    headers = ["", "source", *(bucket.value for bucket in shown), *pending, "adds up"]
    return table(headers, rows, title="Where every source row is")


def _adds_up(line: Accounting) -> str:
    return "yes" if line.accounted else "NO"


def unprotected(window: UnprotectedWindow) -> str:
    """How long edits could have been overwritten unseen; empty where the target guards its records."""
    if not window.rows:
        return ""
    return (
        f"Unprotected: {window.rows:,} writes to existing records, {window.mean_s:.3f} s each on average, at most"
        f" {window.longest_s:.3f} s between look and write. The target has no conditional updates: an edit that fell"
        " into that time is overwritten unseen."
    )


def compared_line(found: PlanComparison, root: Path) -> str:
    """A plan beside the one of another target, in a sentence; ``root`` is the workspace."""
    beside = f"plan {found.other_plan_id} ({found.other_kind}) of '{found.other_target}'"
    told = f"Beside {beside}: {found.same:,} records the same, {found.differing:,} not"
    told += "" if found.same_inputs else "; that one rests on other sources or rules"
    told += "" if found.values_known else "; values of one are destroyed: only actions were compared"
    return told + (f"\nOne by one: {root / found.file}" if found.file else "")


def override_line(override: Override) -> str:
    """Who overrode a gate, when and why, and whether that still counts."""
    told = f"by {override.person} ({override.phase}, {override.at:%Y-%m-%d %H:%M} UTC): {override.reason}"
    if override.holds:
        return f"overridden {told}"
    return f"an earlier judgement was overridden {told}; judged anew since, that no longer counts"


def gate(judged: GateResult, overrides: Sequence[Override] = ()) -> str:
    """A gate: its verdict, a row a criterion, and who went on in spite of it."""
    rows = [
        [
            result.metric if result.blocking else f"{result.metric} (observed only)",
            "–" if result.observed is None else f"{result.observed:.6g}",
            f"{result.comparison.value} {result.threshold:.6g}",
            result.evidence,
            result.verdict.value,
        ]
        for result in judged.criteria
    ]
    headers = ["criterion", "observed", "threshold", "evidence", "verdict"]
    grid = table(headers, rows, title=f"Gate {judged.gate}: {judged.verdict.value}")
    return "\n".join([grid, *map(override_line, overrides)])
