"""The demo project in a folder of its own, with its own journal and its own CRM, driven through the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from rollout.project.postgres import with_database
from rollout.testbed import server
from tests.core_demo import core

REPOSITORY = Path(__file__).parents[2]
REASON = "as agreed in the test"


@dataclass
class Rollout:
    """A project folder and everything it needs to run."""

    root: Path
    database_url: str
    crm: server.Testbed
    environ: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `rollout` in a process of its own."""
        command = [sys.executable, "-c", "from rollout.cli import main; main()", "--project", str(self.root)]
        return subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environ},
        )

    def run(self, *arguments: str, exit_code: int = 0) -> dict:
        """Run `rollout … --json` to its end; answers the object it printed."""
        process = self.start(*arguments, "--json")
        stdout, stderr = process.communicate(timeout=180)
        assert process.returncode == exit_code, f"{arguments}: exit {process.returncode}\n{stdout}\n{stderr}"
        return json.loads(stdout)

    def approve(self) -> None:
        """Approve the latest plan as a person does."""
        code = self.run("people", "add", "tester")["code"]
        self.environ["ROLLOUT_CODE"] = code
        self.run("approve", "--by", "tester", "--reason", REASON)

    def plan(self) -> dict:
        """Cleanse, plan and approve; answers the plan."""
        self.run("cleanse")
        plan = self.run("plan")
        self.approve()
        return plan

    def query(self, statement: str) -> list[tuple]:
        """Ask the journal's database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement).fetchall()


def in_one_wave(text: str) -> str:
    """A project file without waves: everything is loaded at once."""
    return re.sub(r"^waves:\n(?:  .*\n)+", "", text, flags=re.MULTILINE)


@pytest.fixture
def make_rollout(tmp_path: Path, pg_url: str) -> Iterator[Callable[..., Rollout]]:
    """Makes a rollout from a project folder (default: the demo); ``edit`` may change its rollout.yaml's text.

    Of the demo customers and contacts alone, unless it is to be the ``whole``.
    Without ``waves`` everything is loaded at once, whatever the project says.
    """
    with psycopg.connect(pg_url, autocommit=True) as connection:
        name = f"{connection.info.dbname}_crm"
        connection.execute(f'CREATE DATABASE "{name}"')
    with server.running(with_database(pg_url, name), faults=True) as crm:

        def make(
            project: Path = REPOSITORY / "demo",
            *,
            edit: Callable[[str], str] = str,
            waves: bool = False,
            whole: bool = False,
        ) -> Rollout:
            root = tmp_path / "project"
            shutil.copytree(project, root, ignore=shutil.ignore_patterns(".rollout"))
            text = (root / "rollout.yaml").read_text(encoding="utf-8")
            text = edit(text if whole or project.name != "demo" else core(text))
            (root / "rollout.yaml").write_text(text if waves else in_one_wave(text), "utf-8")
            environ = {
                "ROLLOUT_DATABASE_URL": pg_url,
                "ROLLOUT_TESTBED_URL": crm.base_url,
                "ROLLOUT_TESTBED_PASSWORD": crm.password,
            }
            return Rollout(root, pg_url, crm, environ)

        yield make
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
