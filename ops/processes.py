"""Background processes that are recorded, recognised again, and stopped by pid with all their children.

A record names pid, start time and command line. A process is only ever signalled when all three still match, so that a
stale record never hits whoever got the pid later.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from rollout.project.locking import held

STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
COMMAND_LINE_TIMEOUT_S = 2.0
START_TOLERANCE_S = 5.0
"""Start times are counted from the system's start, which is itself known to a second or so and moves with the clock."""
LAST_PORT = 32_767
"""Ports above may be handed out to outgoing connections at any moment."""


class ServiceError(Exception):
    """A service did not start, or ended on its own. The message says which and where its log is."""


class PortTakenError(ServiceError):
    """Somebody else has come to listen on the port that a service was given. It is stopped; give it another one."""


@dataclass(frozen=True)
class Record:
    """A process that we started."""

    name: str
    pid: int
    started_at_s: float
    command: tuple[str, ...]
    address: str

    def process(self) -> psutil.Process | None:
        """The process, if it is still this one."""
        try:
            process = psutil.Process(self.pid)
            same_start = abs(process.create_time() - self.started_at_s) < START_TOLERANCE_S
            same = same_start and tuple(process.cmdline()) == self.command
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


class Processes:
    """The recorded processes of one workspace.

    Args:
        folder: Where the records lie, ``{name}.json``.
        logs: Where the processes' output goes, ``{name}.log``.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder = folder
        self.logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)

    def running(self, name: str) -> Record | None:
        """The record of a process that is alive. A record without its process is removed."""
        file = self.folder / f"{name}.json"
        try:
            fields = json.loads(file.read_text(encoding="utf-8"))
            record = Record(**(fields | {"command": tuple(fields["command"])}))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        if record.process() is None:
            file.unlink(missing_ok=True)
            return None
        return record

    def all_running(self) -> list[Record]:
        """Every recorded process that is alive, in the order they were started."""
        found = [self.running(file.stem) for file in self.folder.glob("*.json")]
        return sorted((record for record in found if record), key=lambda record: record.started_at_s)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keep everybody else from starting this one, until it is recorded; they wait."""
        with held(self.folder / f"{name}.lock"):
            yield

    def remember(self, name: str, pid: int, address: str) -> Record:
        """Record a process, this one or a child."""
        process = psutil.Process(pid)
        record = Record(name, pid, process.create_time(), _command_line(process), address)
        draft = self.folder / f"{name}.{pid}.draft"
        draft.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
        draft.replace(self.folder / f"{name}.json")
        return record

    def forget(self, name: str) -> None:
        """Remove a record."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        address: str,
        ready: Callable[[], bool],
        timeout_s: float,
        port: int | None = None,
    ) -> Record:
        """Start a process in a session of its own and wait until it is ready.

        With a ``port``, the process or one of its children must be the one that listens there: an answer proves
        nothing, for another server may have taken the port since it was found free.

        Raises:
            PortTakenError: Somebody else listens on the port; the process is stopped then.
            ServiceError: It ended, or was not ready in time; it is stopped then.
        """
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - our own command
                list(command),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
            )
        self._children[name] = child
        try:
            record = self.remember(name, child.pid, address)  # at once, so that nothing we started is ever lost
            self._wait(name, child, ready, timeout_s, port)
        except BaseException:
            self._end(name, child.pid)
            raise
        return record

    def _wait(
        self,
        name: str,
        child: subprocess.Popen[bytes],
        ready: Callable[[], bool],
        timeout_s: float,
        port: int | None,
    ) -> None:
        log = self.logs / f"{name}.log"
        deadline = time.monotonic() + timeout_s
        while True:
            # In this order: a listener that is ours now was ours when it answered, or nobody was.
            answers = port is None or _answers(port)
            if answers and port is not None and not _listens(child.pid, port):
                raise PortTakenError(f"somebody else listens on port {port}, which was meant for {name}")
            if answers and ready():
                return
            if child.poll() is not None:
                if port is not None and free_port(port) != port:
                    raise PortTakenError(f"somebody else has port {port}, which was meant for {name}; its log: {log}")
                raise ServiceError(f"{name} ended with code {child.returncode} while starting; its log: {log}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{name} was not ready after {timeout_s:.0f} s; its log: {log}")
            time.sleep(POLL_S)

    def stop(self, name: str) -> bool:
        """Stop a recorded process and its children. Answers whether it was running."""
        record = self.running(name)
        if record is None:
            return False
        self._end(name, record.pid)
        return True

    def _end(self, name: str, pid: int) -> None:
        stop_tree(pid)
        self.forget(name)
        if child := self._children.pop(name, None):
            child.poll()  # tells the object what the process list already knows


def _command_line(process: psutil.Process) -> tuple[str, ...]:
    """A process's command line. Just after its start it is empty for a moment, and a record without it fits nobody."""
    deadline = time.monotonic() + COMMAND_LINE_TIMEOUT_S
    while not (command := process.cmdline()) and time.monotonic() < deadline:
        time.sleep(POLL_S / 10)
    return tuple(command)


def stop_tree(pid: int) -> None:
    """Ask a process to end, then its children, and end by force what has not gone after a while."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    psutil.wait_procs([process], timeout=STOP_TIMEOUT_S)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.terminate()
    _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(alive, timeout=STOP_TIMEOUT_S)


def free_port(preferred: int) -> int:
    """The preferred loopback port, or the next one that nobody listens on."""
    for port in range(preferred, LAST_PORT):
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServiceError(f"no free port from {preferred} on")


def _answers(port: int) -> bool:
    """Whether anybody listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _listens(pid: int, port: int) -> bool:
    """Whether a process or one of its children listens on a port."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                for connection in member.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                        return True
    return False
