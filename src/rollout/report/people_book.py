"""Workbooks that go to people and come back: cells as text, pick-lists, found again however they were sorted.

A book has one or more sheets of lines, and a last sheet that says what it is of. Headers come from the message
catalogue (`{prefix}.column.{name}`, `{prefix}.sheet.{name}`, `{prefix}.info.{name}`) and are recognised in either
language; a column with a label of its own is recognised by that. Each sheet needs a column that identifies a line, so
that lines may come back in any order, or be missing.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, cast

import msoffcrypto
from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError
from msoffcrypto.format.ooxml import OOXMLFile
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from rollout.errors import ConfigError
from rollout.project.spec import Language
from rollout.report.messages import Messages, messages
from rollout.report.workbook_cells import (
    book_bytes,
    languages,
    load_safely,
    put_text,
    refuse_lost_digits,
    refuse_without_result,
    text_of,
    write_private,
)

_FILL_IN = PatternFill("solid", fgColor="FFF2CC")
_WRAPPED = Alignment(wrap_text=True, vertical="top")
_MAX_LIST = 255
"""Characters that Excel takes for a pick-list written into the rule itself."""
_MAX_TITLE = 31
"""Characters that Excel takes for a sheet's name."""


class Column(NamedTuple):
    """A column of a sheet."""

    name: str
    width: int = 16
    fill_in: bool = False
    """For the person; shown in another colour."""
    choices: tuple[str, ...] = ()
    """What to choose from, as it is shown."""
    wrap: bool = False
    hidden: bool = False
    label: str | None = None
    """Its header, where the catalogue has none for it."""


