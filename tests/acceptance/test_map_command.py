"""`rollout map` as people run it: export, fill in, import, apply."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from openpyxl import load_workbook

DEMO = Path(__file__).parents[2] / "demo"
pytestmark = pytest.mark.attack


@pytest.fixture
def rollout(tmp_path: Path, pg_url: str):
    """Runs a verb on a copy of the demo, with --json; answers the exit code and the object."""
    demo = Path(shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns(".rollout")))

    def run(*arguments: str, **more: str) -> tuple[int, dict]:
        environment = os.environ | {
            "ROLLOUT_DATABASE_URL": pg_url,
            "ROLLOUT_TESTBED_URL": "http://127.0.0.1:9",
            "ROLLOUT_TESTBED_PASSWORD": "not used",
        }
        command = [str(Path(sys.executable).with_name("rollout")), "--project", str(demo), "--json", *arguments]
        done = subprocess.run(
            command, env=environment | more, capture_output=True, text=True, encoding="utf-8", check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    run.demo = demo
    return run


def test_the_workbook_goes_out_and_comes_back(rollout, tmp_path):
    before = {path.name: path.read_bytes() for path in (rollout.demo / "mappings").iterdir()}
    book = tmp_path / "map.xlsx"
    assert rollout("map", "export", str(book), "--entity", "account")[0] == 0
    code, told = rollout("map", "import", str(book))
    assert (code, told["changes"]) == (0, [])
    assert {path.name: path.read_bytes() for path in (rollout.demo / "mappings").iterdir()} == before
    filled = load_workbook(book)
    sheet = filled["字段映射"]
    headers = {cell.value: cell.column for cell in sheet[1]}
    sheet.cell(2, headers["备注"]).value = "已核对"
    filled.save(book)
    _, person = rollout("people", "add", "李娜")
    code, told = rollout("map", "import", str(book), "--apply", "--by", "李娜", ROLLOUT_CODE=person["code"])
    assert (code, told["applied"]) == (0, True)
