"""A target that is loaded after another one: every mistake is a finding with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.model.finding import Finding
from rollout.project.loader import check_project, load_project
from rollout.project.starter import write_starter

ENVIRON = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:1", "ROLLOUT_TESTBED_PASSWORD": "a-password"}
TARGETS = """targets:
  test:
    system: crm
    phases: [plan, load, verify]
  prod:
    system: real
    after: test
    phases: []
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The starter project with a second target on a CRM of its own."""
    write_starter(tmp_path)
    path = tmp_path / "rollout.yaml"
    text = path.read_text(encoding="utf-8")
    head, _, tail = text.partition("targets:\n")
    rest = tail[tail.index("\n\n") :]
    real = "  real: {connector: memory, options: {entities: {account: {name: {}}}}}\n\n"
    path.write_text(f"{head.rstrip()}\n{real}{TARGETS}{rest}", encoding="utf-8")
    return path


def check(path: Path) -> list[Finding]:
    return check_project(path, environ=ENVIRON)


def test_a_target_after_another_is_no_finding(path: Path) -> None:
    assert check(path) == []
    assert load_project(path, environ=ENVIRON).spec.targets["prod"].after == "test"


@pytest.mark.parametrize(
    ("old", "new", "finding", "told"),
    [
        ("after: test", "after: tset", "project.target_unknown", "known: test, prod"),
        ("after: test", "after: prod", "project.target_cycle", "prod → prod"),
        ("    system: crm\n", "    system: crm\n    after: prod\n", "project.target_cycle", "prod → test → prod"),
        ("system: real\n", "system: crm\n", "project.target_same", "same system"),
    ],
)
def test_a_mistake_is_told_with_its_line(path: Path, old: str, new: str, finding: str, told: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = [item for item in check(path) if item.id.startswith("project.target")]
    assert {item.id for item in found} == {finding}
    assert any(told in f"{item.message} {item.hint}" for item in found)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all("after:" in lines[int(item.where.rsplit(":", 1)[1]) - 1] for item in found)
