"""The `rollout` command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.cli import verb
from rollout.cli.app import VERBS, Verbs, run
from rollout.project.loader import check_project, load_project
from rollout.project.starter import write_starter

ENVIRON = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:9", "ROLLOUT_TESTBED_PASSWORD": "a-password"}


def rollout(*arguments: str, folder: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rollout.cli import main; main()", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env={**os.environ, **environ}, check=False
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_starter(tmp_path / "acme")
    return tmp_path / "acme"


def test_init_makes_a_project_that_lacks_only_its_secrets(tmp_path: Path) -> None:
    done = rollout("init", "acme", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "acme" / "rollout.yaml") in json.loads(done.stdout)["written"]
    assert check_project(tmp_path / "acme" / "rollout.yaml", environ=ENVIRON) == []
    assert rollout("init", "acme", folder=tmp_path).returncode == 2


def test_importing_the_library_or_asking_for_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; import rollout; import rollout.cli.app as app; app.run(['--help']);"
        "print([name for name in ('prefect', 'great_expectations', 'locust', 'pandas', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(verb in done.stdout for verb in VERBS)


def test_importing_every_module_loads_neither_prefect_nor_locust() -> None:
    code = (
        "import importlib, pkgutil, sys, rollout\n"
        "skipped = ('rollout.testbed', 'rollout.verify.suites', 'rollout.journal.migrations')\n"
        "for module in pkgutil.walk_packages(rollout.__path__, 'rollout.'):\n"
        "    if not module.name.startswith(skipped): importlib.import_module(module.name)\n"
        "print([name for name in ('prefect', 'great_expectations', 'locust', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_options_stand_before_or_after_the_verb(root: Path) -> None:
    before = rollout("--project", str(root), "--json", "check", **ENVIRON)
    within = rollout("check", "--json", folder=root / "mappings", **ENVIRON)
    assert before.stdout == within.stdout
    assert json.loads(before.stdout)["errors"] == 0
    assert before.returncode == 0
    assert before.stderr == ""


def test_check_lists_everything_and_exits_2(root: Path) -> None:
    done = rollout("--project", str(root), "check")
    assert done.returncode == 2
    assert "rollout.yaml:30: error: the environment variable ROLLOUT_TESTBED_URL is not set" in done.stdout
    assert "2 errors" in done.stdout
    assert not (root / ".rollout").exists(), "check changes nothing"


def test_check_online_exits_3_when_a_system_does_not_answer(root: Path) -> None:
    (root / "legacy" / "customers.csv").write_text("客户编号,客户名称\n1,x\n", encoding="utf-8")
    done = rollout("--project", str(root), "check", "--online", "--json", **ENVIRON)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "connector.unreachable" in {finding["id"] for finding in json.loads(done.stdout)["findings"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["frobnicate"], "frobnicate"), (["check", "--nonsense"], "--nonsense"), (["init"], "DIRECTORY")],
)
def test_wrong_usage_is_told_in_the_form_asked_for(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    plain = capsys.readouterr()
    assert told in plain.err
    assert plain.out == ""
    assert run([*arguments, "--json"]) == 2
    in_json = capsys.readouterr()
    assert told in json.loads(in_json.out)["error"]["message"]
    assert in_json.err == ""


def test_a_missing_project_is_told_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["check"]) == 2
    assert "rollout init" in capsys.readouterr().err
    assert run(["check", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], error["where"]) == ("ConfigError", str(tmp_path))


def test_options_after_the_verb_count(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--project", str(root), "--env", "prod", "--json"]) == 2
    assert "no environment is called 'prod'" in capsys.readouterr().out


def test_a_database_that_is_down_exits_3(root: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name, value in {**ENVIRON, "ROLLOUT_DATABASE_URL": "postgresql://u:secret-word@127.0.0.1:9/crm"}.items():
        monkeypatch.setenv(name, value)
    project = load_project(root / "rollout.yaml")

    @verb
    def ask(invocation) -> None:
        with invocation.context():
            raise AssertionError

    monkeypatch.setattr(Verbs, "get_command", lambda *_: ask)
    assert run(["--project", str(root), "ask", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], error["where"]) == ("Retryable", "ROLLOUT_DATABASE_URL")
    assert "127.0.0.1:9/crm does not answer" in error["message"]
    assert "secret-word" not in json.dumps(error)
    assert not (project.workspace.root / "postgres").exists()


def test_the_embedded_database_starts_shows_and_stops(root: Path) -> None:
    root.chmod(0o700)
    try:
        started = json.loads(rollout("db", "start", "--project", str(root), "--json").stdout)
        assert started["running"] is True
        assert "password" not in started
        assert json.loads(rollout("--json", "--project", str(root), "db", "status").stdout)["pid"] == started["pid"]
    finally:
        assert rollout("--project", str(root), "db", "stop").stdout == "stopped\n"
    assert "not running" in rollout("--project", str(root), "db", "status").stdout
    [log] = (root / ".rollout" / "logs").iterdir()
    assert len({json.loads(line)["run"] for line in log.read_text().splitlines()}) == 4


def test_a_defect_is_written_down_and_not_thrown_at_the_user(root: Path) -> None:
    code = (
        "import sys; from rollout.cli import app, db\n"
        "def broken(*_): raise KeyError('13812345678')\n"
        "db.postgres.status = broken\n"
        f"sys.exit(app.run(['--project', {str(root)!r}, 'db', 'status']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert "unexpected KeyError" in done.stderr
    [log] = (root / ".rollout" / "logs").iterdir()
    assert str(log) in done.stderr
    assert "in broken" in log.read_text()
    assert "13812345678" not in log.read_text() + done.stderr


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_says_what_it_is_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Usage: rollout {name} ")
    assert len(told.split("\n\n")[1]) > 20


def test_loading_does_not_wait_for_what_only_reading_sources_needs():
    """pandas and Alembic would more than double the time that every command takes to begin."""
    script = "import sys, rollout.phases.load, rollout.phases.status, rollout.connectors.files; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"pandas", "alembic", "duckdb"} & set(done.stdout.split())
