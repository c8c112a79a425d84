"""Runs a month of operation against a testbed of its own, and compares what was found with what was planted."""

from __future__ import annotations

import random
import time as real_time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

from pydantic import Field

from rollout.journal.operations import Operations
from rollout.model.base import Frozen
from rollout.phases.context import Progress, Silent, shown
from rollout.phases.monthly import write_monthly_report
from rollout.project.loader import Project
from rollout.rehearsal.faults import FaultKind, PlantedFault, draw, label
from rollout.rehearsal.stage import Stage, company

FIRST_MONTH = date(2026, 4, 1)
"""The first simulated month: 30 nights."""
RUN_HOURS = (2, 5, 8, 11, 14, 17, 20, 23)
"""When syncs and health check run; the nightly check with the first."""
REPORT_AT = time(8)
_ORDER_TIMES = (time(9, 30), time(12, 30), time(15, 30))
_ORDERS_AT_ONCE = 2

Event = tuple[datetime, int, Callable[[], None]]
"""When, in which order among those of the same moment, and what."""


class FoundFault(Frozen):
    """A planted fault and what became of it."""

    kind: FaultKind
    at: datetime
    sign: str = Field(description="What it had to be found as.")
    expected_in: str
    found_in: str = Field(description="The run that first showed it so; empty: none did.")
    found: bool = Field(description="Shown as what it is, in the run in which it should be.")


class SimulationSummary(Frozen):
    """The answer of `demo --months`."""

    project: str
    seed: int
    nights: int
    health_runs: int
    orders: int = Field(description="Orders of the ERP at the end.")
    faults_seeded: int
    faults_found: int
    false_alarms: int
    faults: tuple[FoundFault, ...]
    alarms: tuple[str, ...] = Field(description="What was reported and follows from no fault.")
    incidents: int
    messages: int = Field(description="Alerts and recoveries that arrived.")
    reports: tuple[str, ...]
    seconds: float


def simulate(
    project: Project,
    *,
    months: int = 1,
    seed: int = 1,
    nights: int | None = None,
    kinds: Sequence[FaultKind] | None = None,
    progress: Progress | None = None,
) -> SimulationSummary:
    """Simulate months of operation and write the reports of those months.

    A testbed, a journal and a workspace of their own are made anew, so that the project's own stay as they are.

    Args:
        project: A project whose CRM, ERP and messengers are the testbed's.
        months: How many, from `FIRST_MONTH` on.
        seed: The same seed gives the same month.
        nights: Only so many; the reports then say that the rest was not measured.
        kinds: The faults to plant; default: all kinds.
        progress: Shows how far it is.

    Raises:
        ConfigError: The project does not work on the testbed, or has no sync.
        Retryable: The database cannot be reached.
    """
    begun_s = real_time.perf_counter()
    zone = ZoneInfo(project.spec.project.time_zone)
    days = _days(months)[:nights]
    begins_at = datetime.combine(days[0], time(), zone)
    with company(project, random.Random(f"world {seed}"), begins_at) as stage:  # noqa: S311 - a game, not a secret
        faults = draw(random.Random(f"faults {seed}"), days, zone, kinds)  # noqa: S311
        play(stage, days, faults, progress or Silent())
        alarms = judge(stage, faults)
        reports = tuple(_reports(stage, days))
        return SimulationSummary(
            project=stage.context.journal.project_id,
            seed=seed,
            nights=len(days),
            health_runs=stage.health_runs,
            orders=stage.world.orders,
            faults_seeded=len(faults),
            faults_found=sum(fault.is_found for fault in faults),
            false_alarms=len(alarms),
            faults=tuple(
                FoundFault(
                    kind=fault.kind,
                    at=fault.begins_at,
                    sign=fault.sign,
                    expected_in=fault.run,
                    found_in=fault.found_in,
                    found=fault.is_found,
                )
                for fault in faults
            ),
            alarms=tuple(alarms),
            incidents=_incidents(stage, days),
            messages=stage.messages,
            reports=reports,
            seconds=round(real_time.perf_counter() - begun_s, 1),
        )


def play(stage: Stage, days: Sequence[date], faults: Sequence[PlantedFault], progress: Progress) -> None:
    """Let everything happen in its order."""
    zone = stage.clock.now.tzinfo
    events = [*_daily(stage, days, zone), *_mishaps(stage, faults)]
    events.sort(key=lambda event: event[:2])
    with shown(progress, "simulating", len(days), "nights"):
        night = days[0]
        for at, _, happen in events:
            if at.date() > night:
                progress.advance(1)
                night = at.date()
            stage.clock.now = at
            happen()
        progress.advance(1)


def judge(stage: Stage, faults: Sequence[PlantedFault]) -> list[str]:
    """Note where each fault was first seen as what it is; answers what was reported and follows from none."""
    alarms = []
    for kind, at, sign in stage.reported:
        for fault in faults:
            if sign == fault.sign and not fault.found_in and fault.accounts_for(sign, at):
                fault.found_in = label(kind, at)
        if not any(fault.accounts_for(sign, at) for fault in faults):
            alarms.append(f"{label(kind, at)}: {sign}")
    with stage.context.journal.transaction() as connection:
        left = Operations(stage.context.journal.project_id).open_incidents(connection)
    return alarms + [f"still open at the end: {incident['key']}" for incident in left]


def _daily(stage: Stage, days: Sequence[date], zone: tzinfo | None) -> Iterator[Event]:
    for day in days:
        for moment in _ORDER_TIMES:
            at = datetime.combine(day, moment, zone)
            for _ in range(_ORDERS_AT_ONCE):
                yield at, 0, partial(stage.order, at)
        for hour in RUN_HOURS:
            at = datetime.combine(day, time(hour), zone)
            yield at, 1, partial(stage.watch, is_night=hour == RUN_HOURS[0])


def _mishaps(stage: Stage, faults: Sequence[PlantedFault]) -> Iterator[Event]:
    for fault in faults:
        yield fault.begins_at, 0, partial(stage.begin, fault)
        yield fault.ends_at, 0, partial(stage.end, fault)


def _reports(stage: Stage, days: Sequence[date]) -> Iterator[str]:
    """Each month's report, written when its deployment would write it: on the first of the next."""
    zone = stage.clock.now.tzinfo
    for first in sorted({day.replace(day=1) for day in days}):
        stage.clock.now = datetime.combine(_next_month(first), REPORT_AT, zone)
        with stage.visit() as context:
            yield from write_monthly_report(context).reports


def _incidents(stage: Stage, days: Sequence[date]) -> int:
    begins_at = datetime.combine(days[0], time(), UTC) - timedelta(days=1)
    with stage.context.journal.transaction() as connection:
        return len(Operations(stage.context.journal.project_id).incidents(connection, begins_at, stage.clock.now))


def _days(months: int) -> list[date]:
    end = FIRST_MONTH
    for _ in range(months):
        end = _next_month(end)
    return [FIRST_MONTH + timedelta(days=n) for n in range((end - FIRST_MONTH).days)]


def _next_month(first: date) -> date:
    return (first + timedelta(days=32)).replace(day=1)
