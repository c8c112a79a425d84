"""Lists as people keep them in Excel: the contacts, and the register of a fair.

A title line, two header lines with merged headings, the customer's number merged over its contacts, mobiles and
birthdays now as text, now as numbers, dates or plain serials. The bytes depend on the rows alone: no time stamps.

openpyxl makes the workbook around the sheet; the sheet's rows are written here, 20 times as fast.
"""

from __future__ import annotations

import io
import re
import string
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

import openpyxl

from rollout.testbed.demodata.rows import Row

COLUMNS = ("联系人编号", "姓名", "所属客户编号", "职务", "手机", "邮箱", "生日", "主要联系人")
TITLE = "恒泰精工客户联系人台账(虚构示例数据,made-up data)"
HEADER = (
    ("联系人编号", "姓名", "所属客户编号", "职务", "联系方式", None, "生日", "主要联系人"),
    (None, None, None, None, "手机", "邮箱", None, None),
)
_HEADINGS_MERGED = ("A1:H1", "E2:F2", *(f"{column}2:{column}3" for column in "ABCDGH"))
_FIRST_DATA_ROW = 4
_MERGED = "所属客户编号"
_LETTERS = string.ascii_uppercase
_SHEET_HEAD = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
)
_EXCEL_EPOCH = date(1899, 12, 30)
_SHEET = "xl/worksheets/sheet1.xml"
_DATE_STYLE = 1
"""Index of the style of `_skeleton`'s only date."""
_STAMP = (2024, 1, 1, 0, 0, 0)
_TIMES = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")


def write_workbook(path: Path, rows: Sequence[Row]) -> None:
    """Write contacts as XLSX."""
    _write(path, "联系人", _sheet(rows))


def write_register(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    """Write a list under one header line, all cells text, as XLSX."""
    lines = (_row(number, [_text(cell) for cell in row]) for number, row in enumerate((columns, *rows), start=1))
    _write(path, "成交登记", (_SHEET_HEAD, *lines, "</sheetData></worksheet>"))


def _write(path: Path, name: str, pieces: Iterable[str]) -> None:
    with (
        zipfile.ZipFile(_skeleton(name)) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for part in source.infolist():
            fixed = zipfile.ZipInfo(part.filename, _STAMP)
            fixed.compress_type = zipfile.ZIP_DEFLATED
            with target.open(fixed, "w") as file:
                if part.filename == _SHEET:
                    file.writelines(piece.encode() for piece in pieces)
                else:
                    file.write(_TIMES.sub(rb"\g<1>2024-01-01T00:00:00Z", source.read(part)))


def _skeleton(name: str) -> io.BytesIO:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = name
    sheet["A1"] = _EXCEL_EPOCH  # registers the date style
    buffer = io.BytesIO()
    book.save(buffer)
    buffer.seek(0)
    return buffer


def _sheet(rows: Sequence[Row]) -> Iterator[str]:
    """The sheet's XML in pieces."""
    yield _SHEET_HEAD
    for number, line in enumerate(((TITLE,), *HEADER), start=1):
        yield _row(number, [_text(text) for text in line])
    merged = list(_HEADINGS_MERGED)
    first = 0
    for number, row in enumerate(rows):
        if row[_MERGED] != rows[first][_MERGED]:
            first = number
        # Of merged cells only the first has a value.
        shown = row if number == first else {**row, _MERGED: None}
        yield _row(number + _FIRST_DATA_ROW, [_cell(shown[column], column, number) for column in COLUMNS])
        last = number + 1 == len(rows) or rows[number + 1][_MERGED] != row[_MERGED]
        if last and number > first:
            merged.append(f"C{first + _FIRST_DATA_ROW}:C{number + _FIRST_DATA_ROW}")
    yield f'</sheetData><mergeCells count="{len(merged)}">'
    yield from (f'<mergeCell ref="{area}"/>' for area in merged)
    yield "</mergeCells></worksheet>"


def _row(number: int, cells: Sequence[str | None]) -> str:
    """A row's XML; a cell is what follows its address."""
    inner = "".join(
        f'<c r="{letter}{number}"{cell}</c>' for letter, cell in zip(_LETTERS, cells, strict=False) if cell is not None
    )
    return f'<row r="{number}">{inner}</row>'


def _cell(text: str | None, column: str, number: int) -> str | None:
    """A cell as Excel holds it; which form it takes depends on the row's place alone."""
    if column == "手机" and number % 4 == 0 and text and text.isascii() and text.isdigit():
        return f"><v>{text}</v>"
    if column == "生日" and number % 3 and text and _is_iso(text):
        # Every third a date that shows as one, every third a serial number without date format.
        style = f' s="{_DATE_STYLE}"' if number % 3 == 1 else ""
        return f"{style}><v>{(date.fromisoformat(text) - _EXCEL_EPOCH).days}</v>"
    return _text(text)


def _text(text: str | None) -> str | None:
    return None if text is None else f' t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is>'


def _is_iso(text: str) -> bool:
    return text.count("-") == 2 and len(text) == len("2000-01-01")  # noqa: PLR2004 - year-month-day
