"""Prefect for tests: a home of its own, no messages to anybody, one throw-away server a session."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from rollout.journal import people
from rollout.phases.context import PhaseContext, open_context
from rollout.project import postgres
from rollout.project.loader import load_project
from rollout.testbed.demodata import generate
from rollout.testbed.server import Testbed, running
from tests.core_demo import core

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="rollout-test-prefect-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

# Prefect reads its home and whether it may send anything when it is first imported.
os.environ["PREFECT_HOME"] = str(HOME)
os.environ["DO_NOT_TRACK"] = "1"
sys.path[:0] = [str(ROOT), str(ROOT / "ops")]  # `flows` is a package of the checkout; ops holds scripts


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server on a throw-away database."""
    from prefect.settings import PREFECT_HOME, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        temporary_settings({PREFECT_HOME: HOME, PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield


@dataclass(frozen=True)
class Rollout:
    """A copy of the demo project with a CRM of its own."""

    folder: Path
    environ: dict[str, str]
    code: str
    testbed: Testbed
    person: str = "测试负责人"

    def context(self) -> PhaseContext:
        return open_context(load_project(self.folder / "rollout.yaml"))

    @property
    def options(self) -> dict[str, str]:
        return {"project": str(self.folder)}


@pytest.fixture(scope="session")
def make_company(
    pg_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[Rollout]]:
    """Makes a company: so many accounts, the demo's project file without some sections and with others."""

    @contextmanager
    def make(*, accounts: int, without: tuple[str, ...] = (), **sections: Any) -> Iterator[Rollout]:
        names = [f"test_{uuid.uuid4().hex}" for _ in range(2)]
        with psycopg.connect(pg_server_url, autocommit=True) as connection:
            for name in names:
                connection.execute(f'CREATE DATABASE "{name}"')
        journal, crm = (postgres.with_database(pg_server_url, name) for name in names)
        folder = tmp_path_factory.mktemp("company")
        shutil.copytree(ROOT / "demo", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".rollout", "legacy"))
        project = yaml.safe_load(core((ROOT / "demo" / "rollout.yaml").read_text(encoding="utf-8")))
        project = {name: section for name, section in project.items() if name not in without} | sections
        (folder / "rollout.yaml").write_text(yaml.safe_dump(project, allow_unicode=True), encoding="utf-8")
        generate(folder / "legacy", accounts=accounts, seed=3)
        with running(crm) as testbed:
            environ = {
                "ROLLOUT_DATABASE_URL": journal,
                "ROLLOUT_TESTBED_URL": testbed.base_url,
                "ROLLOUT_TESTBED_PASSWORD": testbed.password,
            }
            with pytest.MonkeyPatch.context() as patch:
                for name, value in environ.items():
                    patch.setenv(name, value)
                with open_context(load_project(folder / "rollout.yaml")) as context:
                    code = people.add(context.journal, Rollout.person)
            yield Rollout(folder, environ, code, testbed)
        with psycopg.connect(pg_server_url, autocommit=True) as connection:
            for name in names:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    return make


@pytest.fixture(scope="session")
def artifacts() -> Callable[[Any], dict[str, str]]:
    """What a flow run published, by key."""

    def read(flow_run_id: Any) -> dict[str, str]:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

        with get_client(sync_client=True) as client:
            found = client.read_artifacts(
                artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
            )
        return {artifact.key: str(artifact.data) for artifact in found}

    return read


@pytest.fixture(scope="session")
def run_as_deployed() -> Callable[..., Any]:
    """Runs a flow as a worker does: its parameters lie on the server, in clear, before it starts."""

    def run(flow: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any], Any]:
        from prefect.client.orchestration import get_client
        from prefect.flow_engine import run_flow

        with get_client(sync_client=True) as client:
            created = client.create_flow_run(flow, parameters={"options": options})
            stored_before = client.read_flow_run(created.id).parameters
            state = run_flow(flow, flow_run=created, parameters=created.parameters, return_type="state")
            return state, stored_before, client.read_flow_run(created.id)

    return run
