"""Cells and files of workbooks that people fill in: text stays text on the way out, and is read as it was meant."""

from __future__ import annotations

import io
import os
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import ParseError

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet

from rollout.connectors.files.guard import require_safe
from rollout.errors import ConfigError
from rollout.report.messages import Messages, messages

MAX_CELL = 32_767
"""Characters that Excel keeps in a cell."""
_MAX_NAME = 60
"""Signs of a word that a file is named by; file systems take 255 bytes."""
_DIGITS = 15
"""Digits of a number that Excel keeps; it makes the others 0."""
_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!"})
"""What Excel shows where a formula has no result."""


def put_text(sheet: Worksheet, row: int, column: int, value: str | None) -> Cell:
    """Write a cell as text, whatever it begins with; answers the cell."""
    cell = cast("Cell", sheet.cell(row, column))
    # Set apart from the value: openpyxl would make a formula of what begins with "=".
    cell.value, cell.data_type = cell_text(value), "s"
    cell.quotePrefix = True
    cell.number_format = "@"
    return cell


def cell_text(value: str | None) -> str:
    """A value as a cell holds it."""
    return ILLEGAL_CHARACTERS_RE.sub("", value or "")[:MAX_CELL]


def text_of(value: Any) -> str:
    """A cell's text, whatever Excel made of what was typed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else str(value).strip()


def is_error(text: str) -> bool:
    """Whether a cell holds what Excel shows where a formula has no result."""
    return text.strip().upper() in _ERRORS


def folded(text: str) -> str:
    """Text as it compares whatever brackets or letters an input method gives."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def languages() -> Sequence[Messages]:
    """The catalogues whose words a workbook may come back in."""
    return (messages("zh"), messages("en"))


def book_bytes(book: Workbook) -> bytes:
    """A workbook as a file's content."""
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def file_names(words: Iterable[str]) -> dict[str, str]:
    """What files for people or regions are called, by them: distinct also where upper and lower case are the same."""
    found: dict[str, str] = {}
    for word in dict.fromkeys(words):
        plain = re.sub(r"[^\w.@-]+", "_", word).strip("._")[:_MAX_NAME] or "_"
        taken = {name.casefold() for name in found.values()}
        names = (plain, *(f"{plain}-{at}" for at in range(2, len(taken) + 3)))
        found[word] = next(name for name in names if name.casefold() not in taken)
    return found


def write_private(path: Path, data: bytes) -> None:
    """Write a file in place of the one before, for its owner's eyes only; it appears only when it is whole.

    Its folder is made where it is missing. Raises ConfigError where the file cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be written ({error.strerror})", where=str(path), hint="name a file in a folder of yours"
        ) from error


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    part.replace(path)


def load_safely(path: Path, *, shown: str, again: str) -> tuple[Workbook, Workbook | None]:
    """A workbook's values, and the workbook with its formulas if it has any.

    Args:
        path: The file.
        shown: What it is called in errors.
        again: What to do about a file that is none of ours.

    Raises:
        ConfigError: It is no whole .xlsx workbook, or one that is made to harm.
    """
    if path.suffix.lower() not in (".xlsx", ".xlsm"):
        raise ConfigError("this is no .xlsx workbook", where=shown, hint=again)
    try:
        require_safe(path, shown)
    except ConfigError as error:
        raise ConfigError(error.message, where=error.where, hint=again) from error
    try:
        book = load_workbook(path, data_only=True)
        return book, load_workbook(path) if _has_formulas(path) else None
    except (
        # What openpyxl lets through of a file that is damaged, or something else.
        *(ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OSError),
        *(ParseError, InvalidFileException, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ConfigError("this is no whole Excel workbook", where=shown, hint=again) from error


def refuse_without_result(sheet: Worksheet, typed: Worksheet, places: Mapping[str, int], *, shown: str) -> None:
    """Refuse formulas that were saved without their results: they would pass for empty cells.

    Args:
        sheet: With values.
        typed: The same sheet with its formulas.
        places: The columns that are read, from 0.
        shown: What the file is called.

    Raises:
        ConfigError: There is one.
    """
    for at in range(2, typed.max_row + 1):
        for place in places.values():
            cell = typed.cell(at, place + 1)
            if cell.data_type == "f" and sheet.cell(at, place + 1).value is None:
                raise ConfigError(
                    "a formula without a result",
                    where=f"{shown}: {sheet.title}!{cell.coordinate}",
                    hint="write the value itself, or open the workbook in Excel and save it again",
                )


def refuse_lost_digits(sheet: Worksheet, places: Mapping[str, int], *, shown: str) -> None:
    """Refuse numbers that are longer than Excel keeps them: an identity number would come back as another one.

    Args:
        sheet: With values.
        places: The columns that are read, from 0.
        shown: What the file is called.

    Raises:
        ConfigError: There is one.
    """
    for row in sheet.iter_rows(min_row=2):
        for place in places.values():
            value = row[place].value if place < len(row) else None
            if isinstance(value, int | float) and abs(value) >= 10**_DIGITS:
                raise ConfigError(
                    f"a number of more than {_DIGITS} digits, of which Excel keeps no more",
                    where=f"{shown}: {sheet.title}!{row[place].coordinate}",
                    hint="format the cell as text, and type the number again",
                )


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(
            b"<f>" in part or b"<f " in part
            for name in archive.namelist()
            if name.startswith("xl/worksheets/") and name.endswith(".xml")
            for part in (archive.read(name),)
        )
