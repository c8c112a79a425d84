"""The demo's own load test, whole; and one whose process is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from rollout.project.postgres import with_database
from rollout.testbed import server
from tests.core_demo import core

pytestmark = [pytest.mark.attack, pytest.mark.alone]
DEMO = Path(__file__).parents[2] / "demo"


@dataclass
class Demo:
    root: Path
    crm: server.Testbed
    environ: dict[str, str]

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-c",
            "from rollout.cli import main; main()",
            "--project",
            str(self.root),
            "loadtest",
        ]
        return subprocess.Popen([*command, *options], env={**os.environ, **self.environ})

    def records(self) -> int:
        with self.crm.client() as client:
            answer = client.get("/api/account", params={"key_prefix": "loadtest:", "limit": 1})
            return len(answer.raise_for_status().json()["records"])


@pytest.fixture
def demo(tmp_path: Path, pg_url: str) -> Iterator[Demo]:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        name = f"{connection.info.dbname}_crm"
        connection.execute(f'CREATE DATABASE "{name}"')
    with server.running(with_database(pg_url, name)) as crm:
        root = tmp_path / "project"
        shutil.copytree(DEMO, root, ignore=shutil.ignore_patterns(".rollout"))
        file = root / "rollout.yaml"
        file.write_text(core(file.read_text(encoding="utf-8")), encoding="utf-8")
        yield Demo(
            root,
            crm,
            {
                "ROLLOUT_DATABASE_URL": pg_url,
                "ROLLOUT_TESTBED_URL": crm.base_url,
                "ROLLOUT_TESTBED_PASSWORD": crm.password,
            },
        )
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_users_go_when_the_process_that_judges_is_killed_and_the_next_test_cleans_up(demo):
    process = demo.start("--users", "10", "--ramp", "1", "--hold", "120")
    deadline_s = time.monotonic() + 90
    while not demo.records() and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.2)
    (locust,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    locust.wait(20)
    assert demo.records() > 0
    # Ten users are too few for the gate: exit 1; the lease of the killed process is taken over.
    assert demo.start("--users", "10", "--ramp", "1", "--hold", "1").wait(120) == 1
    assert demo.records() == 0
