"""The demo's company in operation: loaded into a testbed of its own, with a clock that is set and orders that arrive."""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from rollout.project.loader import Project, load_project
from rollout.project.postgres import with_database
from rollout.rehearsal.stage import Stage, company
from tests.core_demo import core

REPOSITORY = Path(__file__).parents[3]
BEGIN = datetime(2026, 4, 1, 8, tzinfo=ZoneInfo("Asia/Shanghai"))


@contextmanager
def company_of(folder: Path, server_url: str, *, edit: Callable[[str], str] = str) -> Iterator[Stage]:
    """The company at eight in the morning, with six orders of the night before; ``edit`` may change rollout.yaml."""
    with fresh_project(folder, server_url, edit=edit) as project, company(project, random.Random(1), BEGIN) as stage:
        for hours in range(6):
            stage.world.order(BEGIN - timedelta(hours=20 - hours))
        stage.clock.now = BEGIN
        yield stage


@contextmanager
def fresh_project(folder: Path, server_url: str, *, edit: Callable[[str], str] = str) -> Iterator[Project]:
    """The demo project in a folder of its own, with databases of its own."""
    name = f"test_{uuid.uuid4().hex}"
    shutil.copytree(REPOSITORY / "demo", folder / "demo", ignore=shutil.ignore_patterns(".rollout"))
    file = folder / "demo" / "rollout.yaml"
    file.write_text(edit(core(file.read_text(encoding="utf-8"))), encoding="utf-8")
    unsettled = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:1", "ROLLOUT_TESTBED_PASSWORD": "-"}
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLOUT_DATABASE_URL", with_database(server_url, name))
        yield load_project(file, environ=unsettled)
    with psycopg.connect(server_url, autocommit=True) as connection:
        for database in (name, f"{name}_simulation_journal", f"{name}_simulation_testbed"):
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


@pytest.fixture
def stage(tmp_path: Path, pg_server_url: str) -> Iterator[Stage]:
    """A company of the test's own."""
    with company_of(tmp_path, pg_server_url) as stage:
        yield stage


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, pg_server_url: str) -> Iterator[Stage]:
    """A company that several tests use, each on a day of its own; each leaves it as it found it."""
    with company_of(tmp_path_factory.mktemp("shared"), pg_server_url) as stage:
        yield stage
