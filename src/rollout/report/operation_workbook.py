"""The monthly operation report as a workbook: text stays text, whatever it begins with; figures are numbers."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from rollout.project.spec import Language
from rollout.report.alerts import incident_name
from rollout.report.messages import Messages, messages
from rollout.report.operation import reason
from rollout.report.operation_documents import SYNC_KINDS, OperationReport

Row = Sequence[str | float | int | None]
_WIDTH = 20


def write_workbook(folder: Path, name: str, report: OperationReport, language: Language) -> Path:
    """Write the workbook under its name, in place of the one before; answers its path."""
    t = messages(language)
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in _sheets(report, t):
        _fill(book.create_sheet(title), rows)
    data = io.BytesIO()
    book.save(data)
    part = folder / f".{name}.{os.getpid()}.tmp"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data.getvalue())
    path = folder / name
    part.replace(path)
    return path


def _fill(sheet: Worksheet, rows: Iterator[Row]) -> None:
    for at, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            cell = cast("Cell", sheet.cell(at, place))
            if isinstance(value, str):
                # Set apart from the value: openpyxl would make a formula of what begins with "=".
                cell.value, cell.data_type = value, "s"
                cell.quotePrefix = True
            else:
                cell.value = value
            if at == 1:
                cell.font = Font(bold=True)
                sheet.column_dimensions[cell.column_letter].width = _WIDTH
    sheet.freeze_panes = "A2"


def _sheets(report: OperationReport, t: Messages) -> Iterator[tuple[str, Iterator[Row]]]:
    yield t("operation.overview"), _overview(report, t)
    yield t("operation.availability"), _days(report, t)
    yield t("operation.sync"), _nights(report, t)
    yield t("operation.incidents"), _incidents(report, t)
    yield t("operation.quality"), _quality(report, t)
    yield t("operation.volumes"), _volumes(report, t)
    yield t("operation.permissions"), _permissions(report, t)


def _overview(report: OperationReport, t: Messages) -> Iterator[Row]:
    yield t("operation.title"), report.month
    yield t("document.project"), t.label(report.project, report.project_en)
    yield t("operation.zone"), report.time_zone
    yield t("document.written_at"), _local(report.written_at, report)
    yield t("operation.expected"), report.expected
    yield t("operation.measured"), report.measured
    yield t("operation.available"), report.available
    yield t("operation.availability"), report.availability
    yield t("operation.least"), report.least_availability
    yield t("operation.nights_due"), report.due_nights
    yield t("operation.nights"), report.checked
    yield t("operation.incidents"), len(report.incidents)


def _days(report: OperationReport, t: Messages) -> Iterator[Row]:
    yield (
        t("column.date"),
        t("operation.expected"),
        t("operation.measured"),
        t("operation.available"),
        t("operation.transactions"),
        t("operation.mean"),
        t("operation.p95"),
    )
    for day in report.days:
        yield day.date, day.expected, day.measured, day.available, day.transactions, day.mean_s, day.p95_s


def _nights(report: OperationReport, t: Messages) -> Iterator[Row]:
    yield (
        t("column.night"),
        t("column.state"),
        t("column.verdict"),
        t("column.compared"),
        *(t(f"sync_kind.{kind}") for kind in SYNC_KINDS),
        t("column.found"),
    )
    for night in report.nights:
        told = [f"{reason(t, name)} × {count}" for name, count in sorted(night.reasons.items())]
        if night.unreadable:
            told.append(t("operation.unreadable", sources=", ".join(night.unreadable)))
        yield (
            night.date,
            t(f"night.{night.state}"),
            t(f"verdict.{night.verdict}") if night.verdict else None,
            night.compared,
            *(night.counts.get(kind) for kind in SYNC_KINDS),
            "; ".join([*told, night.detail] if night.detail else told),
        )


def _incidents(report: OperationReport, t: Messages) -> Iterator[Row]:
    yield (
        t("column.incident"),
        t("column.message"),
        t("column.opened"),
        t("column.closed"),
        t("column.lasted_min"),
        t("column.seen"),
        t("column.told"),
    )
    for item in report.incidents:
        end = item.closed_at or report.written_at
        yield (
            incident_name(t, item.key),
            item.message,
            _local(item.opened_at, report),
            _local(item.closed_at, report) if item.closed_at else t("operation.open"),
            round((end - item.opened_at).total_seconds() / 60),
            item.occurrences,
            "✓" if item.told else t("operation.untold"),
        )


def _quality(report: OperationReport, t: Messages) -> Iterator[Row]:
    yield (t("column.entity"), t("column.field"), t("column.first_night"), t("column.last_night"))
    for entity in report.quality:
        for field in entity.fields:
            yield entity.entity, field.label or field.field, field.first, field.last
        for rule, (first, last) in sorted(entity.duplicates.items()):
            yield entity.entity, t("operation.duplicates", rule=rule), first, last


def _volumes(report: OperationReport, t: Messages) -> Iterator[Row]:
    yield (t("column.entity"), t("column.first_night"), t("column.last_night"))
    for row in report.volumes:
        yield row.entity, row.first, row.last


def _permissions(report: OperationReport, t: Messages) -> Iterator[Row]:
    yield (t("column.night"), t("column.user"), t("column.before"), t("column.after"))
    for row in report.permissions:
        yield row.date, row.login, t.word("standing", row.before), t.word("standing", row.after)


def _local(at: datetime, report: OperationReport) -> str:
    return f"{at.astimezone(ZoneInfo(report.time_zone)):%Y-%m-%d %H:%M}"
