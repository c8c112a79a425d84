"""From what a run saw to incidents, and from incidents to the messages that people get. Pure.

An incident is open from the first run that sees its signal until the first run that looks and no longer sees it. A run
that could not look says so (`undecided`), and leaves the incident as it is. People get one message a run for all that
is new, a reminder after `remind_after`, and one message for all that is over. What could not be sent stays due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollout.model.finding import Level


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that is wrong now. ``key`` is ``family:…`` and the same from run to run."""

    key: str
    message: str
    level: Level = Level.ERROR


@dataclass(frozen=True, slots=True)
class Incident:
    """As the journal keeps it; see the table's comment. ``seq`` is None until it is recorded."""

    key: str
    level: str
    message: str
    occurrences: int
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None = None
    notified_at: datetime | None = None
    recovery_notified_at: datetime | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a run changes. The three are disjoint by key."""

    opened: tuple[Incident, ...] = ()
    seen: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = ()


def observe(
    open_now: Iterable[Incident], family: str, signals: Sequence[Signal], undecided: Collection[str], now: datetime
) -> Changes:
    """What a run of a family's checks does to its incidents.

    Args:
        open_now: Open incidents; those of other families are left alone.
        family: Beginning of the keys that this run speaks for, without the colon.
        signals: What is wrong. A key that comes twice counts once, with its first message.
        undecided: Keys that this run could not judge.
        now: When the run looked.

    Raises:
        ValueError: A signal belongs to another family.
    """
    by_key: dict[str, Signal] = {}
    for signal in signals:
        if signal.key.partition(":")[0] != family:
            raise ValueError(f"signal '{signal.key}' does not belong to '{family}'")
        by_key.setdefault(signal.key, signal)
    known = {incident.key: incident for incident in open_now if incident.key.partition(":")[0] == family}
    opened = [
        Incident(key, signal.level.value, signal.message, 1, now, now)
        for key, signal in by_key.items()
        if key not in known
    ]
    seen, closed = [], []
    for key, incident in known.items():
        if key in by_key:
            told = by_key[key]
            seen.append(
                replace(
                    incident,
                    occurrences=incident.occurrences + 1,
                    last_seen_at=now,
                    message=told.message,
                    level=told.level.value,
                )
            )
        elif key not in undecided:
            closed.append(replace(incident, closed_at=now))
    return Changes(tuple(opened), tuple(seen), tuple(closed))


@dataclass(frozen=True, slots=True)
class Due:
    """What people have to be told now."""

    new: tuple[Incident, ...] = ()
    reminders: tuple[Incident, ...] = ()
    recovered: tuple[Incident, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.reminders or self.recovered)


def due(incidents: Iterable[Incident], now: datetime, remind_after: timedelta) -> Due:
    """What of these has to be told: never told, told too long ago, or over and not told."""
    new, reminders, recovered = [], [], []
    for incident in incidents:
        if incident.closed_at is not None:
            if incident.recovery_notified_at is None:
                recovered.append(incident)
        elif incident.notified_at is None:
            new.append(incident)
        elif now - incident.notified_at >= remind_after:
            reminders.append(incident)
    return Due(tuple(new), tuple(reminders), tuple(recovered))
