"""A server's folder, and how its process is recognised, by command line and start time, before it is signalled."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one server's folder."""

    directory: Path
    """Absolute and without symbolic links: a server is recognised by it."""

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.directory / "server.log"

    @property
    def password(self) -> Path:
        """The password of the one role."""
        return self.directory / "password"

    @property
    def record(self) -> Path:
        """What `read_record` reads."""
        return self.directory / "server.json"

    @property
    def lock(self) -> Path:
        """Held while somebody starts or stops the server."""
        return self.directory / "lock"

    @property
    def pid_file(self) -> Path:
        """PostgreSQL's own note of who runs here."""
        return self.data / "postmaster.pid"


@dataclass(frozen=True, slots=True)
class Running:
    """A process that is certainly this folder's server."""

    process: psutil.Process
    port: int


def running(files: Files) -> Running | None:
    """The server, if the pid file names a process with our command line and start time; else None."""
    try:
        lines = files.pid_file.read_text().splitlines()
        pid, written_at, port = int(lines[0]), int(lines[2]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None  # none, or one just being written: whoever starts servers does so under the lock
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        if not command or Path(command[0]).name != "postgres" or str(files.data) not in command[1:]:
            return None
        recorded = read_record(files)
        same_start = recorded.get("pid") == pid and recorded.get("started") == started(process)
        # Without our record (we were killed before writing it) the server's own word counts; it notes whole seconds.
        if not same_start and abs(process.create_time() - written_at) > 5:  # noqa: PLR2004
            return None
    except psutil.Error:
        return None
    return Running(process, port)


def started(process: psutil.Process) -> float:
    """A process's start, in a form that clock changes leave alone: Linux counts from boot, others keep the date."""
    created = process.create_time()
    return round(created - psutil.boot_time(), 2) if sys.platform == "linux" else round(created, 2)


def read_record(files: Files) -> dict[str, float]:
    """What was noted when the server was last started: ``port``, ``pid``, ``started``; empty if nothing was."""
    try:
        record = json.loads(files.record.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def still_alive(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait for processes to end; those that did not. A zombie has ended: in a container nobody may ever reap it."""
    end = time.monotonic() + timeout_s
    while alive := [process for process in processes if _alive(process)]:
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    return alive


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def works_in(process: psutil.Process, data: Path) -> bool:
    """Whether a process belongs to a server of this data directory: every one of them changes into it."""
    try:
        return process.cwd() == str(data)
    except (psutil.Error, OSError):
        return False
