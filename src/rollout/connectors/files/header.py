"""From header lines to column names: joined, unique, named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import zip_longest

from rollout.errors import ConfigError
from rollout.mapping.spec import RESERVED_COLUMNS
from rollout.model.finding import Finding, Level


def join_header(lines: Sequence[Sequence[str]], *, label: str, line: int) -> tuple[tuple[str, ...], list[Finding]]:
    """Column names of one or several header lines.

    Lines are joined with ``/``; equal and empty parts are left out. In all lines but the last a blank cell above a
    named one belongs to the cell on its left, as a merged heading does once it is saved as CSV. White space and line
    breaks within a name become one space.

    Args:
        lines: The cells of each header line.
        label: The file (and sheet) in messages.
        line: The last header line's number in the file.

    Raises:
        ConfigError: The header is empty or names a column twice.
    """
    cells = [list(row) for row in zip_longest(*([_tidy(cell) for cell in row] for row in lines), fillvalue="")]
    carried = [""] * len(lines)
    names: list[str] = []
    for column in cells:
        for level, part in enumerate(column[:-1]):
            if part or not any(column[level + 1 :]):
                # A new heading; what stood over the columns on the left ends here on this level and all below it.
                carried[level:] = [part, *[""] * (len(carried) - level - 1)]
            else:
                column[level] = carried[level]
        names.append("/".join(dict.fromkeys(part for part in column if part)))
    where = f"{label}:{line}"
    if not any(names):
        raise ConfigError(
            "the header line is empty",
            where=where,
            hint="set skip_rows to the number of title lines above the header, header_rows to its height",
        )
    twice = [f"'{name}' ({count} times)" for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise ConfigError(
            f"the header names a column twice: {', '.join(twice)}",
            where=where,
            hint="name each column once; a title line above it needs skip_rows: 1, a two-line header header_rows: 2",
        )
    taken = sorted(set(names) & set(RESERVED_COLUMNS))
    if taken:
        raise ConfigError(f"column names are reserved: {', '.join(taken)}", where=where, hint="rename them in the file")
    return _name_blanks(names, where)


def require_key(columns: Collection[str], row_key: Collection[str], *, where: str) -> None:
    """Raise ConfigError, naming what is there instead, unless all key columns are present."""
    missing = [name for name in row_key if name not in columns]
    if missing:
        raise ConfigError(
            f"row_key needs the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"the file has: {', '.join(columns)}",
            where=where,
            hint="correct row_key, delimiter, skip_rows or header_rows of the source, or the file's header",
        )


def _tidy(cell: str) -> str:
    return " ".join(cell.split())


def _name_blanks(names: list[str], where: str) -> tuple[tuple[str, ...], list[Finding]]:
    """Columns without a name get one from their position, so that their values are not lost."""
    blanks = [position for position, name in enumerate(names, 1) if not name]
    if not blanks:
        return tuple(names), []
    named = tuple(name or f"unnamed_{position}" for position, name in enumerate(names, 1))
    if len(set(named)) < len(named):
        raise ConfigError("a column is called like an unnamed one", where=where, hint="name every column in the file")
    finding = Finding(
        id="source.unnamed_columns",
        level=Level.WARNING,
        message=f"{len(blanks)} column(s) have no name and are read as {', '.join(f'unnamed_{p}' for p in blanks)}",
        where=where,
        hint="name them in the file if they hold data",
        count=len(blanks),
    )
    return named, [finding]
