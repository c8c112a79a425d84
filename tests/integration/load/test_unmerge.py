"""A row that was merged away becomes a record of its own, by name; what hangs on the other record follows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.cli.app import run
from rollout.connectors import memory
from rollout.connectors.memory import MemoryConnector, MemoryFault
from rollout.errors import ApprovalError, ConfigError
from rollout.journal import audit_trail, people
from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import PhaseContext
from rollout.phases.delta import run_delta
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.phases.unmerge import plan_unmerge
from rollout.phases.unmerge_apply import run_unmerge
from rollout.project.loader import load_project

PROJECT = """
version: 1
project: {{id: apart, name: 拆分}}
systems:
  legacy: {{connector: files, options: {{root: legacy}}}}
  crm:
    connector: memory
    options:
      store: {store}
      entities:
        account: {{name: {{required: true}}, code: {{}}, phone: {{}}}}
        contact: {{name: {{required: true}}, account: {{type: reference, references: account}}}}
targets: {{test: {{system: crm, max_attempts: 2, max_conflict_share: 1}}}}
entities:
  account:
    label: 客户
    title_field: name
    fields: {{name: {{required: true}}, code: {{}}, phone: {{}}}}
    sources: [{{name: accounts, system: legacy, path: accounts.csv, row_key: [k], mapping: account.yaml}}]
  contact:
    label: 联系人
    title_field: name
    fields: {{name: {{required: true}}, account: {{type: reference, references: account}}}}
    sources: [{{name: contacts, system: legacy, path: contacts.csv, row_key: [k], mapping: contact.yaml}}]
