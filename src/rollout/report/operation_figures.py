"""From the journal's lines to the figures of a month. Pure. What was not measured stays unmeasured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rollout.journal.operations import ProbeRow, RunRow
from rollout.model.verdict import Verdict
from rollout.report.operation_documents import (
    SYNC_KINDS,
    DayFigures,
    FieldFill,
    IncidentFigures,
    NightFigures,
    NightState,
    PermissionFigures,
    QualityFigures,
    Slot,
    VolumeFigures,
)

AVAILABILITY = frozenset({"login", "transaction", "database"})
"""Probes that together say whether the CRM could be worked with."""
LATENCY = "transaction"
_MAX_SLOTS_SHOWN = 24


@dataclass(frozen=True)
class Month:
    """A month in a time zone, as far as it has come."""

    year: int
    month: int
    zone: ZoneInfo
    now: datetime

    @property
    def begin(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.month, 1, tzinfo=self.zone)

    @property
    def end(self) -> datetime:
        """The first instant after it."""
        following = (self.year + self.month // 12, self.month % 12 + 1)
        return datetime(*following, 1, tzinfo=self.zone)

    @property
    def dates(self) -> list[date]:
        """Its days."""
        return [self.begin.date() + timedelta(days=n) for n in range((self.end.date() - self.begin.date()).days)]

    def bounds(self, day: date) -> tuple[datetime, datetime]:
        """First instant of a day, and of the next; 23 or 25 hours apart when clocks are changed."""
        following = day + timedelta(days=1)
        return (
            datetime(day.year, day.month, day.day, tzinfo=self.zone),
            datetime(following.year, following.month, following.day, tzinfo=self.zone),
        )


def days(
    month: Month, probes: Iterable[ProbeRow], *, every_min: int, began_at: datetime | None
) -> tuple[DayFigures, ...]:
    """Availability and latency by day.

    A day is cut into the slots of the schedule. A slot is measured when a run in it has all availability probes, and
    available when every run in it found all of them fine: a check that somebody starts by hand adds nothing. Nothing
    is expected of slots that ended before operation ``began_at``; None: it has not begun.
    """
    began_s = math.inf if began_at is None else began_at.timestamp()
    by_run: dict[str, dict[str, ProbeRow]] = defaultdict(dict)
    for probe in probes:
        by_run[probe.run_id][probe.name] = probe
    runs = [found for found in by_run.values() if found.keys() >= AVAILABILITY]
    # Aware instants of one zone are subtracted by their wall clocks: timestamps count what really passed.
    every_s = every_min * 60
    figures = []
    for day in month.dates:
        begin, end = (moment.timestamp() for moment in month.bounds(day))
        count = max(1, round((end - begin) / every_s))
        slots: list[list[bool]] = [[] for _ in range(count)]
        seconds: list[float] = []
        for found in runs:
            at = found[LATENCY].at.timestamp()
            if begin <= at < end:
                fine = all(found[name].is_ok for name in AVAILABILITY)
                slots[min(int((at - begin) // every_s), count - 1)].append(fine)
                if (took_s := found[LATENCY].latency_s) is not None:
                    seconds.append(took_s)
        states = [
            _slot(found, ends_s=begin + (place + 1) * every_s, began_s=began_s, now_s=month.now.timestamp())
            for place, found in enumerate(slots)
        ]
        figures.append(
            DayFigures(
                date=day.isoformat(),
                expected=sum(state not in (Slot.BEFORE, Slot.AHEAD) for state in states),
                measured=sum(state in (Slot.UP, Slot.DOWN) for state in states),
                available=sum(state is Slot.UP for state in states),
                slots=_shown(states),
                transactions=len(seconds),
                mean_s=math.fsum(seconds) / len(seconds) if seconds else None,
                p95_s=percentile(seconds, 0.95),
            )
        )
    return tuple(figures)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed; None of none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


def _slot(found: Sequence[bool], *, ends_s: float, began_s: float, now_s: float) -> Slot:
    if found:
        return Slot.UP if all(found) else Slot.DOWN
    if ends_s > now_s:
        return Slot.AHEAD
    return Slot.BEFORE if ends_s <= began_s else Slot.UNMEASURED


def _shown(states: Sequence[Slot]) -> tuple[Slot, ...]:
    """At most one cell an hour: down if anything in it was down, unmeasured if anything was and nothing was down."""
    if len(states) <= _MAX_SLOTS_SHOWN:
        return tuple(states)
    worst = (Slot.DOWN, Slot.UNMEASURED, Slot.UP, Slot.BEFORE, Slot.AHEAD)
    cells = []
    for cell in range(_MAX_SLOTS_SHOWN):
        part = states[cell * len(states) // _MAX_SLOTS_SHOWN : (cell + 1) * len(states) // _MAX_SLOTS_SHOWN]
        cells.append(min(part, key=worst.index))
    return tuple(cells)


def nights(month: Month, runs: Sequence[RunRow], *, began_at: datetime | None) -> tuple[NightFigures, ...]:
    """What became of each night's check; of several in a night the last that was completed counts.

    None is missed on the day on which operation ``began_at``, for its night was over, or before.
    """
    completed: dict[str, RunRow] = {}
    begun: dict[str, RunRow] = {}
    for run in runs:
        day = run.started_at.astimezone(month.zone).date().isoformat()
        begun[day] = run
        if run.state == "completed":
            completed[day] = run
    return tuple(
        _night(day.isoformat(), completed.get(day.isoformat()), begun.get(day.isoformat()))
        or NightFigures(date=day.isoformat(), state=_without_check(month, day, began_at))
        for day in month.dates
    )


def _without_check(month: Month, day: date, began_at: datetime | None) -> NightState:
    begin, end = month.bounds(day)
    if end > month.now:
        return NightState.AHEAD  # its night may still be checked
    return NightState.BEFORE if began_at is None or begin < began_at else NightState.MISSING


def _night(name: str, run: RunRow | None, begun: RunRow | None) -> NightFigures | None:
    """What a night's check found; None: there was none."""
    if run is not None:
        sources = run.summary["sources"]
        readable = [source for source in sources if not source["unreadable"]]
        reasons: dict[str, int] = defaultdict(int)
        for source in sources:
            for reason, count in source["reasons"].items():
                if not reason.startswith(("in_flight", "edited")):
                    reasons[reason] += count
        return NightFigures(
            date=name,
            state=NightState.CHECKED,
            verdict=Verdict(run.summary["verdict"]),
            compared=sum(source["compared"] for source in readable) if readable else None,
            counts={kind: sum(s["kinds"].get(kind, 0) for s in readable) for kind in SYNC_KINDS} if readable else {},
            unreadable=tuple(source["source"] for source in sources if source["unreadable"]),
            reasons=dict(reasons),
        )
    if begun is not None:
        return NightFigures(date=name, state=NightState.BROKEN_OFF, detail=str(begun.summary.get("error", "")))
    return None


