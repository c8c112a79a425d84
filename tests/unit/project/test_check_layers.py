"""Layers and control totals: every mistake is a finding with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.model.finding import Finding
from rollout.project.loader import check_project, load_project
from rollout.project.starter import write_starter

ENVIRON = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:1", "ROLLOUT_TESTBED_PASSWORD": "a-password"}
CONTACT = """  contact:
    label: 联系人
    title_field: name
    fields:
      name: {type: text, required: true}
      account: {type: reference, references: account, required: true}
    sources:
      - {name: contacts, system: legacy, path: "*.xlsx", row_key: [no], mapping: mappings/contact.yaml}
"""
CONTACT_MAPPING = """entity: contact
source: contacts
fields:
  - {target: name, source: 姓名}
  - {target: account, source: 客户编号, lookup: account}
"""
TOTAL = (
    "{name: accounts, entity: account, measure: count, expected: '3000', tax: none, status: all, returns: none,"
    " as_of: '2026-01-31'"
)
LAYERS = f"""
layers:
  - name: master
    entities: [account]
    control_totals:
      - {TOTAL}}}
  - {{name: people, entities: [contact]}}
"""


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def check(root: Path) -> list[Finding]:
    return check_project(root / "rollout.yaml", environ=ENVIRON)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_starter(tmp_path)
    change(tmp_path / "rollout.yaml", "\n# 业务员 → CRM 用户", CONTACT + "\n# 业务员 → CRM 用户")
    (tmp_path / "mappings" / "contact.yaml").write_text(CONTACT_MAPPING, encoding="utf-8")
    with (tmp_path / "rollout.yaml").open("a", encoding="utf-8") as file:
        file.write(LAYERS)
    return tmp_path


def test_layers_in_order_are_no_finding(root: Path) -> None:
    assert check(root) == []


@pytest.mark.parametrize(
    ("old", "new", "finding", "told"),
    [
        ("entities: [account]", "entities: [acount]", "project.layer_unknown", "account"),
        ("entities: [contact]", "entities: [contact, account]", "project.layer_entity_twice", "two layers"),
        ("name: people, entities", "name: master, entities", "project.layer_twice", "twice"),
        ("entities: [account]", "entities: [contact]", "project.layer_order", "account"),
        ("entity: account, measure", "entity: contact, measure", "project.total_entity", "does not load"),
        ("measure: count", "measure: sum, field: name", "project.total_field", "no number"),
        ("measure: count", "measure: sum, field: nothing", "project.layer_unknown", "no field"),
        ("measure: count", "measure: count, wave: pilt", "project.layer_unknown", "wave"),
        ("measure: count", "measure: count, where: {region: [Z]}", "project.total_value", "pick-list"),
        ("measure: count", "measure: sum", "project.invalid_value", "sum"),
        ("tax: none", "tax: perhaps", "project.invalid_value", "included"),
        ("expected: '3000'", "expected: many", "project.invalid_value", "expected"),
    ],
)
def test_a_mistake_in_layers_is_told_with_its_line(root: Path, old: str, new: str, finding: str, told: str) -> None:
    path = root / "rollout.yaml"
    text = path.read_text(encoding="utf-8")
    head, layers = text.split("\nlayers:\n")
    assert old in layers
    changed = layers.replace(old, new, 1)
    if finding == "project.layer_order":
        changed = changed.replace("{name: people, entities: [contact]}", "{name: people, entities: [account]}")
    path.write_text(f"{head}\nlayers:\n{changed}", encoding="utf-8")
    found = [item for item in check(root) if item.id == finding]
    assert found, [item.id for item in check(root)]
    assert any(told in f"{item.message} {item.hint}" for item in found)
    first = len(head.splitlines()) + 1
    assert all(int(item.where.rsplit(":", 1)[1]) >= first for item in found)


def test_a_figure_without_its_meaning_is_refused(root: Path) -> None:
    change(root / "rollout.yaml", ", as_of: '2026-01-31'", "")
    assert [item.id for item in check(root)] == ["project.missing_key"]
    change(root / "rollout.yaml", "returns: none", "returns: none, as_of: '2026-01-31'")
    assert load_project(root / "rollout.yaml", environ=ENVIRON).spec.layers[0].control_totals[0].wave is None
