"""The workbook in which a person checks loaded records: legacy row, what it became, what the CRM shows, right or wrong.

One sheet has a line a record, to answer in; a second one a line a field, to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rollout.project.spec import Language
from rollout.report.messages import messages
from rollout.report.people_book import Book, Column, Sheet, read_book, write_book
from rollout.report.workbook_cells import folded, languages

PREFIX = "sample"
VERDICTS = ("right", "wrong")
CHECK = (
    Column("number", 6),
    Column("entity", 12),
    Column("title", 26, wrap=True),
    Column("legacy", 52, wrap=True),
    Column("mapped", 40, wrap=True),
    Column("crm", 40, wrap=True),
    Column("differs", 18, wrap=True),
    Column("link", 30, wrap=True),
    Column("verdict", 10, fill_in=True),
    Column("note", 36, fill_in=True, wrap=True),
    Column("key", 20, hidden=True),
)
FIELDS = (
    Column("number", 6),
    Column("entity", 12),
    Column("title", 26),
    Column("label", 18),
    Column("mapped", 34, wrap=True),
    Column("crm", 34, wrap=True),
    Column("differs", 10),
)
INFO = ("project", "target", "wave", "checker", "handout", "due_on", "exported_at")
ABOUT = ("how", "legacy", "mapped", "crm", "right", "wrong", "open")
NEEDED = ("key", "verdict", "note")
BOOK_KEYS = (
    *(f"{PREFIX}.column.{column.name}" for column in (*CHECK, *FIELDS)),
    *(f"{PREFIX}.sheet.{name}" for name in ("check", "fields")),
    *(f"{PREFIX}.info.{name}" for name in INFO),
    *(f"{PREFIX}.verdict.{name}" for name in VERDICTS),
    *(f"{PREFIX}.about.{name}" for name in ABOUT),
    *(f"{PREFIX}.means.{name}" for name in ABOUT),
    f"{PREFIX}.unassigned",
)
_AGAIN = "send back the workbook that `rollout sample export` wrote, its header as it is, saved as .xlsx"


class LegacyRow(NamedTuple):
    """A source row as it was read."""

    source_key: str
    where: str
    """File, sheet and line."""
    cells: Mapping[str, str]


class Compared(NamedTuple):
    """A field of a record: what was to be loaded, and what the target holds."""

    name: str
    label: str
    mapped: str | None
    held: str | None
    same: bool


@dataclass(frozen=True)
class SampleLine:
    """A record to check."""

    entity: str
    migration_key: str
    title: str
    legacy: Sequence[LegacyRow]
    compared: Sequence[Compared]
    copies: int
    """Records that the target holds under its key."""
    link: str
    verdict: str = ""
    """What was said before: right | wrong."""
    note: str = ""

    @property
    def key(self) -> str:
        """What identifies the line."""
        return f"{self.entity}/{self.migration_key}"


class SampleAnswer(NamedTuple):
    """A line as it came back."""

    line: int
    key: str
    verdict: str | None
    """right | wrong; "": no answer; None: something else was written."""
    written: str
    note: str


def write_sample(
    path: Path,
    lines: Sequence[SampleLine],
    *,
    labels: Mapping[str, str],
    info: Mapping[str, str],
    language: Language,
    password: str | None,
) -> str:
    """Write a checker's workbook; answers its SHA-256.

    Args:
        path: Where to.
        lines: The records.
        labels: What people call each entity.
        info: What it is of: `INFO`.
        language: Of its words.
        password: Seals the file; None: it may be read by whoever has it.
    """
    t = messages(language)
    numbered = list(enumerate(lines, start=1))
    verdicts = tuple(t(f"sample.verdict.{name}") for name in VERDICTS)
    columns = [column._replace(choices=verdicts) if column.name == "verdict" else column for column in CHECK]
    sheets = [
        Sheet("check", columns, (_line(number, line, labels, language) for number, line in numbered), freeze=3),
        Sheet("fields", FIELDS, (row for number, line in numbered for row in _fields(number, line, labels)), freeze=4),
    ]
    about = [(t(f"sample.about.{name}"), t(f"sample.means.{name}")) for name in ABOUT]
    return write_book(path, sheets, prefix=PREFIX, info=info, language=language, about=about, password=password)


def read_sample(path: Path, *, password: str | None) -> tuple[Book, list[SampleAnswer]]:
    """A workbook that came back, and its lines in the order of the sheet.

    Raises:
        ConfigError: It is no such workbook, or is sealed with another password.
    """
    book = read_book(path, {"check": NEEDED}, prefix=PREFIX, again=_AGAIN, password=password)
    return book, [
        SampleAnswer(line.line, line.cells["key"], _verdict(line.cells["verdict"]), line.cells["verdict"], note)
        for line in book.sheets["check"]
        for note in [line.cells["note"]]
    ]


def _line(number: int, line: SampleLine, labels: Mapping[str, str], language: Language) -> dict[str, str | None]:
    t = messages(language)
    held = [_pair(item.label, item.held) for item in line.compared] if line.copies else [t("sample.not_there")]
    if line.copies > 1:
        held.insert(0, t("sample.copies", count=line.copies))
    return {
        "number": str(number),
        "entity": labels.get(line.entity, line.entity),
        "title": line.title,
        "legacy": "\n".join(_legacy(line.legacy)),
        "mapped": "\n".join(_pair(item.label, item.mapped) for item in line.compared),
        "crm": "\n".join(held),
        "differs": "\n".join(item.label for item in line.compared if not item.same) if line.copies else "",
        "link": line.link,
        "verdict": t(f"sample.verdict.{line.verdict}") if line.verdict else "",
        "note": line.note,
        "key": line.key,
    }


def _fields(number: int, line: SampleLine, labels: Mapping[str, str]) -> Iterable[dict[str, str | None]]:
    for item in line.compared:
        yield {
            "number": str(number),
            "entity": labels.get(line.entity, line.entity),
            "title": line.title,
            "label": item.label,
            "mapped": item.mapped,
            "crm": item.held,
            "differs": "" if item.same else "≠",
        }


def _legacy(rows: Sequence[LegacyRow]) -> Iterable[str]:
    for row in rows:
        yield f"[{row.where}]"
        yield from (_pair(name, text) for name, text in row.cells.items())


def _pair(label: str, text: str | None) -> str:
    return f"{label}: {text if text is not None else '–'}"


def _verdict(text: str) -> str | None:
    """The verdict that a cell names, in any language; "": none; None: something else."""
    if not text.strip():
        return ""
    words = {folded(t(f"sample.verdict.{name}")): name for t in languages() for name in VERDICTS}
    return (words | {name: name for name in VERDICTS}).get(folded(text))
