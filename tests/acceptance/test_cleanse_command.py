"""`rollout cleanse` as people run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns(".rollout")))


def rollout(*arguments: str, database: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ROLLOUT_DATABASE_URL": database,
        "ROLLOUT_TESTBED_URL": "http://127.0.0.1:9",
        "ROLLOUT_TESTBED_PASSWORD": "not used",
    }
    command = [str(Path(sys.executable).with_name("rollout")), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)


def test_json_has_the_conservation_of_every_entity(demo, pg_url):
    done = rollout("--project", str(demo), "cleanse", "--json", database=pg_url)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["accounted"] is True
    for entity in answer["entities"].values():
        parts = ("golden", "merged", "quarantined", "skipped")
        assert entity["source"] == sum(entity[part] for part in parts) > 0


def test_a_missing_column_is_told_with_file_and_next_step(demo, pg_url):
    mapping = demo / "mappings" / "account.yaml"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("source: 地址", "source: 住址"), encoding="utf-8")
    done = rollout("--project", str(demo), "cleanse", "--json", database=pg_url)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert "lacks 住址" in error["message"]
    assert "地址" in error["hint"]
    assert "Traceback" not in done.stderr
