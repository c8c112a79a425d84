"""Sheets of XLSX and XLS workbooks, as people really send them.

Title lines above the header, headers of several lines, merged cells:

* A heading merged over several columns belongs to each of them; lines of the header are joined with ``/``.
* A data cell merged over several rows belongs to each of those rows (a customer beside its contacts). Merged over
  several columns it is one value and stays in the first of them.
* A row in which no cell of its own holds anything is no row, merged neighbours or not; such rows are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

from rollout.connectors.files.grid import Area, Grid, Position
from rollout.connectors.files.guard import has_error_cells, require_bearable, require_safe
from rollout.connectors.files.header import join_header, require_key
from rollout.connectors.files.table import Origin, Part
from rollout.errors import ConfigError
from rollout.mapping.spec import SourceSpec
from rollout.model.finding import Finding, Level


@dataclass(frozen=True, slots=True)
class SheetTable:
    """A sheet whose header has been read."""

    origin: Origin
    sheet: str
    columns: tuple[str, ...]
    header_line: int
    findings: list[Finding]
    grid: Grid = field(repr=False)

    @property
    def label(self) -> str:
        """See `Table.label`."""
        return self.origin.label

    def parts(self, chunk_rows: int) -> Iterator[Part]:
        """See `Table.parts`."""
        rows = enumerate(self._filled_rows(), start=self.header_line + 1)
        blank = 0
        while block := list(islice(rows, chunk_rows)):
            kept = [(line, row) for line, row in block if row is not None]
            blank += len(block) - len(kept)
            yield self._part(kept)
        self.origin.require_unchanged()
        finding = Finding(
            id="source.blank_rows",
            level=Level.INFO,
            message=f"{blank} row(s) hold no value at all and are left out",
            where=_where(self.label, self.sheet),
            count=blank,
        )
        yield Part(_columns([], self.columns), np.empty(0, np.int64), findings=[finding] if blank else [])

    def _filled_rows(self) -> Iterator[list[str | None] | None]:
        """Each row below the header as text, None where it has no value of its own."""
        width = len(self.columns)
        starts: dict[int, list[Area]] = {}
        for area in self.grid.areas:
            starts.setdefault(area[0][0], []).append(area)
        merged: dict[int, tuple[int, str | None]] = {}
        """By column: the last row that a merged value reaches, and the value."""
        for number, cells in enumerate(islice(self.grid.rows(), self.header_line, None), start=self.header_line):
            row = cells[:width]
            own = any(row)
            for (_, column), (last, _) in starts.get(number, ()):
                if column < width:
                    merged[column] = last, row[column]
            for column, (last, value) in list(merged.items()):
                if number > last:
                    del merged[column]
                else:
                    row[column] = row[column] or value
            yield row if own else None

    def _part(self, rows: list[tuple[int, list[str | None]]]) -> Part:
        lines = np.fromiter((line for line, _ in rows), np.int64, count=len(rows))
        return Part(_columns([row for _, row in rows], self.columns), lines)


def open_sheets(path: Path, label: str, source: SourceSpec) -> tuple[list[SheetTable], list[Finding]]:
    """The sheets of a workbook that belong to a source, their headers read.

    With `sheet` given: those whose name matches it, and each must have the key columns. Without: every visible sheet
    that has them.

    Returns:
        The sheets in workbook order, and findings on those that were passed over.

    Raises:
        ConfigError: Not a workbook, damaged, protected, too large; no sheet fits; a header that cannot be used.
    """
    origin = Origin.of(path, label)
    require_safe(path, label)
    try:
        book = CalamineWorkbook.from_path(path)
        names = [
            meta.name
            for meta in book.sheets_metadata
            if meta.typ is SheetTypeEnum.WorkSheet and (source.sheet is None or fnmatchcase(meta.name, source.sheet))
        ]
        if not names:
            raise ConfigError(
                f"no sheet is called '{source.sheet}'; there are: {', '.join(book.sheet_names)}",
                where=label,
                hint="correct the source's `sheet`",
            )
        errors = _error_cells(path, names)
        tables, passed = [], []
        for name in names:
            try:
                data = book.get_sheet_by_name(name)
                tables.append(_open_sheet(origin, name, Grid(data, errors.get(name, {})), source))
            except ConfigError as error:
                if source.sheet is not None or len(names) == 1:
                    raise
                passed.append(error)
    except PasswordError as error:
        raise ConfigError(
            "the workbook is protected by a password", where=label, hint="remove it in Excel and save the file again"
        ) from error
    except CalamineError as error:
        raise ConfigError(
            f"the workbook is incomplete or damaged ({error})", where=label, hint="copy or export the file again"
        ) from error
    if not tables:
        raise ConfigError(
            f"no sheet has the columns {', '.join(source.row_key)}: " + "; ".join(error.message for error in passed),
            where=label,
            hint="correct row_key, skip_rows or header_rows of the source",
        )
    return tables, [
        Finding(id="source.sheet_skipped", level=Level.WARNING, message=error.message, where=error.where)
        for error in passed
    ]


def _open_sheet(
    origin: Origin,
    name: str,
    grid: Grid,
    source: SourceSpec,
) -> SheetTable:
    where = _where(origin.label, name)
    require_bearable(grid.height, grid.width, where=where)
    header_line = source.skip_rows + source.header_rows
    lines = [[text or "" for text in row] for row in islice(grid.rows(), header_line)]
    if len(lines) < header_line:
        raise ConfigError(
            "the sheet ends before its header does",
            where=f"{where}:{len(lines)}",
            hint="correct skip_rows and header_rows of the source",
        )
    _fill_headings(lines, grid.areas, source.skip_rows)
    header = lines[source.skip_rows :]
    used = max((position for row in header for position, cell in enumerate(row, 1) if cell.strip()), default=0)
    # Formatted columns without heading and without values lie behind the header in many workbooks.
    width = max(used, _last_used_column(grid, header_line))
    columns, findings = join_header([row[:width] for row in header], label=where, line=header_line)
    require_key(columns, source.row_key, where=f"{where}:{header_line}")
    return SheetTable(
        origin=origin,
        sheet=name,
        columns=columns,
        header_line=header_line,
        findings=findings,
        grid=grid,
    )


def _fill_headings(lines: list[list[str]], areas: list[Area], skip_rows: int) -> None:
    """A heading merged over columns is written into each of them, in the first line that it covers."""
    for (top, left), (_, right) in areas:
        if skip_rows <= top < len(lines):
            row = lines[top]
            for column in range(left + 1, min(right + 1, len(row))):
                row[column] = row[column] or row[left]


def _last_used_column(grid: Grid, header_line: int) -> int:
    used = 0
    for row in islice(grid.rows(), header_line, None):
        if any(row[used:]):
            used = max(position for position, text in enumerate(row, 1) if text)
            if used == grid.width:
                break
    return used


def _columns(rows: list[list[str | None]], names: tuple[str, ...]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    return pa.table([pa.array(list(column), pa.string()) for column in columns], names=list(names))


def _error_cells(path: Path, names: list[str]) -> dict[str, dict[Position, str]]:
    """Texts of error cells (#N/A, #REF!) by sheet. XLS keeps none that could be read."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped or not has_error_cells(path):
        return {}
    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        return {
            name: {
                (number, column): str(cell.value)
                for number, row in enumerate(book[name].iter_rows())
                for column, cell in enumerate(row)
                if cell.data_type == "e"
            }
            for name in names
        }
    finally:
        book.close()


def _where(label: str, sheet: str) -> str:
    return f"{label}[{sheet}]"
