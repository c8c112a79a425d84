"""`monthly-report`: the operation report of a month, from the journal alone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field

from rollout.errors import ConfigError
from rollout.govern.sequence import Phase
from rollout.journal import decisions
from rollout.journal.engine import Connection
from rollout.journal.operations import Operations
from rollout.model.base import Frozen
from rollout.phases import health, nightly
from rollout.phases.context import PhaseContext
from rollout.report import operation_figures as figures
from rollout.report.documents import EntityLabel
from rollout.report.files import write_document
from rollout.report.operation import render_operation
from rollout.report.operation_documents import OperationReport
from rollout.report.operation_workbook import write_workbook

PHASE = "monthly_report"


class MonthlySummary(Frozen):
    """The answer of `monthly-report`."""

    run_id: str
    month: str
    expected: int = Field(description="Health checks that the schedule asked for.")
    measured: int = Field(description="Those that took place.")
    available: int = Field(description="Those in which every availability probe was fine.")
    availability: float | None = Field(description="available ÷ measured; None: nothing was measured.")
    least_availability: float | None = Field(description="available ÷ expected: what was not measured counts as down.")
    nights: int = Field(description="Nights whose time has come.")
    nights_checked: int
    incidents: int
    permission_changes: int
    reports: tuple[str, ...]


def write_monthly_report(context: PhaseContext, month: str | None = None) -> MonthlySummary:
    """Write `operation-YYYY-MM` as HTML and XLSX in each of the project's languages.

    Args:
        context: The phase's context.
        month: `YYYY-MM`; None: the month before this one in the project's time zone.

    Raises:
        ConfigError: No such month, or it has not begun.
    """
    chosen = _month(context, month)
    with context.journal.running(PHASE) as run:
        report = _report(context, chosen)
        summary = MonthlySummary(
            run_id=run.run_id,
            month=report.month,
            expected=report.expected,
            measured=report.measured,
            available=report.available,
            availability=report.availability,
            least_availability=report.least_availability,
            nights=report.due_nights,
            nights_checked=report.checked,
            incidents=len(report.incidents),
            permission_changes=len(report.permissions),
            reports=_write(context, report),
        )
        run.summary = summary.model_dump(mode="json")
    return summary


def _month(context: PhaseContext, month: str | None) -> figures.Month:
    zone, now = ZoneInfo(context.project.spec.project.time_zone), context.clock()
    if month is None:
        last = now.astimezone(zone).date().replace(day=1) - timedelta(days=1)
        return figures.Month(last.year, last.month, zone, now)
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month) or month < "1970":
        raise ConfigError(f"'{month}' is no month", where="--month", hint="write YYYY-MM, such as 2026-04")
    chosen = figures.Month(int(month[:4]), int(month[5:]), zone, now)
    if chosen.begin > now:
        raise ConfigError(f"the month {month} has not begun", where="--month", hint="choose an earlier one")
    return chosen


def _report(context: PhaseContext, month: figures.Month) -> OperationReport:
    spec, operations = context.project.spec, Operations(context.journal.project_id)
    with context.journal.transaction() as connection:
        checks = operations.runs(connection, nightly.PHASE, month.begin, month.end)
        incidents = operations.incidents(connection, month.begin, month.end)
        began_at = _began_at(context, connection, operations)
        days = figures.days(
            month,
            operations.probes(connection, month.begin, month.end),
            every_min=spec.operations.health_every_min,
            began_at=began_at,
        )
    done = [run for run in checks if run.state == "completed"]
    labels = {name: {f: given.label for f, given in entity.fields.items()} for name, entity in spec.entities.items()}
    quality, quality_dates = figures.quality(done, labels)
    return OperationReport(
        project=spec.project.name,
        project_en=spec.project.name_en,
        company=spec.report.company or spec.project.name,
        company_en=spec.project.name_en,
        month=f"{month.year:04}-{month.month:02}",
        time_zone=spec.project.time_zone,
        written_at=context.clock(),
        is_over=month.end <= month.now,
        began_at=began_at,
        health_every_min=spec.operations.health_every_min,
        labels={
            called: EntityLabel(zh=entity.label, en=entity.label_en)
            for name, entity in spec.entities.items()
            for called in (name, entity.target_name or name)
        },
        days=days,
        nights=figures.nights(month, checks, began_at=began_at),
        incidents=figures.incidents(incidents),
        quality=quality,
        quality_dates=quality_dates,
        volumes=figures.volumes(done, [entity.target_name or name for name, entity in spec.entities.items()]),
        permissions=figures.permission_changes(done),
        permission_nights=sum(run.summary["permissions"]["users"] is not None for run in done),
    )


def _began_at(context: PhaseContext, connection: Connection, operations: Operations) -> datetime | None:
    """When operation began: with the first check of any kind, or the decision to go live if that came first."""
    first = operations.first_run_at(connection, (health.PHASE, nightly.PHASE))
    decided = decisions.decided(connection, context.journal.project_id)
    live = (decision.at for decision in decided if decision.phase == Phase.GOLIVE and decision.is_go)
    return min((at for at in (first, *live) if at is not None), default=None)


def _write(context: PhaseContext, report: OperationReport) -> tuple[str, ...]:
    folder, paths = context.project.workspace.reports, list[Path]()
    for language in context.project.spec.project.languages:
        name = f"operation-{report.month}.{language}"
        paths.append(write_document(folder, f"{name}.html", render_operation(report, language)))
        paths.append(write_workbook(folder, f"{name}.xlsx", report, language))
    return tuple(map(str, paths))
