"""What a plan costs in calls and time, for the load and for taking it back, and what that exceeds. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rollout.load.plan import Action
from rollout.model.target import Capabilities

Counts = Mapping[str, Mapping[str, int]]
"""Rows by entity and action, as a plan's ``counts`` have them."""

HOUR_S = 3600.0
DAY_H = 24.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan will cost."""

    calls: int
    seconds: float
    basis: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a target can be worked on."""

    batch_rows: int
    """Rows a write carries."""
    concurrency: int
    """Calls at once."""
    call_s: float
    """What a call was measured to take."""
    capabilities: Capabilities
    rows_per_s: float | None = None
    """What the latest load of this target reached; None: there was none."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The time and the calls there are."""

    window_h: float | None
    """Hours it may take; None: as long as it takes."""
    daily_calls: int | None
    """Calls a day; None: unlimited."""
    used_today: int = 0
    """Calls of ours that the journal knows of, since the day began."""
    day_left_h: float = DAY_H
    """Until the next day's calls."""

    @property
    def calls(self) -> int | None:
        """Calls there are within the window, or within the day where there is no window; None: unlimited."""
        if self.daily_calls is None:
            return None
        further_h = (self.window_h or 0.0) - self.day_left_h
        further_days = math.ceil(further_h / DAY_H) if further_h > 0 else 0
        return max(self.daily_calls - self.used_today, 0) + further_days * self.daily_calls


def load_cost(counts: Counts, pace: Pace) -> Estimate:
    """What a load costs.

    A batch is written and read back, unless the target's answer carries what it stored; before updates and adoptions,
    and before creates where the target does not enforce the key, it is looked at first.
    """
    answers = pace.capabilities.returns_stored and pace.capabilities.enforces_unique
    back = 0 if answers else 1
    looks = {
        Action.CREATE: (0 if pace.capabilities.enforces_unique else 1) + back,
        Action.UPDATE: 1 + back,
        Action.ADOPT: 2,
    }
    return _cost(counts, looks, pace)


def undo_cost(counts: Counts, pace: Pace) -> Estimate:
    """What taking a load back would cost, by the rows of the load.

    A record that was created is read, its links are asked for, it is deleted and looked for; the fields of the others
    are read, put back and read again.
    """
    return _cost(counts, {Action.CREATE: 3, Action.UPDATE: 2, Action.ADOPT: 2}, pace)


def taking_back_cost(counts: Counts, pace: Pace) -> Estimate:
    """What a plan that takes back costs, by its own rows."""
    return _cost(counts, {Action.DELETE: 3, Action.RESTORE: 2, Action.RELEASE: 2}, pace)


def _cost(counts: Counts, looks: Mapping[Action, int], pace: Pace) -> Estimate:
    calls = rows = 0
    for planned in counts.values():
        for action, reads in looks.items():
            sent = planned.get(action.value, 0)
            rows += sent
            calls += -(-sent // pace.batch_rows) + reads * -(-sent // min(pace.batch_rows, _keys_a_read(pace)))
    seconds = calls * pace.call_s / pace.concurrency
    basis = f"{pace.call_s:.3f} s a call, {pace.concurrency} at once"
    if pace.rows_per_s and rows / pace.rows_per_s > seconds:
        seconds = rows / pace.rows_per_s
        basis = f"{pace.rows_per_s:,.0f} rows a second, as in the latest load"
    if pace.capabilities.rate_per_s and calls / pace.capabilities.rate_per_s > seconds:
        seconds = calls / pace.capabilities.rate_per_s
        basis = f"{pace.capabilities.rate_per_s:g} calls a second, as the target allows"
    return Estimate(calls=calls, seconds=round(seconds, 1), basis=basis)


def _keys_a_read(pace: Pace) -> int:
    return max(pace.capabilities.max_read_keys, 1)


def exceeded(what: str, calls: int, seconds: float, allowance: Allowance) -> list[str]:
    """What cannot be done in the time and with the calls there are, in words with the figures; empty: it can."""
    told = []
    if allowance.window_h is not None and seconds > allowance.window_h * HOUR_S:
        told.append(f"{what} needs about {seconds / HOUR_S:,.1f} h, its window is {allowance.window_h:,.1f} h")
    available = allowance.calls
    if available is not None and calls > available:
        within = f"within {allowance.window_h:,.1f} h" if allowance.window_h is not None else "today"
        told.append(
            f"{what} needs about {calls:,} calls, {available:,} are left {within}"
            f" ({allowance.daily_calls:,} a day, {allowance.used_today:,} used today)"
        )
    return told
