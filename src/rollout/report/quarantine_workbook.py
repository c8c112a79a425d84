"""Rows of the quarantine as a workbook for one recipient: a line a problem, the right value to be filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.model.entity import FieldSpec
from rollout.model.masking import mask_field
from rollout.project.spec import EntitySpec, Language
from rollout.report.messages import Messages, messages
from rollout.report.people_book import Column, Line, Sheet, read_book, write_book
from rollout.report.workbook_cells import folded, languages

PREFIX = "quarantine"
LEAVE_OUT = "leave_out"
_AGAIN = "fill in the workbook that `rollout quarantine export` wrote, leave its header as it is, and save it as .xlsx"
_NEEDED = ("key", "entity", "field", "version", "new_value", "action")
"""Columns that are read back, the identifying one first."""
_SHOWN = ("key", "entity", "place", "title", "label", "value", "reason", "hint")
_INFO = ("project", "handout", "recipient", "by", "due")
_ABOUT = ("new_value", "action", "empty", "masked", "sorted")
_OUTCOMES = ("accepted", "partly", "wrong", "left_out", "gone", "changed", "refused")
BOOK_KEYS = (
    *(f"{PREFIX}.outcome.{name}" for name in _OUTCOMES),
    *(f"{PREFIX}.column.{name}" for name in dict.fromkeys((*_SHOWN, *_NEEDED))),
    *(f"{PREFIX}.info.{name}" for name in _INFO),
    *(f"{PREFIX}.about.{name}.{part}" for name in _ABOUT for part in ("name", "text")),
    *(f"{PREFIX}.{name}" for name in ("sheet.rows", "leave_out", "repair", "unassigned", "file", "whole_row")),
)
"""Words that are composed."""


def told_outcome(outcome: str, problems: Iterable[str], labels: Mapping[str, str], language: Language) -> str:
    """What became of a row's answers, in words.

    Args:
        outcome: As the import gives it.
        problems: What is still wrong: ``field: reason code``, or a sentence, which stays as it is.
        labels: What people call the fields; one without a label keeps its name.
        language: zh or en.
    """
    t = messages(language)
    told = [t(f"{PREFIX}.outcome.{outcome}")]
    for problem in problems:
        field, _, code = problem.partition(": ")
        known = f"reason.{code}" in t.texts
        told.append(f"{labels.get(field, field)}: {t.word('reason', code)}" if known else problem)
    return ("；" if language == "zh" else "; ").join(told)


@dataclass(frozen=True)
class ProblemLine:
    """One problem of a row."""

    key: str
    entity: str
    place: str
    """File and line."""
    title: str | None
    field: str | None
    """None: of the row as a whole."""
    value: str | None
    reason_code: str
    rule: str
    """The rule's name, where a rule of the project says so; else ""."""
    version: str
    """A keyed digest of the row."""


@dataclass(frozen=True)
class Answer:
    """A line that came back with an answer."""

    line: int
    key: str
    entity: str
    field: str
    """"" where the row as a whole is meant."""
    version: str
    new_value: str
    leave_out: bool
    is_unknown: bool
    """The action is none of those that there are."""
    is_mask: bool = False
    """The new value is what was shown in place of a value that is masked."""


def write_quarantine(
    path: Path,
    lines: Iterable[ProblemLine],
    entities: Mapping[str, EntitySpec],
    *,
    info: Mapping[str, str],
    language: Language,
    unmasked: bool = False,
    password: str | None = None,
) -> str:
    """Write a workbook; answers the SHA-256 of the file.

    Args:
        path: Where to.
        lines: What is in it.
        entities: For labels, and to mask personal data.
        info: Project, handout, recipient, by, due.
        language: Of headers and words.
        unmasked: Show personal data.
        password: Opens the file.
    """
    t = messages(language)
    columns = [
        Column("key", 18),
        Column("entity", 16),
        Column("place", 26),
        Column("title", 24, wrap=True),
        Column("label", 16),
        Column("value", 24, wrap=True),
        Column("reason", 30, wrap=True),
        Column("hint", 34, wrap=True),
        Column("new_value", 26, fill_in=True),
        Column("action", 12, fill_in=True, choices=(t(f"{PREFIX}.repair"), t(f"{PREFIX}.leave_out"))),
        Column("field", hidden=True),
        Column("version", hidden=True),
    ]
    rows = (problem_cells(line, entities[line.entity], t, unmasked=unmasked) for line in lines)
    return write_book(
        path,
        [Sheet("rows", columns, rows)],
        prefix=PREFIX,
        info=info,
        language=language,
        about=[(t(f"{PREFIX}.about.{name}.name"), t(f"{PREFIX}.about.{name}.text")) for name in _ABOUT],
        password=password,
    )


def read_quarantine(path: Path, password: str | None = None) -> tuple[Mapping[str, str], Sequence[Answer]]:
    """Read a workbook that came back: what it is of, and the lines that were answered.

    Raises:
        ConfigError: It is no such workbook, or its password is missing or wrong.
    """
    book = read_book(path, {"rows": _NEEDED}, prefix=PREFIX, again=_AGAIN, password=password)
    return book.info, list(_answers(book.sheets["rows"]))


def _answers(lines: Iterable[Line]) -> Iterator[Answer]:
    known = {folded(t(f"{PREFIX}.{name}")): name for t in languages() for name in ("leave_out", "repair")}
    for line in lines:
        at, cells = line
        action = folded(cells["action"])
        if not cells["new_value"] and not action:
            continue
        yield Answer(
            line=at,
            key=cells["key"],
            entity=cells["entity"].partition(" ")[0],
            field=cells["field"],
            version=cells["version"],
            new_value=cells["new_value"],
            leave_out=known.get(action) == LEAVE_OUT,
            is_unknown=bool(action) and action not in known,
            is_mask="*" in cells["new_value"] and cells["new_value"] == cells.get("value"),
        )


def problem_cells(line: ProblemLine, entity: EntitySpec, t: Messages, *, unmasked: bool) -> dict[str, str | None]:
    """A problem as people read it, by column; personal data masked unless it may be shown."""
    spec = entity.fields.get(line.field or "")
    reason = t.word("reason", line.reason_code)
    return {
        "key": line.key,
        "entity": f"{line.entity} {t.label(entity.label, entity.label_en)}",
        "place": line.place,
        "title": line.title if unmasked else mask_field(entity.fields[entity.title_field], line.title),
        "label": (spec.label or line.field) if spec else t(f"{PREFIX}.whole_row"),
        "value": line.value if unmasked else _masked(spec, line.value),
        "reason": f"{reason}（{line.rule}）" if line.rule else reason,
        "hint": t(f"finding.cleanse.{line.reason_code}.advice"),
        "field": line.field or "",
        "version": line.version,
    }


def _masked(spec: FieldSpec | None, value: str | None) -> str | None:
    """A line that could not be read may hold anything."""
    return mask_field(spec, value) if spec else ("***" if value else None)
