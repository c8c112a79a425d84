"""The queue of rejects as a workbook: written for a person in Excel, and read back however they sorted it.

Text stays text, whatever it begins with. One line a field to look at; the action is chosen from a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet.cell_range import CellRange
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from rollout.errors import ConfigError
from rollout.model.choice import Choice
from rollout.project.spec import Language
from rollout.report.messages import Messages, messages
from rollout.report.workbook_cells import (
    book_bytes,
    folded,
    languages,
    load_safely,
    put_text,
    refuse_without_result,
    text_of,
    write_private,
)

COLUMNS = (
    "key",
    "entity",
    "title",
    "state",
    "field",
    "label",
    "value",
    "crm_value",
    "reason",
    "message",
    "hint",
    "action",
    "target_id",
    "new_value",
    "decided",
)
NEEDED = ("key", "entity", "field", "crm_value", "action", "target_id", "new_value")
"""Columns that are read back."""
FILLED_IN = ("action", "target_id", "new_value")
"""Columns for the person."""
_WRAPPED = Alignment(wrap_text=True, vertical="top")
_AGAIN = "fill in the workbook that `rollout rejects export` wrote, leave its header as it is, and save it as .xlsx"
_WIDTHS = {"message": 40, "hint": 50, "value": 28, "crm_value": 28, "new_value": 28}
_WIDTH = 16
_INFO = ("project", "target", "wave", "plan")
"""What a workbook says it is of; read back, so that it is not brought into another project."""


@dataclass(frozen=True)
class QueueLine:
    """One field of a row of the queue."""

    key: str
    entity: str
    entity_label: str
    title: str
    state: str
    field: str
    """"" where the row as a whole is meant."""
    label: str
    value: str | None
    crm_value: str | None
    reason_code: str
    message: str
    choices: tuple[Choice, ...]
    decided: Choice | None


@dataclass(frozen=True)
class FilledLine:
    """A line as it came back."""

    line: int
    """In the sheet, the header being 1."""
    key: str
    entity: str
    field: str
    crm_value: str | None
    action: str
    target_id: str
    new_value: str


def write_rejects(path: Path, lines: Iterable[QueueLine], info: Mapping[str, str], language: Language) -> int:
    """Write the workbook, in place of the one before, for its owner's eyes only; answers the number of lines.

    Args:
        path: Where to.
        lines: What to look at.
        info: What it is of: project, target, wave, plan.
        language: Of headers, actions and hints.
    """
    t = messages(language)
    book = Workbook()
    sheet = cast("Worksheet", book.active)
    sheet.title = t("reject.sheet")
    count = _fill(sheet, lines, t)
    _explain(book.create_sheet(t("reject.about")), info, t)
    write_private(path, book_bytes(book))
    return count


def read_rejects(path: Path) -> tuple[dict[str, str], list[FilledLine]]:
    """What a workbook says it is of, and its lines in the order of the sheet.

    Raises:
        ConfigError: It is no workbook that :func:`write_rejects` made.
    """
    if not path.is_file():
        raise ConfigError("there is no such file", where=str(path), hint="export one: rollout rejects export FILE")
    book, formulas = load_safely(path, shown=path.name, again=_AGAIN)
    sheet, places = _queue_sheet(book, path)
    if formulas is not None:
        needed = {name: places[name] for name in NEEDED}
        refuse_without_result(sheet, formulas[sheet.title], needed, shown=path.name)
    return _read_info(book, sheet), _read_lines(sheet, places)


def shown_choice(choice: Choice, language: Language) -> str:
    """A choice as the workbook's pick-list has it."""
    return messages(language)(f"reject.choice.{choice.value}")


def choice_of(text: str) -> Choice | None:
    """The choice that a cell names, in any language; None: no such choice."""
    return _choices().get(folded(text))


def is_blank_mark(text: str) -> bool:
    """Whether a new value says that the field is to have none."""
    return folded(text) in {folded(t("reject.blank")) for t in languages()}


def _fill(sheet: Worksheet, lines: Iterable[QueueLine], t: Messages) -> int:
    for place, name in enumerate(COLUMNS, start=1):
        cell = sheet.cell(1, place, t(f"reject.column.{name}"))
        cell.font = Font(bold=True)
        if name in FILLED_IN:
            cell.fill = PatternFill("solid", fgColor="FFF2CC")
        sheet.column_dimensions[cell.column_letter].width = _WIDTHS.get(name, _WIDTH)
    choices: list[tuple[Choice, ...]] = []
    at = 1
    for at, line in enumerate(lines, start=2):
        for place, text in enumerate(_cells(line, t), start=1):
            cell = put_text(sheet, at, place, text)
            if COLUMNS[place - 1] in ("message", "hint"):
                cell.alignment = _WRAPPED
        choices.append(line.choices)
    _picklists(sheet, choices, t)
    sheet.freeze_panes = "D2"
    sheet.auto_filter.ref = sheet.dimensions
    return at - 1


