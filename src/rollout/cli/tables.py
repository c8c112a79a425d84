"""Tables for people on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table

from rollout.model.outcome import Accounting, Bucket
from rollout.model.verdict import GateResult


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


def conservation(entities: Mapping[str, Accounting]) -> str:
    """The conservation table: a column an entity, the buckets below the source that they add up to."""
    rows: list[list[object]] = [["source", *(line.source for line in entities.values())]]
    rows += [[f"  {bucket.value}", *(line.bucket(bucket) for line in entities.values())] for bucket in Bucket]
    if any(line.not_loaded for line in entities.values()):
        rows.append(["  not loaded yet", *(line.not_loaded for line in entities.values())])
    rows.append(["adds up", *("yes" if line.accounted else "NO" for line in entities.values())])
    return table(["", *entities], rows, title="Where every source row is")


def gate(judged: GateResult) -> str:
    """A gate: its verdict, and a row a criterion."""
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
    return table(headers, rows, title=f"Gate {judged.gate}: {judged.verdict.value}")
