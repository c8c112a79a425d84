"""The queue of rejects as a workbook: written for a person in Excel, and read back however they sorted it.

Text stays text, whatever it begins with. One line a field to look at; the action is chosen from a list.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from rollout.connectors.files.guard import require_safe
from rollout.errors import ConfigError
from rollout.model.choice import Choice
from rollout.project.spec import Language
from rollout.report.messages import Messages, messages

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
MAX_CELL = 32_767
"""Characters that Excel keeps in a cell."""
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
    data = io.BytesIO()
    book.save(data)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data.getvalue())
    part.replace(path)
    return count


def read_rejects(path: Path) -> tuple[dict[str, str], list[FilledLine]]:
    """What a workbook says it is of, and its lines in the order of the sheet.

    Raises:
        ConfigError: It is no workbook that :func:`write_rejects` made.
    """
    if not path.is_file():
        raise ConfigError("there is no such file", where=str(path), hint="export one: rollout rejects export FILE")
    require_safe(path, path.name)
    try:
        book = load_workbook(path, data_only=True)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ConfigError("this is not an Excel workbook", where=path.name, hint="save it as .xlsx") from error
    headers = {t(f"reject.column.{name}"): name for t in _languages() for name in COLUMNS}
    for sheet in book.worksheets:
        places = {headers[text]: at for at, cell in enumerate(sheet[1]) if (text := _text(cell.value)) in headers}
        if set(NEEDED) <= set(places):
            return _read_info(book, sheet), _read_lines(sheet, places)
    raise ConfigError(
        "no sheet of this workbook has the columns of the queue of rejects",
        where=path.name,
        hint="fill in the workbook that `rollout rejects export` wrote, and leave its header as it is",
    )


def choice_of(text: str) -> Choice | None:
    """The choice that a cell names, in any language; None: no such choice."""
    return _choices().get(text.strip().casefold())


def is_blank_mark(text: str) -> bool:
    """Whether a new value says that the field is to have none."""
    return text in {t("reject.blank") for t in _languages()}


def cell_text(value: str | None) -> str:
    """A value as a cell holds it."""
    return ILLEGAL_CHARACTERS_RE.sub("", value or "")[:MAX_CELL]


def _fill(sheet: Worksheet, lines: Iterable[QueueLine], t: Messages) -> int:
    for place, name in enumerate(COLUMNS, start=1):
        cell = sheet.cell(1, place, t(f"reject.column.{name}"))
        cell.font = Font(bold=True)
        if name in FILLED_IN:
            cell.fill = PatternFill("solid", fgColor="FFF2CC")
        sheet.column_dimensions[cell.column_letter].width = _WIDTHS.get(name, _WIDTH)
    lists: dict[tuple[Choice, ...], DataValidation] = {}
    at = 1
    for at, line in enumerate(lines, start=2):
        for place, text in enumerate(_cells(line, t), start=1):
            cell = cast("Cell", sheet.cell(at, place))
            # Set apart from the value: openpyxl would make a formula of what begins with "=".
            cell.value, cell.data_type = cell_text(text), "s"
            cell.quotePrefix = True
            cell.number_format = "@"
            if COLUMNS[place - 1] in ("message", "hint"):
                cell.alignment = Alignment(wrap_text=True, vertical="top")
        _picklist(sheet, lists, line.choices, t).add(sheet.cell(at, COLUMNS.index("action") + 1))
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


def _picklist(
    sheet: Worksheet, lists: dict[tuple[Choice, ...], DataValidation], choices: tuple[Choice, ...], t: Messages
) -> DataValidation:
    """The list that belongs to a set of choices, made when it is first asked for."""
    if choices not in lists:
        words = ",".join(t(f"reject.choice.{choice.value}") for choice in choices)
        lists[choices] = DataValidation(type="list", formula1=f'"{words}"', allow_blank=True, showErrorMessage=True)
        sheet.add_data_validation(lists[choices])
    return lists[choices]


def _explain(sheet: Worksheet, info: Mapping[str, str], t: Messages) -> None:
    rows = [*((t(f"reject.info.{name}"), info.get(name, ""), name) for name in _INFO), ("", "", "")]
    rows += [(t(f"reject.choice.{choice.value}"), t(f"reject.means.{choice.value}"), "") for choice in Choice]
    rows.append((t("reject.blank"), t("reject.means.blank"), ""))
    for at, row in enumerate(rows, start=1):
        for place, text in enumerate(row, start=1):
            cell = cast("Cell", sheet.cell(at, place))
            cell.value, cell.data_type = cell_text(text), "s"
    sheet.column_dimensions["A"].width = _WIDTH
    sheet.column_dimensions["B"].width = 100
    sheet.column_dimensions["C"].hidden = True


def _read_info(book: Workbook, queue: Worksheet) -> dict[str, str]:
    return {
        str(name): _text(value)
        for sheet in book.worksheets
        if sheet is not queue
        for _, value, name in sheet.iter_rows(min_row=1, max_row=len(_INFO), max_col=3, values_only=True)
        if name in _INFO
    }


def _read_lines(sheet: Worksheet, places: Mapping[str, int]) -> list[FilledLine]:
    found = []
    for at, row in enumerate(sheet.iter_rows(min_row=2, values_only=True), start=2):
        cells = {name: _text(row[place]) if place < len(row) else "" for name, place in places.items()}
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


def _text(value: Any) -> str:
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


def _choices() -> dict[str, Choice]:
    words = {t(f"reject.choice.{choice.value}").casefold(): choice for t in _languages() for choice in Choice}
    return words | {choice.value: choice for choice in Choice}


def _languages() -> Sequence[Messages]:
    return (messages("zh"), messages("en"))