def _cells(line: QueueLine, t: Messages) -> list[str]:
    cells = {
        "key": line.key,
        "entity": f"{line.entity} {line.entity_label}".strip(),
        "title": line.title,
        "state": t(f"reject.state.{line.state}"),
        "field": line.field,
        "label": line.label,
        "value": line.value,
        "crm_value": line.crm_value,
        "reason": line.reason_code,
        "message": t.word("reason", line.reason_code) + (f"：{line.message}" if line.message else ""),
        "hint": t.texts.get(f"reason_hint.{line.reason_code}", t("reason_hint.other")),
        "decided": t(f"reject.choice.{line.decided.value}") if line.decided else "",
    }
    return [cells.get(name) or "" for name in COLUMNS]


def _picklists(sheet: Worksheet, choices: Sequence[tuple[Choice, ...]], t: Messages) -> None:
    """The lists to choose an action from: one a set of choices, over runs of lines (cell by cell takes minutes)."""
    column = COLUMNS.index("action") + 1
    lists: dict[tuple[Choice, ...], DataValidation] = {}
    runs: dict[tuple[Choice, ...], list[CellRange]] = {}
    at = 2
    for may, run in groupby(choices):
        last = at + sum(1 for _ in run) - 1
        runs.setdefault(may, []).append(CellRange(min_col=column, max_col=column, min_row=at, max_row=last))
        at = last + 1
    for may, ranges in runs.items():
        words = ",".join(t(f"reject.choice.{choice.value}") for choice in may)
        lists[may] = DataValidation(type="list", formula1=f'"{words}"', allow_blank=True, showErrorMessage=True)
        lists[may].sqref.ranges.update(ranges)
        sheet.add_data_validation(lists[may])


def _explain(sheet: Worksheet, info: Mapping[str, str], t: Messages) -> None:
    rows = [*((t(f"reject.info.{name}"), info.get(name, ""), name) for name in _INFO), ("", "", "")]
    rows += [(t(f"reject.choice.{choice.value}"), t(f"reject.means.{choice.value}"), "") for choice in Choice]
    rows.append((t("reject.blank"), t("reject.means.blank"), ""))
    for at, row in enumerate(rows, start=1):
        for place, text in enumerate(row, start=1):
            put_text(sheet, at, place, text)
    sheet.column_dimensions["A"].width = _WIDTH
    sheet.column_dimensions["B"].width = 100
    sheet.column_dimensions["C"].hidden = True


def _queue_sheet(book: Workbook, path: Path) -> tuple[Worksheet, dict[str, int]]:
    """The sheet of the queue, and where its columns are (from 0).

    Raises:
        ConfigError: None is, or several are, or it lacks a column, or has one twice.
    """
    headers = {t(f"reject.column.{name}"): name for t in languages() for name in COLUMNS}
    rows = [(sheet, [headers.get(text_of(cell.value)) for cell in sheet[1]]) for sheet in book.worksheets]
    found = [(sheet, names) for sheet, names in rows if {"key", "entity"} <= set(names)]
    if not found:
        raise ConfigError(
            "no sheet of this workbook has the columns of the queue of rejects", where=path.name, hint=_AGAIN
        )
    if len(found) > 1:
        titles = ", ".join(f"'{sheet.title}'" for sheet, _ in found)
        raise ConfigError(
            f"several sheets look like the queue: {titles}", where=path.name, hint="keep the one that is meant"
        )
    [(sheet, names)] = found
    of_sheet = text_of(sheet.cell(1, names.index("key") + 1).value)
    t = next(t for t in languages() if t("reject.column.key") == of_sheet)
    if missing := [name for name in NEEDED if name not in names]:
        told = ", ".join(f"'{t(f'reject.column.{name}')}'" for name in missing)
        raise ConfigError(f"columns are missing: {told}", where=f"{path.name}: {sheet.title}", hint=_AGAIN)
    if doubled := [name for name in NEEDED if names.count(name) > 1]:
        told = ", ".join(f"'{t(f'reject.column.{name}')}'" for name in doubled)
        raise ConfigError(
            f"columns are there twice: {told}", where=f"{path.name}: {sheet.title}", hint="keep the one that is meant"
        )
    return sheet, {name: at for at, name in enumerate(names) if name is not None}


def _read_info(book: Workbook, queue: Worksheet) -> dict[str, str]:
    return {
        str(name): text_of(value)
        for sheet in book.worksheets
        if sheet is not queue
        for _, value, name in sheet.iter_rows(min_row=1, max_row=len(_INFO), max_col=3, values_only=True)
        if name in _INFO
    }


def _read_lines(sheet: Worksheet, places: Mapping[str, int]) -> list[FilledLine]:
    found = []
    for at, row in enumerate(sheet.iter_rows(min_row=2, values_only=True), start=2):
        cells = {name: text_of(row[place]) if place < len(row) else "" for name, place in places.items()}
        if any(cells.values()):
            found.append(
                FilledLine(
                    line=at,
                    key=cells["key"],
                    entity=cells["entity"].partition(" ")[0],
                    field=cells["field"],
                    crm_value=cells["crm_value"],
                    action=cells["action"],
                    target_id=cells["target_id"],
                    new_value=cells["new_value"],
                )
            )
    return found


def _choices() -> dict[str, Choice]:
    words = {folded(t(f"reject.choice.{choice.value}")): choice for t in languages() for choice in Choice}
    return words | {choice.value: choice for choice in Choice}
