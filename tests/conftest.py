"""Fixtures for every test: one PostgreSQL server a session, a fresh database a test, a clean environment."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

import rollout
from rollout.journal import engine
from rollout.project import postgres

# Read before the environment is scrubbed.
_OWN_SERVER = os.environ.get("ROLLOUT_TEST_DATABASE_URL")
_DIRECTORY = pytest.StashKey[Path]()
_PREFIX = "rollout-test-postgres-"
NOT_LOADED = ("rollout.testbed", "rollout.verify.suites", "rollout.journal.migrations")
"""Servers, seconds of Great Expectations, and what only Alembic runs."""


def pytest_configure(config: pytest.Config) -> None:
    """The controller chooses the folder of the session's server; workers are told."""
    worker = getattr(config, "workerinput", None)
    if worker is None:
        _end_servers_of_killed_sessions()
    config.stash[_DIRECTORY] = Path(
        worker["rollout_postgres"] if worker else tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
    )


def _end_servers_of_killed_sessions() -> None:
    """A session that was killed could not stop its server; its folder says which process it belonged to."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)) and folder.stat().st_uid == os.geteuid():
            postgres.stop(folder)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["rollout_postgres"] = str(node.config.stash[_DIRECTORY])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller outlives its workers and stops what the first of them started."""
    if not hasattr(config, "workerinput"):
        if _OWN_SERVER:
            with psycopg.connect(_OWN_SERVER, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{_template(config)}" WITH (FORCE)')
        postgres.stop(config.stash[_DIRECTORY])
        shutil.rmtree(config.stash[_DIRECTORY])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Load every module of ours before the first property test.

    Hypothesis draws constants from the modules that are loaded. One that is only loaded by an example would make it
    draw differently when it plays that example again, and call the test flaky.
    """
    if item.get_closest_marker("hypothesis"):
        _load_everything()


@functools.cache
def _load_everything() -> None:
    for module in pkgutil.walk_packages(rollout.__path__, "rollout."):
        if not module.name.startswith(NOT_LOADED):
            importlib.import_module(module.name)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ROLLOUT_", "PREFECT_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def pg_server_url(request: pytest.FixtureRequest) -> str:
    """One server for the session, shared by all workers; ROLLOUT_TEST_DATABASE_URL takes its place."""
    # Durability is tested on servers of their own; here it would only cost time.
    return _OWN_SERVER or postgres.start(request.config.stash[_DIRECTORY], settings={"fsync": "off"})


@pytest.fixture(scope="session")
def _journal_template(pg_server_url: str, request: pytest.FixtureRequest) -> str:
    """The name of a database with the journal's newest schema: to copy it takes a fraction of what migrating takes."""
    name = _template(request.config)
    with psycopg.connect(pg_server_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])  # all workers come at once
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(f'CREATE DATABASE "{name}"')
            database = engine.connect(postgres.with_database(pg_server_url, name))
            try:
                engine.upgrade(database)
            finally:
                database.dispose()
    return name


def _template(config: pytest.Config) -> str:
    return f"template-of-{config.stash[_DIRECTORY].name}"


@contextmanager
def _fresh_database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield postgres.with_database(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def pg_url(pg_server_url: str, _journal_template: str) -> Iterator[str]:
    """A fresh database with an empty journal of the newest schema: a plain ``postgresql://`` URL."""
    with _fresh_database(pg_server_url, _journal_template) as url:
        yield url


@pytest.fixture
def empty_pg_url(pg_server_url: str) -> Iterator[str]:
    """A fresh database with nothing in it: a plain ``postgresql://`` URL."""
    with _fresh_database(pg_server_url, "template1") as url:
        yield url
