"""The workbook in which a person says whether two records are the same: side by side, with what made us ask.

A line a pair. A field that both have alike is told once; where they differ the cell has a line for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rollout.project.spec import Language
from rollout.report.messages import Messages, messages
from rollout.report.people_book import Book, Column, Sheet, read_book, write_book
from rollout.report.workbook_cells import folded, languages

PREFIX = "review"
VERDICTS = ("same", "different")
STATES = ("open", "merged", "same", "different")
REASONS = ("doubt", "alone", "chain", "unclear", "branch", "code", "across", "target")
INFO = ("project", "entity", "handout", "due_on", "exported_at", "unmasked")
NEEDED = ("left_key", "right_key", "verdict", "note")
_FIRST = (
    Column("number", 6),
    Column("verdict", 10, fill_in=True),
    Column("note", 24, fill_in=True, wrap=True),
    Column("state", 10),
    Column("probability", 10),
    Column("reasons", 34, wrap=True),
    Column("evidence", 40, wrap=True),
)
_LAST = (Column("left_key", 22), Column("right_key", 22))
ABOUT = ("how", *VERDICTS, "empty", "director", "merged")
BOOK_KEYS = (
    *(f"{PREFIX}.column.{column.name}" for column in (*_FIRST, *_LAST)),
    f"{PREFIX}.sheet.pairs",
    *(f"{PREFIX}.info.{name}" for name in INFO),
    *(f"{PREFIX}.verdict.{name}" for name in VERDICTS),
    *(f"{PREFIX}.state.{name}" for name in STATES),
    *(f"{PREFIX}.reason.{name}" for name in REASONS),
    *(f"{PREFIX}.about.{name}" for name in ABOUT),
    *(f"{PREFIX}.means.{name}" for name in ABOUT),
    *(f"{PREFIX}.{name}" for name in ("rule", "empty_value")),
)
_AGAIN = "send back the workbook that `rollout review export` wrote, its header as it is, saved as .xlsx"


@dataclass(frozen=True)
class ReviewLine:
    """A pair to look at."""

    left_key: str
    right_key: str
    state: str
    """`open`, `merged`, or what somebody decided."""
    rule: str
    probability: float | None
    why: str | None
    """JSON: [[field, level, weight], ...]."""
    reasons: str
    """Joined with commas, see `rollout.match.review.REVIEW_SCHEMA`."""
    left: Mapping[str, str | None]
    """Values by field, masked where they have to be."""
    right: Mapping[str, str | None]
    alike: frozenset[str]
    """Fields in which both agree, told before anything was masked."""


class ReviewAnswer(NamedTuple):
    """A line as it came back."""

    line: int
    left_key: str
    right_key: str
    verdict: str | None
    """`same`, `different`, "" where it is left open; None: no such word."""
    written: str
    note: str


def write_review(
    path: Path,
    lines: Iterable[ReviewLine],
    labels: Mapping[str, str],
    *,
    info: Mapping[str, str],
    language: Language,
    password: str | None = None,
) -> str:
    """Write the workbook; answers its SHA-256.

    Args:
        path: Where to.
        lines: The pairs.
        labels: By field of the entity what it is called.
        info: What the workbook is of, by the names of `INFO`.
        language: Of headers and words.
        password: Opens the file; None: it is not sealed.
    """
    t = messages(language)
    choices = tuple(t(f"{PREFIX}.verdict.{name}") for name in VERDICTS)
    first = [column._replace(choices=choices) if column.name == "verdict" else column for column in _FIRST]
    fields = [Column(f"field.{name}", 26, wrap=True, label=label) for name, label in _distinct(labels, t).items()]
    sheet = Sheet(
        "pairs",
        [*first, *fields, *_LAST],
        [_cells(at, line, labels, t) for at, line in enumerate(lines, start=1)],
        freeze=3,
    )
    about = [(t(f"{PREFIX}.about.{name}"), t(f"{PREFIX}.means.{name}")) for name in ABOUT]
    return write_book(path, [sheet], prefix=PREFIX, info=info, language=language, about=about, password=password)


def read_review(path: Path, *, password: str | None = None) -> tuple[Book, list[ReviewAnswer]]:
    """What came back. Raises ConfigError where it is no such workbook."""
    book = read_book(path, {"pairs": NEEDED}, prefix=PREFIX, again=_AGAIN, password=password)
    words = {folded(t(f"{PREFIX}.verdict.{name}")): name for t in languages() for name in VERDICTS}
    words |= {name: name for name in VERDICTS} | {"": ""}
    return book, [
        ReviewAnswer(
            line.line,
            line.cells["left_key"],
            line.cells["right_key"],
            words.get(folded(line.cells["verdict"])),
            line.cells["verdict"],
            line.cells["note"],
        )
        for line in book.sheets["pairs"]
    ]


def told_reasons(reasons: str, labels: Mapping[str, str], t: Messages) -> str:
    """Why a pair is asked, in words: one reason a line."""
    return "\n".join(_reason(code, labels, t) for code in reasons.split(",") if code)


def told_evidence(rule: str, why: str | None, labels: Mapping[str, str], t: Messages) -> str:
    """What speaks for a pair and against it: the rule, or a line for each thing that was compared, in bits."""
    if why is None:
        return t(f"{PREFIX}.rule", rule=rule)
    lines: Sequence[tuple[str, str, float]] = json.loads(why)
    return "\n".join(f"{labels.get(name, name)}: {t.word('level', level)} {bits:+.1f}" for name, level, bits in lines)


def _reason(code: str, labels: Mapping[str, str], t: Messages) -> str:
    name, _, field = code.partition(".")
    return t(f"{PREFIX}.reason.{name}", field=labels.get(field, field))


def _cells(number: int, line: ReviewLine, labels: Mapping[str, str], t: Messages) -> dict[str, str | None]:
    cells: dict[str, str | None] = {
        "number": str(number),
        "left_key": line.left_key,
        "right_key": line.right_key,
        "state": t(f"{PREFIX}.state.{line.state}"),
        "probability": "" if line.probability is None else f"{line.probability:.1%}",
        "reasons": told_reasons(line.reasons, labels, t),
        "evidence": told_evidence(line.rule, line.why, labels, t),
    }
    empty = t(f"{PREFIX}.empty_value")
    for name in labels:
        left, right = line.left.get(name), line.right.get(name)
        if name in line.alike:
            cells[f"field.{name}"] = left
        else:
            cells[f"field.{name}"] = f"A: {left or empty}\nB: {right or empty}"
    return cells


def _distinct(labels: Mapping[str, str], t: Messages) -> dict[str, str]:
    """Fields' labels, told apart from each other and from the workbook's own headers."""
    taken = {t(f"{PREFIX}.column.{column.name}") for column in (*_FIRST, *_LAST)}
    found: dict[str, str] = {}
    for name, label in labels.items():
        shown = f"{label} ({name})" if label in taken or list(labels.values()).count(label) > 1 else label
        found[name] = shown
    return found