@dataclass(frozen=True)
class Sheet:
    """A sheet of lines. A cell that a line does not have is empty."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Mapping[str, str | None]]
    title: str | None = None
    """Where the catalogue has none for it."""
    freeze: int = 1
    """Columns that stay in view at the left."""


class Line(NamedTuple):
    """A line as it came back."""

    line: int
    """In the sheet, the header being 1."""
    cells: Mapping[str, str]
    """By column; "" where nothing is."""


@dataclass(frozen=True)
class Book:
    """A workbook as it came back."""

    info: Mapping[str, str]
    """What it says it is of."""
    sheets: Mapping[str, Sequence[Line]]
    titles: Mapping[str, str] = field(default_factory=dict)
    """What each sheet is called now, for messages."""


def write_book(
    path: Path,
    sheets: Sequence[Sheet],
    *,
    prefix: str,
    info: Mapping[str, str],
    language: Language,
    about: Sequence[tuple[str, str]] = (),
    password: str | None = None,
) -> str:
    """Write a workbook in place of the one before, for its owner's eyes only.

    Args:
        path: Where to.
        sheets: What is in it.
        prefix: Of its words in the catalogue.
        info: What it is of, by names that the catalogue has words for; read back, so that it is not brought elsewhere.
        language: Of headers and words.
        about: Explanations: a word, and what it means.
        password: Opens the file, which is then encrypted as Office does it.

    Returns:
        SHA-256 (hex) of the file.

    Raises:
        ConfigError: It would not be read back under this name.
    """
    if path.suffix.lower() != ".xlsx":
        raise ConfigError("a workbook is a file with the ending .xlsx", where=str(path), hint="name it so")
    t = messages(language)
    book = Workbook()
    book.remove(cast("Worksheet", book.active))
    for sheet in sheets:
        _fill(book.create_sheet((sheet.title or t(f"{prefix}.sheet.{sheet.name}"))[:_MAX_TITLE]), sheet, prefix, t)
    _explain(book.create_sheet(t("book.about")), info, about, prefix, t)
    data = book_bytes(book)
    if password is not None:
        sealed = io.BytesIO()
        OOXMLFile(io.BytesIO(data)).encrypt(password, sealed)
        data = sealed.getvalue()
    write_private(path, data)
    return sha256(data).hexdigest()


def read_book(
    path: Path,
    needed: Mapping[str, Sequence[str]],
    *,
    prefix: str,
    again: str,
    labels: Mapping[str, str] | None = None,
    password: str | None = None,
) -> Book:
    """Read a workbook that :func:`write_book` made and somebody filled in.

    Args:
        path: The file.
        needed: By sheet the columns that are read back, the identifying one first: sheets are known by it.
        prefix: Of its words in the catalogue.
        again: What to do about a file that is none of ours.
        labels: Headers that are not in the catalogue → column.
        password: Opens the file.

    Raises:
        ConfigError: It is no such workbook: names the sheet or column that is missing or twice, the formula that has no
            result or the number that was cut off, or says that the password is missing or wrong.
    """
    if not path.is_file():
        raise ConfigError("there is no such file", where=str(path), hint=again)
    with TemporaryDirectory() as folder:
        plain = _decrypted(path, Path(folder), password)
        book, formulas = load_safely(plain, shown=path.name, again=again)
    lines: dict[str, Sequence[Line]] = {}
    titles: dict[str, str] = {}
    for name, columns in needed.items():
        sheet, places = _sheet(book, columns, path, prefix=prefix, again=again, labels=labels or {}, taken=titles)
        if formulas is not None:
            wanted = {column: places[column] for column in columns}
            refuse_without_result(sheet, formulas[sheet.title], wanted, shown=path.name)
        refuse_lost_digits(sheet, {column: places[column] for column in columns}, shown=path.name)
        lines[name], titles[name] = list(_lines(sheet, places)), sheet.title
    return Book(_info(book), lines, titles)


def _fill(page: Worksheet, sheet: Sheet, prefix: str, t: Messages) -> None:
    for place, column in enumerate(sheet.columns, start=1):
        cell = put_text(page, 1, place, column.label or t(f"{prefix}.column.{column.name}"))
        cell.font = Font(bold=True)
        if column.fill_in:
            cell.fill = _FILL_IN
        dimension = page.column_dimensions[cell.column_letter]
        dimension.width, dimension.hidden = column.width, column.hidden
    at = 1
    for at, row in enumerate(sheet.rows, start=2):
        for place, column in enumerate(sheet.columns, start=1):
            cell = put_text(page, at, place, row.get(column.name))
            if column.wrap:
                cell.alignment = _WRAPPED
    for place, column in enumerate(sheet.columns, start=1):
        words = ",".join(column.choices)
        if at > 1 and words and len(words) <= _MAX_LIST:
            rule = DataValidation(type="list", formula1=f'"{words}"', allow_blank=True, showErrorMessage=True)
            letter = get_column_letter(place)
            rule.add(f"{letter}2:{letter}{at}")
            page.add_data_validation(rule)
    page.freeze_panes = page.cell(2, sheet.freeze + 1).coordinate
    page.auto_filter.ref = page.dimensions


def _explain(
    page: Worksheet, info: Mapping[str, str], about: Sequence[tuple[str, str]], prefix: str, t: Messages
) -> None:
    rows = [(t(f"{prefix}.info.{name}"), value, name) for name, value in info.items()]
    for at, row in enumerate([*rows, ("", "", ""), *((*told, "") for told in about)], start=1):
        for place, value in enumerate(row, start=1):
            put_text(page, at, place, value)
    page.column_dimensions["A"].width = 20
    page.column_dimensions["B"].width = 100
    page.column_dimensions["C"].hidden = True


def _decrypted(path: Path, folder: Path, password: str | None) -> Path:
    """The file as it is without its password: itself, or a copy in ``folder``."""
    with path.open("rb") as stream:
        try:
            office = msoffcrypto.OfficeFile(stream)
        except (FileFormatError, OSError):
            return path  # whatever it is, it is not encrypted: reading it says what is wrong
        if not office.is_encrypted():
            return path
        if password is None:
            raise ConfigError(
                "this workbook is encrypted", where=path.name, hint="give its password with --password-env NAME"
            )
        plain = folder / f"plain{path.suffix}"
        try:
            office.load_key(password=password)
            with plain.open("wb") as target:
                office.decrypt(target)
        except (DecryptionError, InvalidKeyError, FileFormatError) as error:
            raise ConfigError("the password does not open this workbook", where=path.name, hint="check it") from error
    return plain


def _sheet(
    book: Workbook,
    columns: Sequence[str],
    path: Path,
    *,
    prefix: str,
    again: str,
    labels: Mapping[str, str],
    taken: Mapping[str, str],
) -> tuple[Worksheet, dict[str, int]]:
    """The sheet that has these columns, and where they are (from 0)."""
    found = []
    for page in book.worksheets:
        if page.title in taken.values():
            continue
        names = [_column(text_of(cell.value), prefix, labels) for cell in page[1]]
        found.append((len(set(columns) & set(names)), page, names))
    found.sort(key=lambda item: -item[0])
    whole = [item for item in found if item[0] == len(set(columns))]
    if not whole:
        near = found[0] if found and columns[0] in found[0][2] else None
        if near is None:
            raise ConfigError("no sheet of this workbook has the columns that are read", where=path.name, hint=again)
        told = ", ".join(f"'{name}'" for name in columns if name not in near[2])
        raise ConfigError(f"columns are missing: {told}", where=f"{path.name}: {near[1].title}", hint=again)
    if len(whole) > 1:
        told = " and ".join(f"'{page.title}'" for _, page, _ in whole)
        raise ConfigError(
            f"the sheets {told} have the columns that are read", where=path.name, hint="keep the one that is meant"
        )
    _, page, names = whole[0]
    if doubled := sorted({name for name in columns if names.count(name) > 1}):
        told = ", ".join(f"'{name}'" for name in doubled)
        raise ConfigError(
            f"columns are there twice: {told}", where=f"{path.name}: {page.title}", hint="keep the one that is meant"
        )
    return page, {name: at for at, name in enumerate(names) if name is not None}


def _column(header: str, prefix: str, labels: Mapping[str, str]) -> str | None:
    """The column that a header names, in either language."""
    if header in labels:
        return labels[header]
    for t in languages():
        start = f"{prefix}.column."
        for key, word in t.texts.items():
            if key.startswith(start) and word == header:
                return key.removeprefix(start)
    return None


def _lines(sheet: Worksheet, places: Mapping[str, int]) -> Iterator[Line]:
    for at, row in enumerate(sheet.iter_rows(min_row=2, values_only=True), start=2):
        cells = {name: text_of(row[place]) if place < len(row) else "" for name, place in places.items()}
        if any(cells.values()):
            yield Line(at, cells)


def _info(book: Workbook) -> dict[str, str]:
    """What the last sheet of ours says; a book that lost it says nothing."""
    titles = {t("book.about") for t in languages()}
    return {
        str(name): text_of(value)
        for page in book.worksheets
        if page.title in titles
        for _, value, name in page.iter_rows(max_col=3, values_only=True)
        if name
    }
