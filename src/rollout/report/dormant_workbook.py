"""Dormant records as a workbook: a line a record, what becomes of it to be chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.project.spec import Language
from rollout.report.messages import messages
from rollout.report.people_book import Column, Sheet, read_book, write_book
from rollout.report.workbook_cells import folded, languages

PREFIX = "dormant"
CHOICES = ("keep", "frozen", "pool", "leave_out")
_AGAIN = "fill in the workbook that `rollout dormant export` wrote, leave its header as it is, and save it as .xlsx"
_NEEDED = ("key", "entity", "choice")
_COLUMNS = ("key", "entity", "title", "owner", "region", "last_on", "last_kind", "decided", "choice")
_INFO = ("project", "handout", "as_of", "due")
BOOK_KEYS = (
    *(f"{PREFIX}.column.{name}" for name in _COLUMNS),
    *(f"{PREFIX}.info.{name}" for name in _INFO),
    *(f"{PREFIX}.about.{name}.{part}" for name in (*CHOICES, "empty") for part in ("name", "text")),
    *(f"{PREFIX}.choice.{name}" for name in CHOICES),
    *(f"{PREFIX}.{name}" for name in ("sheet.records", "file", "never")),
)
"""Words that are composed."""
_WIDTHS = {"key": 18, "title": 30, "choice": 18}


@dataclass(frozen=True)
class DormantLine:
    """A dormant record."""

    key: str
    entity: str
    """With its label."""
    title: str | None
    owner: str | None
    region: str | None
    last_on: str | None
    """None: nothing ever happened."""
    last_kind: str | None
    choice: str | None


@dataclass(frozen=True)
class ChosenLine:
    """A line that came back with a choice."""

    line: int
    key: str
    entity: str
    choice: str | None
    """None: what is written there is none of the choices."""


def write_dormant(path: Path, lines: Iterable[DormantLine], *, info: Mapping[str, str], language: Language) -> str:
    """Write the workbook; answers the SHA-256 of the file.

    Args:
        path: Where to.
        lines: The records; personal data masked.
        info: Project, handout, as_of, due.
        language: Of headers and words.
    """
    t = messages(language)
    words = tuple(t(f"{PREFIX}.choice.{choice}") for choice in CHOICES)
    columns = [
        Column(name, _WIDTHS.get(name, 14), fill_in=name == "choice", choices=words if name == "choice" else ())
        for name in _COLUMNS
    ]
    rows = (
        {
            **vars(line),
            "last_on": line.last_on or t(f"{PREFIX}.never"),
            "decided": t(f"{PREFIX}.choice.{line.choice}") if line.choice else None,
            "choice": None,
        }
        for line in lines
    )
    return write_book(
        path,
        [Sheet("records", columns, rows)],
        prefix=PREFIX,
        info=info,
        language=language,
        about=[(t(f"{PREFIX}.about.{name}.name"), t(f"{PREFIX}.about.{name}.text")) for name in (*CHOICES, "empty")],
    )


def read_dormant(path: Path) -> tuple[Mapping[str, str], Sequence[ChosenLine]]:
    """Read a workbook that came back: what it is of, and the lines with a choice.

    Raises:
        ConfigError: It is no such workbook.
    """
    book = read_book(path, {"records": _NEEDED}, prefix=PREFIX, again=_AGAIN)
    known = {folded(t(f"{PREFIX}.choice.{choice}")): choice for t in languages() for choice in CHOICES}
    known |= {choice: choice for choice in CHOICES}
    return book.info, [
        ChosenLine(line.line, line.cells["key"], line.cells["entity"].partition(" ")[0], known.get(word))
        for line in book.sheets["records"]
        if (word := folded(line.cells["choice"]))
    ]
