"""A small load test of the demo project, a CRM and a journal for a module's tests."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.phases.context import PhaseContext
from rollout.project.loader import load_project
from rollout.project.postgres import with_database
from rollout.testbed import server
from tests.core_demo import core

DEMO = Path(__file__).parents[3] / "demo"
USERS = 10
SMALL = f"""
  loadtest:
    criteria:
      - {{metric: users_reached, comparison: ">=", threshold: {USERS}}}
      - {{metric: mean_s, comparison: "<=", threshold: 3, min_evidence: 20}}
      - {{metric: error_rate, comparison: "<=", threshold: 0.01, min_evidence: 20}}
      - {{metric: requests, comparison: ">=", threshold: 20}}
      - {{metric: stored_share, comparison: "==", threshold: 1, min_evidence: 10}}
"""


def small(text: str) -> str:
    """The demo's project file with a load test of seconds."""
    for was, now in (
        ("users: 100 ", f"users: {USERS}\n  think_s: [0.1, 0.4] "),
        ("ramp_s: 10 ", "ramp_s: 1 "),
        ("hold_s: 20 ", "hold_s: 2 "),
        ("\ngates:\n", f"\ngates:{SMALL}"),
    ):
        assert text.count(was) == 1, was
        text = text.replace(was, now)
    return text


@pytest.fixture(scope="module")
def databases(pg_server_url: str) -> Iterator[Callable[[str], str]]:
    made = []

    def make(name: str) -> str:
        made.append(f"loadtest_{name}_{uuid.uuid4().hex}")
        with psycopg.connect(pg_server_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{made[-1]}"')
        return with_database(pg_server_url, made[-1])

    yield make
    with psycopg.connect(pg_server_url, autocommit=True) as connection:
        for name in made:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def crm(databases) -> Iterator[server.Testbed]:
    with server.running(databases("crm"), faults=True) as testbed:
        yield testbed


@pytest.fixture
def calm(crm) -> Iterator[None]:
    """What a test breaks is whole again afterwards."""
    yield
    with crm.client() as client:
        client.delete("/api/admin/faults").raise_for_status()


@pytest.fixture(scope="module")
def context(crm, databases, tmp_path_factory) -> Iterator[PhaseContext]:
    root = tmp_path_factory.mktemp("loadtest") / "project"
    shutil.copytree(DEMO, root, ignore=shutil.ignore_patterns(".rollout", "legacy"))
    file = root / "rollout.yaml"
    file.write_text(small(core(file.read_text(encoding="utf-8"))), encoding="utf-8")
    environ = {"ROLLOUT_TESTBED_URL": crm.base_url, "ROLLOUT_TESTBED_PASSWORD": crm.password}
    project = load_project(file, environ=environ)
    journal = Journal.open(databases("journal"), project_id="hengtai-demo", keys=KeyRing.parse(KeyRing.generate()))
    with PhaseContext(project=project, journal=journal) as context:
        yield context
