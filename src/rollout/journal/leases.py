"""Leases with fencing, and token buckets: what keeps several processes from getting into each other's way.

A lease is renewed by a thread of its holder. Nobody calls the target beyond their lease; every journal write of a load
checks the fence, so that a holder who lost the lease can write nothing any more. Time is the database's.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, text

from rollout.errors import LeaseHeld, RolloutError
from rollout.journal.engine import driver_cursor
from rollout.journal.store import Journal
from rollout.model.target import Capabilities


class Lease:
    """A lease we hold. Thread-safe."""

    def __init__(
        self, journal: Journal, name: str, fence: int, *, ttl_s: float, renew_s: float, deadline_s: float
    ) -> None:
        self._journal = journal
        self.name = name
        self.fence = fence
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._deadline_s = deadline_s
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)

    def check(self, *, call_timeout_s: float) -> None:
        """Raise LeaseHeld unless a call begun now ends within the lease."""
        if time.monotonic() + call_timeout_s > self._deadline_s:
            raise LeaseHeld(f"the lease '{self.name}' ran out", hint="run `rollout load` again to go on")

    def assert_fence(self, connection: Connection) -> None:
        """Raise LeaseHeld unless we hold the lease within this transaction."""
        held = driver_cursor(connection).execute(
            "SELECT fence FROM lease WHERE project_id = %s AND name = %s FOR SHARE",
            (self._journal.project_id, self.name),
        )
        if held.fetchone() != (self.fence,):
            raise LeaseHeld(f"another process took over the lease '{self.name}'", hint="let it finish")

    def begin_keeping(self) -> None:
        """Start renewing."""
        self._keeper.start()

    def release(self) -> None:
        """Stop renewing and give the lease back."""
        self._over.set()
        self._keeper.join()
        with self._journal.transaction() as connection:
            connection.execute(
                text(
                    "UPDATE lease SET expires_at = '-infinity'"
                    " WHERE project_id = :project AND name = :name AND fence = :fence"
                ),
                {"project": self._journal.project_id, "name": self.name, "fence": self.fence},
            )

    def _keep(self) -> None:
        while not self._over.wait(self._renew_s):
            asked_s = time.monotonic()
            try:
                with self._journal.transaction() as connection:
                    renewed = connection.execute(
                        text(
                            "UPDATE lease SET expires_at = clock_timestamp() + make_interval(secs => :ttl)"
                            " WHERE project_id = :project AND name = :name AND fence = :fence RETURNING 1"
                        ),
                        {
                            "project": self._journal.project_id,
                            "name": self.name,
                            "fence": self.fence,
                            "ttl": self._ttl_s,
                        },
                    ).first()
            except RolloutError:
                continue  # the deadline stands: callers stop by themselves when it comes
            if renewed is None:
                self._deadline_s = 0.0
                return
            self._deadline_s = asked_s + self._ttl_s


@contextmanager
def hold(journal: Journal, name: str, *, longest_call_s: float = 0.0) -> Iterator[Lease]:
    """Hold a lease while the block runs.

    Args:
        journal: Where the lease is kept.
        name: What it is about.
        longest_call_s: The lease always lasts that much longer than until its next renewal.

    Raises:
        LeaseHeld: Somebody else holds it; the message says who, where and since when.
    """
    lease = _acquire(journal, name, longest_call_s + MARGIN_S)
    lease.begin_keeping()
    try:
        yield lease
    except BaseException:
        with contextlib.suppress(RolloutError):  # the database may be what failed; the lease then runs out by itself
            lease.release()
        raise
    lease.release()


MARGIN_S = 30.0
"""What a lease lasts beyond the longest call; it is renewed four times in that."""


def _acquire(journal: Journal, name: str, ttl_s: float) -> Lease:
    asked_s = time.monotonic()
    parameters = {
        "project": journal.project_id,
        "name": name,
        "ttl": ttl_s,
        "holder": json.dumps(_ourselves()),
    }
    with journal.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO lease (project_id, name, fence, holder, acquired_at, expires_at)"
                " VALUES (:project, :name, 0, '{}', clock_timestamp(), '-infinity') ON CONFLICT DO NOTHING"
            ),
            parameters,
        )
        held = connection.execute(
            text(
                "SELECT holder, acquired_at, expires_at > clock_timestamp() AS valid FROM lease"
                " WHERE project_id = :project AND name = :name FOR UPDATE"
            ),
            parameters,
        ).one()
        if held.valid and not _died(held.holder):
            raise _held(name, held.holder, held.acquired_at)
        fence: int = connection.execute(
            text(
                "UPDATE lease SET fence = fence + 1, holder = CAST(:holder AS jsonb), acquired_at = clock_timestamp(),"
                " expires_at = clock_timestamp() + make_interval(secs => :ttl)"
                " WHERE project_id = :project AND name = :name RETURNING fence"
            ),
            parameters,
        ).scalar_one()
    return Lease(journal, name, fence, ttl_s=ttl_s, renew_s=MARGIN_S / 4, deadline_s=asked_s + ttl_s)


def _ourselves() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "host": platform.node(),
        "boot": _boot(),
        "pid_space": _pid_space(),
        "pid": process.pid,
        "started_s": _started_s(process),
        "user": str(os.getuid()) if hasattr(os, "getuid") else "",
    }


def _boot() -> str:
    """Which start of which machine this is."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(round(psutil.boot_time() / 60))