def incidents(rows: Sequence[Mapping[str, Any]]) -> tuple[IncidentFigures, ...]:
    """Incidents, oldest first."""
    return tuple(
        IncidentFigures(
            key=row["key"],
            message=row["message"],
            opened_at=row["opened_at"],
            closed_at=row["closed_at"],
            occurrences=row["occurrences"],
            told=row["notified_at"] is not None,
        )
        for row in rows
    )


def quality(
    runs: Sequence[RunRow], labels: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[QualityFigures, ...], tuple[str, ...]]:
    """Fill rates and likely duplicates of the first and the last night that measured them, and those nights' dates.

    Args:
        runs: Completed nightly checks, oldest first.
        labels: What people call the fields, by entity, in the order that entities are shown in.
    """
    measured = [run.summary for run in runs if run.summary.get("quality")]
    if not measured:
        return (), ()
    first, last = measured[0], measured[-1]
    figures = []
    for entity, now in _in_order(last["quality"], labels):
        before = first["quality"].get(entity)
        fill_before = (
            {item["field"]: _share(item["filled"], before["records"]) for item in before["fields"]} if before else {}
        )
        figures.append(
            QualityFigures(
                entity=entity,
                records=now["records"],
                fields=tuple(
                    FieldFill(
                        field=item["field"],
                        label=labels.get(entity, {}).get(item["field"], ""),
                        required=item["required"],
                        first=fill_before.get(item["field"]),
                        last=_share(item["filled"], now["records"]),
                    )
                    for item in now["fields"]
                ),
                duplicates={
                    rule: ((before or now)["duplicates"].get(rule, 0), count)
                    for rule, count in now["duplicates"].items()
                },
            )
        )
    return tuple(figures), (first["date"], last["date"])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def volumes(runs: Sequence[RunRow], order: Iterable[str]) -> tuple[VolumeFigures, ...]:
    """Records by entity at the first and the last night that counted them.

    Args:
        runs: Completed nightly checks, oldest first.
        order: Entities in the CRM's names, as they are shown; those of the CRM alone follow.
    """
    counted = [run.summary["volumes"] for run in runs if run.summary.get("volumes")]
    if not counted:
        return ()
    return tuple(
        VolumeFigures(entity=entity, first=counted[0].get(entity, 0), last=count)
        for entity, count in _in_order(counted[-1], order)
    )


def _in_order(figures: Mapping[str, Any], order: Iterable[str]) -> list[tuple[str, Any]]:
    """By entity: the journal keeps no order of its own."""
    places = {entity: place for place, entity in enumerate(order)}
    return sorted(figures.items(), key=lambda item: (places.get(item[0], len(places)), item[0]))


def permission_changes(runs: Sequence[RunRow]) -> tuple[PermissionFigures, ...]:
    """Changes of standing, as the nights found them."""
    return tuple(
        PermissionFigures(date=run.summary["date"], **moved)
        for run in runs
        for moved in run.summary["permissions"]["changes"]
    )
