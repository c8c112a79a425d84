"""The workbook 《数据映射配置表》: which column fills which field, what values become, whose customers go to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rollout.project.spec import Language
from rollout.report.messages import messages
from rollout.report.people_book import Book, Column, Sheet, read_book, write_book
from rollout.report.workbook_cells import cell_text, folded, languages

PREFIX = "map"
WORDED = {"required": ("yes", "no"), "optional": ("yes", "no"), "on_error": ("reject", "null", "default")}
"""Columns whose cells are words of the catalogue, and the words by their names."""
_SHOWN = (
    Column("entity", 12),
    Column("source_name", 14),
    Column("target", 16),
    Column("label", 18),
    Column("type", 10),
    Column("must", 8),
)
_FILLED = (
    Column("source_columns", 24, fill_in=True),
    Column("samples", 34, wrap=True),
    Column("fill_rate", 9),
    Column("formats", 26, wrap=True),
    Column("date_format", 14, fill_in=True),
    Column("transform", 36, fill_in=True, wrap=True),
    Column("required", 8, fill_in=True),
    Column("on_error", 10, fill_in=True),
    Column("default", 12, fill_in=True),
    Column("const", 12, fill_in=True),
    Column("lookup", 12, fill_in=True),
    Column("optional", 10, fill_in=True),
    Column("picklist", 30, wrap=True),
    Column("suggestion", 30, wrap=True),
    Column("note", 36, fill_in=True, wrap=True),
    Column("confirmed_by", 12, fill_in=True),
    Column("confirmed_on", 12, fill_in=True),
    Column("id", 20, hidden=True),
)
FIELDS = (*_SHOWN, *_FILLED)
VALUES = (
    Column("table", 28),
    Column("raw", 24),
    Column("value", 24, fill_in=True),
    Column("rows", 10),
    Column("guess", 20),
    Column("allowed", 50, wrap=True),
)
OWNERS = (Column("legacy_name", 20), Column("user", 24, fill_in=True), Column("rows", 10))
UNUSED = (
    Column("entity", 12),
    Column("source_name", 14),
    Column("column", 24),
    Column("samples", 34, wrap=True),
    Column("fill_rate", 9),
)
INFO = ("project", "handout", "entities", "exported_at", "files")
ABOUT = ("how", "source_columns", "transform", "date_format", "on_error", "value", "user", "confirmed_by")
BOOK_KEYS = (
    *(f"{PREFIX}.column.{column.name}" for column in (*FIELDS, *VALUES, *OWNERS, *UNUSED)),
    *(f"{PREFIX}.sheet.{name}" for name in ("fields", "values", "owners", "unused")),
    *(f"{PREFIX}.info.{name}" for name in INFO),
    *(f"{PREFIX}.word.{word}" for words in WORDED.values() for word in words),
    *(f"{PREFIX}.about.{name}" for name in ABOUT),
    *(f"{PREFIX}.means.{name}" for name in ABOUT),
)
NEEDED = {
    "fields": ("id", *(column.name for column in FIELDS if column.fill_in)),
    "values": ("table", "raw", "value"),
    "owners": ("legacy_name", "user"),
}
_AGAIN = "bring the workbook that `rollout map export` wrote, its headers as they are, saved as .xlsx"

Lines = Sequence[Mapping[str, str]]


def write_map(
    path: Path,
    *,
    fields: Lines,
    values: Lines,
    owners: Lines,
    unused: Lines,
    info: Mapping[str, str],
    language: Language,
) -> str:
    """Write the workbook; answers its SHA-256 (hex). Worded cells are given by name, see `WORDED`."""
    t = messages(language)
    words = {name: tuple(t(f"{PREFIX}.word.{word}") for word in known) for name, known in WORDED.items()}
    columns = tuple(column._replace(choices=words.get(column.name, ())) for column in FIELDS)
    told = (
        {name: t(f"{PREFIX}.word.{cell}") if name in WORDED and cell else cell for name, cell in line.items()}
        for line in fields
    )
    return write_book(
        path,
        [
            Sheet("fields", columns, told, freeze=4),
            Sheet("values", VALUES, values, freeze=2),
            Sheet("owners", OWNERS, owners),
            Sheet("unused", UNUSED, unused, freeze=3),
        ],
        prefix=PREFIX,
        info=info,
        language=language,
        about=[(t(f"{PREFIX}.about.{name}"), t(f"{PREFIX}.means.{name}")) for name in ABOUT],
    )


def read_map(path: Path) -> Book:
    """Read the workbook as it came back; worded cells by name where they are words that we know.

    Raises:
        ConfigError: It is no such workbook.
    """
    book = read_book(path, NEEDED, prefix=PREFIX, again=_AGAIN)
    lines = [
        line._replace(cells={name: _name_of(name, cell) for name, cell in line.cells.items()})
        for line in book.sheets["fields"]
    ]
    return Book(book.info, {**book.sheets, "fields": lines}, book.titles)


def normal(cell: str) -> str:
    """A cell as it comes back from a workbook that nobody touched."""
    return cell_text(cell.replace("\r\n", "\n")).strip()


def _name_of(column: str, cell: str) -> str:
    for word in WORDED.get(column, ()):
        if folded(cell) in {folded(word), *(folded(t(f"{PREFIX}.word.{word}")) for t in languages())}:
            return word
    return cell
