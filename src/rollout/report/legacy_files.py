"""Tables in the legacy system's own files: its columns, header lines, encoding and kind of file.

Cells are written exactly as they are, for a machine reads them: in CSV nothing keeps a spreadsheet from taking a text
that begins with "=" for a formula. In workbooks every cell is text.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import cast

from openpyxl import Workbook
from openpyxl.cell.cell import Cell

WORKBOOKS = (".xlsx", ".xlsm", ".xls")
BYTE_ORDER_MARK = "\ufeff"
Row = Mapping[str, str | None]


@dataclass
class LegacyTable:
    """One file, or one sheet of a workbook, as its source describes it."""

    file: str
    """Where it lies below the export's folder."""
    columns: tuple[str, ...]
    sheet: str = ""
    encoding: str = "utf-8"
    delimiter: str = ","
    header_rows: int = 1
    title: str = ""
    """Stands in the first of the lines above the header."""
    title_rows: int = 0
    rows: list[Row] = field(default_factory=list)

    @property
    def is_workbook(self) -> bool:
        """Whether it is a sheet rather than delimited text."""
        return Path(self.file).suffix.lower() in WORKBOOKS

    def lines(self) -> list[list[str]]:
        """Title, header and rows, as the source's own files have them."""
        above = [[self.title], *([[""]] * (self.title_rows - 1))] if self.title_rows else []
        parts = [column.split("/", self.header_rows - 1) for column in self.columns]
        header = [[part[level] if level < len(part) else "" for part in parts] for level in range(self.header_rows)]
        return [*above, *header, *([row.get(column) or "" for column in self.columns] for row in self.rows)]


def write_legacy_files(folder: Path, tables: Sequence[LegacyTable]) -> list[tuple[Path, str]]:
    """Write tables into a folder, those of one workbook together; readable by their owner alone.

    Returns:
        Each path with what differs from the legacy system's own files; "" where nothing does.
    """
    written = []
    for file in dict.fromkeys(table.file for table in tables):
        of_file = [table for table in tables if table.file == file]
        path = folder / file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if of_file[0].is_workbook:
            path, remark = _workbook(path, of_file)
        else:
            remark = _delimited(path, of_file[0])
        written.append((path, remark))
    return written


def _delimited(path: Path, table: LegacyTable) -> str:
    text = StringIO(newline="")
    csv.writer(text, delimiter=table.delimiter).writerows(table.lines())
    try:
        data, remark = text.getvalue().encode(table.encoding), ""
    except UnicodeEncodeError as error:
        lost = text.getvalue()[error.start : error.end]
        data = (BYTE_ORDER_MARK + text.getvalue()).encode()
        remark = f"in UTF-8: {table.encoding} has no character '{lost}'"
    _write(path, data)
    return remark


def _workbook(path: Path, tables: Sequence[LegacyTable]) -> tuple[Path, str]:
    book = Workbook()
    book.remove(book.worksheets[0])
    for table in tables:
        sheet = book.create_sheet(table.sheet or None)
        for at, line in enumerate(table.lines(), start=1):
            for place, text in enumerate(line, start=1):
                if text:
                    cell = cast("Cell", sheet.cell(at, place))
                    cell.value, cell.data_type, cell.quotePrefix = text, "s", True
    data = BytesIO()
    book.save(data)
    remark = "" if path.suffix.lower() == ".xlsx" else f"as .xlsx instead of {path.suffix}"
    path = path.with_suffix(".xlsx")
    _write(path, data.getvalue())
    return path, remark


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    part.replace(path)