match: {{account: {{keys: [{{name: code, fields: [code]}}], survivorship: first}}}}
"""
ACCOUNT = """
entity: account
source: accounts
fields: [{target: name, source: name}, {target: code, source: code}, {target: phone, source: phone}]
"""
CONTACT = """
entity: contact
source: contacts
fields: [{target: name, source: name}, {target: account, source: account, lookup: account}]
"""
FILES = {
    "accounts.csv": [
        ["k", "name", "code", "phone"],
        ["1", "东方", "AA", ""],
        ["2", "东芳", "AA", "555"],
        ["3", "南方", "", ""],
    ],
    "contacts.csv": [["k", "name", "account"], ["1", "甲", "1"], ["2", "乙", "2"], ["3", "丙", "3"]],
}


@dataclass
class Case:
    context: PhaseContext
    code: str

    @property
    def crm(self) -> MemoryConnector:
        connector = self.context.connector("crm")
        assert isinstance(connector, MemoryConnector)
        return connector

    def approve(self, plan_id: str) -> None:
        approve(self.context, person="tester", code=self.code, reason="two companies, one wrong code", plan_id=plan_id)

    def accounts(self) -> dict[str, str | None]:
        return {str(record.values["name"]): record.values["phone"] for record in self.crm.read_all("account")}

    def contacts(self) -> dict[str, str]:
        names = {record.target_id: str(record.values["name"]) for record in self.crm.read_all("account")}
        return {
            str(record.values["name"]): names[str(record.values["account"])] for record in self.crm.read_all("contact")
        }

    def unmerged(self):
        self.approve(plan_unmerge(self.context, "accounts:2").plan_id)
        return run_unmerge(self.context)


@pytest.fixture
def case(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Two companies that were merged because of one wrong code, loaded as one."""
    (tmp_path / "legacy").mkdir()
    for name, rows in FILES.items():
        with (tmp_path / "legacy" / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    (tmp_path / "rollout.yaml").write_text(PROJECT.format(store=tmp_path), encoding="utf-8")
    (tmp_path / "account.yaml").write_text(ACCOUNT, encoding="utf-8")
    (tmp_path / "contact.yaml").write_text(CONTACT, encoding="utf-8")
    keys = KeyRing.generate()
    monkeypatch.setenv("ROLLOUT_KEYS", keys)
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    journal = Journal.open(pg_url, project_id="apart", keys=KeyRing.parse(keys))
    with PhaseContext(load_project(tmp_path / "rollout.yaml"), journal) as context:
        case = Case(context, people.add(journal, "tester"))
        run_cleanse(context)
        case.approve(run_plan(context).plan_id)
        assert run_load(context).closed
        assert case.accounts() == {"东方": "555", "南方": None}
        yield case
    memory.forget_store(str(tmp_path))


def test_the_plan_says_what_the_other_record_has_from_the_row(case) -> None:
    summary = plan_unmerge(case.context, "2")
    assert (summary.entity, summary.source_key, summary.merged_into) == ("account", "accounts:2", "accounts:1")
    assert summary.review == ("phone",)
    assert summary.children == {"contact": 1}
    assert case.accounts() == {"东方": "555", "南方": None}  # nothing is sent that nobody approved
    with pytest.raises(ApprovalError):
        run_unmerge(case.context)
    with pytest.raises(ApprovalError):
        run_unmerge(case.context, plan_id=summary.plan_id)


def test_the_row_gets_a_record_and_the_next_delta_puts_the_rest_right(case) -> None:
    summary = case.unmerged()
    assert (summary.state, summary.reasons) == ("applied", {})
    assert case.accounts() == {"东方": "555", "东芳": "555", "南方": None}
    assert run_unmerge(case.context).state == "already_applied"
    delta = run_delta(case.context)
    assert delta.cleansed
    [plan] = delta.plans
    assert (plan.entities["account"].update, plan.entities["account"].conflict) == (1, 0)
    assert plan.entities["contact"].update == 1
    case.approve(plan.plan_id)
    loaded = run_load(case.context)
    assert loaded.closed
    assert case.accounts() == {"东方": None, "东芳": "555", "南方": None}
    assert case.contacts() == {"甲": "东方", "乙": "东芳", "丙": "南方"}
    line = loaded.entities["account"]
    assert (line.source, line.merged, line.loaded) == (3, 0, 3)
    with case.context.journal.transaction() as connection:
        assert audit_trail.broken_at(connection, "apart") is None
    assert run_delta(case.context).plans == ()


def test_what_people_made_of_the_other_record_stays(case) -> None:
    [record] = [found for found in case.crm.read_all("account") if found.values["name"] == "东方"]
    case.crm.edit("account", record.target_id, {"phone": "777"}, user="sales")
    case.unmerged()
    [plan] = run_delta(case.context).plans
    case.approve(plan.plan_id)
    run_load(case.context)
    assert case.accounts()["东方"] == "777"


@pytest.mark.parametrize("fault", [MemoryFault.LOST_ANSWER, MemoryFault.LOST_CALL])
def test_a_lost_answer_makes_no_second_record(case, fault) -> None:
    case.approve(plan_unmerge(case.context, "accounts:2").plan_id)
    case.crm.fail_next(fault)
    for _ in range(3):
        summary = run_unmerge(case.context)
    assert summary.target_id is not None
    assert sorted(case.accounts()) == ["东方", "东芳", "南方"]
    assert case.crm.count("account") == 3


def test_nothing_is_planned_before_an_unmerge_is_finished(case, monkeypatch) -> None:
    case.approve(plan_unmerge(case.context, "accounts:2").plan_id)
    write = MemoryConnector.write

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MemoryConnector, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        run_unmerge(case.context)
    monkeypatch.setattr(MemoryConnector, "write", write)
    with pytest.raises(ApprovalError, match="not finished"):
        plan_unmerge(case.context, "accounts:2")
    assert run_unmerge(case.context).state == "applied"
    assert case.crm.count("account") == 3


@pytest.mark.parametrize(
    ("key", "told"),
    [("accounts:1", "no row"), ("accounts:9", "no row"), ("3", "no row")],
)
def test_only_a_row_that_was_merged_away_can_be_taken_apart(case, key, told) -> None:
    with pytest.raises(ConfigError, match=told):
        plan_unmerge(case.context, key)


def test_rows_that_the_project_keeps_apart_are_never_merged(case) -> None:
    path = case.context.project.path
    text = path.read_text(encoding="utf-8").replace("survivorship: first", "survivorship: first, apart: ['accounts:2']")
    path.write_text(text, encoding="utf-8")
    context = PhaseContext(load_project(path), case.context.journal)
    assert run_cleanse(context).entities["account"].merged == 0


def test_the_verb_plans_with_a_key_and_applies_without(case, capsys) -> None:
    project = str(case.context.project.path)
    assert run(["--project", project, "unmerge", "accounts:2", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    case.approve(plan["plan_id"])
    assert run(["--project", project, "unmerge"]) == 0
    told = capsys.readouterr().out
    assert "accounts:2: record M" in told
    assert "(applied)" in told
    assert run(["--project", project, "unmerge", "accounts:2", "--plan", plan["plan_id"]]) == 2
