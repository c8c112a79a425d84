"""Faults that a simulated month holds: what goes wrong, which run must find it as what, and when it is put right."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from rollout.rehearsal.world import World


class FaultKind(StrEnum):
    """Ways in which a month goes wrong."""

    ORDER_LOST = "order_lost"
    AMOUNT_CHANGED = "amount_changed"
    ORDER_EXTRA = "order_extra"
    SYNC_STOPPED = "sync_stopped"
    LOGIN_DOWN = "login_down"
    UNKNOWN_CUSTOMER = "unknown_customer"
    USER_PROMOTED = "user_promoted"
    ERP_DOWN = "erp_down"
    ACCOUNT_DELETED = "account_deleted"


NIGHT, MORNING = time(2), time(9)
"""When the nightly check runs; when people come and put right what the night found."""
_MISHAP, _OUTAGE, _OUTAGE_SEEN, _OUTAGE_OVER = time(14, 30), time(9), time(11), time(15, 30)
_CARRIED = time(17)
_STOP, _ORDERED, _START = time(20, 30), time(21), time(6)
SPACING_DAYS = 2
"""Between two faults, so that what is seen can be told apart."""


@dataclass
class PlantedFault:
    """One fault. Signs are what a run reports, such as ``health:login``; see `rehearsal.month`."""

    kind: FaultKind
    begins_at: datetime
    ends_at: datetime
    """When somebody puts it right."""
    found_by: str
    """The run that must find it first: ``health`` or ``sync_check``."""
    found_at: datetime
    sign: str = ""
    """What it must be found as; known when it has happened."""
    explains: tuple[str, ...] = ()
    """Patterns of the signs that it accounts for."""
    explained_until: datetime | None = None
    """Default: until it is put right."""
    found_in: str = ""
    """The run in which the sign was first seen, as ``sync_check 2026-04-03 02:00``."""
    undo: Callable[[datetime], None] = field(default=lambda _: None)

    @property
    def run(self) -> str:
        """The run in which it must be found."""
        return label(self.found_by, self.found_at)

    @property
    def is_found(self) -> bool:
        """Whether it was found as what it is, in the run in which it should be."""
        return self.found_in == self.run

    def accounts_for(self, sign: str, at: datetime) -> bool:
        """Whether a sign seen at a moment follows from this fault."""
        until = self.explained_until or self.ends_at
        if not self.begins_at <= at <= until:
            return False
        return sign == self.sign or any(fnmatchcase(sign, pattern) for pattern in self.explains)


def label(kind: str, at: datetime) -> str:
    """How a run is named."""
    return f"{kind} {at:%Y-%m-%d %H:%M}"


def draw(
    source: random.Random, days: Sequence[date], zone: ZoneInfo, kinds: Sequence[FaultKind] | None = None
) -> list[PlantedFault]:
    """Which faults happen on which days.

    Args:
        source: Draws.
        days: The simulated days. None happens on the first, when there is nothing to lose yet, or on the last two,
            so that the night that finds it and the one that sees it put right are simulated, too.
        zone: In which the days are.
        kinds: What must happen; default: every kind once, and again as long as there is room.
    """
    room = list(range(1, len(days) - 2, SPACING_DAYS))
    if kinds is None:
        pool = list(FaultKind)
        chosen = [*pool, *source.sample(pool, len(pool))][: max(0, min(len(room), len(pool) + 3))]
        if len(room) < len(pool):
            chosen = source.sample(pool, len(room))
    else:
        chosen = list(kinds)[: len(room)]
    picked = sorted(source.sample(room, len(chosen)))
    source.shuffle(chosen)
    return [_plan(kind, days[day], zone) for kind, day in zip(chosen, picked, strict=True)]


def _plan(kind: FaultKind, day: date, zone: ZoneInfo) -> PlantedFault:
    def at(moment: time, *, later: int = 0) -> datetime:
        return datetime.combine(day + timedelta(days=later), moment, zone)

    if kind in (FaultKind.LOGIN_DOWN, FaultKind.ERP_DOWN):
        return PlantedFault(kind, at(_OUTAGE), at(_OUTAGE_OVER), "health", at(_OUTAGE_SEEN))
    if kind is FaultKind.UNKNOWN_CUSTOMER:
        return PlantedFault(kind, at(_MISHAP), at(MORNING, later=1), "health", at(_CARRIED))
    if kind is FaultKind.SYNC_STOPPED:
        return PlantedFault(kind, at(_STOP), at(_START, later=1), "sync_check", at(NIGHT, later=1))
    planted = PlantedFault(kind, at(_MISHAP), at(MORNING, later=1), "sync_check", at(NIGHT, later=1))
    if kind is FaultKind.USER_PROMOTED:
        planted.explained_until = at(NIGHT, later=2)  # the night that sees the role taken back
    return planted


def begin(fault: PlantedFault, world: World, sync: str, entity: str) -> None:
    """Let it happen, and say what it must be found as.

    Args:
        fault: Gets its sign, what it explains, and how it is undone.
        world: Where it happens.
        sync: Name of the sync that carries orders.
        entity: The project's entity of customers.
    """
    at = fault.begins_at
    if fault.kind is FaultKind.ORDER_LOST:
        number = world.some_order(at - timedelta(days=1))
        world.lose_order(number)
        fault.sign = f"missing:{sync}:deleted_in_crm:{world.key(number)}"
        fault.undo = lambda now: world.touch(number, now)
    elif fault.kind is FaultKind.AMOUNT_CHANGED:
        number = world.some_order(at - timedelta(days=1))
        world.falsify_order(number)
        fault.sign = f"different:{sync}:changed_by_person:{world.key(number)}"
        fault.undo = lambda now: world.touch(number, now)
    elif fault.kind is FaultKind.ORDER_EXTRA:
        number = f"XX-{at:%Y%m%d}"
        world.make_up_order(number)
        fault.sign = f"extra:{sync}:not_in_source:{world.key(number)}"
        fault.undo = lambda _: world.remove_order(number)
    elif fault.kind is FaultKind.SYNC_STOPPED:
        number = world.order(datetime.combine(at.date(), _ORDERED, at.tzinfo))
        fault.sign = f"late:{sync}:sync_not_run:{world.key(number)}"
        fault.explains = ("health:sync_lag:*",)
    elif fault.kind is FaultKind.UNKNOWN_CUSTOMER:
        number = world.order(at, customer_no="KH-99999999")
        fault.sign = f"health:dead_letters:{sync}"
        fault.explains = (f"missing:{sync}:customer_unknown:{world.key(number)}",)
        fault.undo = lambda now: world.correct_customer(number, now)
    elif fault.kind is FaultKind.USER_PROMOTED:
        login = world.salesperson()
        world.set_role(login, "admin")
        fault.sign = f"permission:{login}:sales:admin"
        fault.explains = (f"permission:{login}:admin:sales",)
        fault.undo = lambda _: world.set_role(login, "sales")
    elif fault.kind is FaultKind.LOGIN_DOWN:
        world.take_down("token")
        fault.sign = "health:login"
        fault.explains = ("health:transaction", "health:sync_lag:*")
        fault.undo = lambda _: world.bring_up()
    elif fault.kind is FaultKind.ERP_DOWN:
        world.take_down("erp/orders")
        fault.sign = f"health:feed:{sync}"
        fault.explains = (f"health:sync_lag:{sync}",)
        fault.undo = lambda _: world.bring_up()
    else:
        gone = world.delete_customer()
        fault.sign = f"missing:legacy:{entity}:deleted_in_crm:{gone.record['migration_key']}"
        fault.explains = tuple(f"missing:legacy:*:deleted_in_crm:{record['migration_key']}" for _, record in gone.noted)
        fault.undo = lambda _: world.restore_customer(gone)
