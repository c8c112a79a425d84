"""Tables for people on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table

from rollout.model.outcome import Accounting, Bucket


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
    """The conservation table: an entity a line, the buckets beside the source they add up to."""
    headers = ["entity", "source", *(bucket.value for bucket in Bucket), "adds up"]
    rows = [
        [name, line.source, *(line.bucket(bucket) for bucket in Bucket), "yes" if line.accounted else "NO"]
        for name, line in entities.items()
    ]
    return table(headers, rows, title="Where every source row is")
