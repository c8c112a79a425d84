"""``make ui``: PostgreSQL, the testbed CRM, reports, Prefect with all deployments and a worker, until Ctrl-C.

Stops what it started and nothing else. What was already running (after ``make demo``, say) is used and left alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from processes import Record, ServiceError
from rich.console import Console
from rich.table import Table
from services import PREFECT, ROOT, UI, Services

from rollout.errors import RolloutError
from rollout.project import postgres

LOOK_EVERY_S = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
console = Console()


class _StopRequested(BaseException):
    """Ctrl-C or SIGTERM."""


def main() -> int:
    """Run until asked to stop. Answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=ROOT / "demo", help="folder of rollout.yaml (default: demo)")
    arguments = parser.parse_args()
    try:
        services = Services.of(arguments.project)
        with services.processes.alone(UI):
            already = services.processes.running(UI)
            if already is None:
                services.processes.remember(UI, os.getpid(), "")
        if already is not None:
            console.print(f"[yellow]make ui runs already (pid {already.pid}).[/] What it started:")
            _show(services.processes.all_running())
            return 0
        with _stop_signals():
            return _run(services)
    except (RolloutError, ServiceError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return getattr(error, "exit_code", 3)


def _run(services: Services) -> int:
    started: list[str] = []
    had_database = postgres.status(services.workspace.postgres).running
    code = 0
    try:
        services.start_database()
        with console.status("starting …") as status:
            for name, start in services.starters():
                status.update(f"starting {name} …")
                _, is_new = start()
                if is_new:
                    started.append(name)
        _show(services.processes.all_running())
        prefect = services.processes.running(PREFECT)
        console.print(
            f"Open [bold]{prefect.address if prefect else ''}[/] in a browser. Ctrl-C stops everything started here."
        )
        code = _watch(services)
    except _StopRequested:
        console.print("\nstopping …")
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        stopped = [name for name in reversed(started) if services.processes.stop(name)]
        # Asked of the server itself: who is interrupted while it starts is never told that it did.
        if not had_database and postgres.stop(services.workspace.postgres):
            stopped.append("postgresql")
        services.processes.forget(UI)
        console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was started yet")
    return code


def _watch(services: Services) -> int:
    """Look at the services until one of them is gone."""
    watched = [record for record in services.processes.all_running() if record.name != UI]
    database = postgres.status(services.workspace.postgres)
    while True:
        time.sleep(LOOK_EVERY_S)
        if database.running and not postgres.status(services.workspace.postgres).running:
            return _told("postgresql", database.pid, services.workspace.postgres / "server.log")
        for record in watched:
            if record.process() is None:
                return _told(record.name, record.pid, services.processes.logs / f"{record.name}.log")


def _told(name: str, pid: int | None, log: Path) -> int:
    console.print(
        f"{name} (pid {pid}) ended on its own; its log: {log}",
        style="red",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 3


def _show(records: list[Record]) -> None:
    table = Table(box=None)
    for heading in ("service", "address", "pid"):
        table.add_column(heading)
    for record in records:
        if record.name != UI:
            table.add_row(record.name, record.address, str(record.pid))
    console.print(table)


@contextmanager
def _stop_signals() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of them running
        raise _StopRequested

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    yield


if __name__ == "__main__":
    sys.exit(main())