def _pid_space() -> str:
    """Containers of one machine number their processes each for themselves."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started_s(process: psutil.Process) -> float:
    """Seconds from the machine's start to the process's: unlike wall time it does not move with the clock."""
    return float(process.create_time() - psutil.boot_time())


def _died(holder: dict[str, Any]) -> bool:
    """Whether the holder is provably gone: a process of this host that no longer runs. It can call nothing any more."""
    here = {"host": platform.node(), "boot": _boot(), "pid_space": _pid_space()}
    if any(holder.get(name) != value for name, value in here.items()):
        return False
    try:
        process = psutil.Process(holder["pid"])
        same = abs(_started_s(process) - holder["started_s"]) < START_TOLERANCE_S
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


START_TOLERANCE_S = 2.0


def _held(name: str, holder: dict[str, Any], since: datetime) -> LeaseHeld:
    return LeaseHeld(
        f"'{name}' is under way: process {holder.get('pid')} on {holder.get('host')} holds it"
        f" since {since:%Y-%m-%d %H:%M:%S} UTC",
        hint="wait until it is done, or end that process; what it began is then taken up where it stopped",
    )


class Throttle:
    """A target's shared rate limit. Waits before each call, whoever else calls the target meanwhile."""

    def __init__(
        self, journal: Journal, system: str, capabilities: Capabilities, sleep: Callable[[float], None]
    ) -> None:
        self._journal = journal
        self._system = system
        self._rate_per_s = capabilities.rate_per_s
        self._burst = capabilities.concurrency
        self._sleep = sleep

    def wait(self) -> None:
        """Return when a call may be made."""
        if self._rate_per_s:
            self._sleep(reserve_call(self._journal, self._system, rate_per_s=self._rate_per_s, burst=self._burst))


def reserve_call(journal: Journal, system: str, *, rate_per_s: float, burst: float) -> float:
    """Take one token of a system's shared bucket; answers the seconds to wait before the call may be made.

    The bucket may go negative: a reservation in the future, so that callers queue instead of racing.
    """
    with journal.transaction() as connection:
        tokens: float = connection.execute(
            text("""
                INSERT INTO token_bucket AS b (project_id, system, tokens, refilled_at)
                VALUES (:project, :system, :burst - 1, clock_timestamp())
                ON CONFLICT (project_id, system) DO UPDATE SET
                  tokens = least(:burst, b.tokens
                    + extract(epoch FROM clock_timestamp() - b.refilled_at) * :rate) - 1,
                  refilled_at = clock_timestamp()
                RETURNING tokens
            """),
            {"project": journal.project_id, "system": system, "rate": rate_per_s, "burst": burst},
        ).scalar_one()
    return max(0.0, -tokens / rate_per_s)
