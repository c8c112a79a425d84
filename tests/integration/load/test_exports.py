"""What people did in the CRM goes back in the legacy system's own files, and nothing of what loads wrote."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook
from sqlalchemy import select

from rollout.cli.app import run
from rollout.connectors import memory, registry
from rollout.connectors.memory import MemoryConnector
from rollout.errors import ApprovalError, ConfigError
from rollout.journal import people, schema
from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import PhaseContext
from rollout.phases.export_since_cutover import export_since_cutover
from rollout.phases.golden import golden_paths
from rollout.phases.load import run_load
from rollout.phases.offline_customers import export_offline_customers
from rollout.phases.plan import run_plan
from rollout.project.loader import load_project

from ._automated import AutomatedCrm

PROJECT = """
version: 1
project: {{id: {id}, name: 往返, time_zone: Asia/Shanghai}}
systems:
  legacy: {{connector: files, options: {{root: {root}}}}}
  crm:
    connector: memory
    options:
      store: {store}
      entities:
        account: {{name: {{required: true}}, region: {{}}, phone: {{type: phone}}, owner: {{}}, since: {{type: date}},
                   active: {{type: boolean}}, size: {{type: integer}}, note: {{}}, origin: {{}}, no: {{}}}}
        contact: {{name: {{required: true}}, account: {{type: reference, references: account}}, mobile: {{type: phone}}}}
        visit: {{subject: {{}}}}
targets: {{test: {{system: crm, max_attempts: 2}}}}
owner_map: {{file: owners.csv}}
entities:
  account:
    label: 客户
    title_field: name
    fields:
      name: {{label: 名称, required: true}}
      region: {{label: 区域, type: picklist, picklist: [华东, 华南]}}
      phone: {{label: 电话, type: phone}}
      owner: {{label: 负责人}}
      since: {{label: 成立日期, type: date}}
      active: {{label: 有效, type: boolean}}
      size: {{label: 人数, type: integer}}
      note: {{label: 备注}}
      origin: {{label: 来源}}
      no: {{label: 旧编号}}
    sources: [{{name: accounts, system: legacy, path: 客户_*.csv, row_key: [编号], mapping: account.yaml,
                encoding: gb18030, delimiter: ";"}}]
  contact:
    label: 联系人
    title_field: name
    fields:
      name: {{label: 姓名, required: true, personal: true}}
      account: {{label: 客户, type: reference, references: account}}
      mobile: {{label: 手机, type: phone, personal: true}}
    sources: [{{name: contacts, system: legacy, path: 联系人.xlsx, row_key: [编号], mapping: contact.yaml,
                skip_rows: 1, header_rows: 2}}]
"""
ACCOUNT = """
entity: account
source: accounts
fields:
  - {target: name, source: 名称, transform: company_name}
  - {target: region, source: 区域, transform: [{value_map: {table: {E: 华东, 东区: 华东, S: 华南}}}]}
  - {target: phone, source: [手机, 电话], transform: phone}
  - {target: owner, source: 业务员, transform: owner}
  - {target: since, source: 成立, transform: [{date: {formats: ["%d/%m/%Y"]}}]}
  - {target: active, source: 有效}
  - {target: size, source: 人数}
  - {target: origin, const: 旧系统}
  - {target: no, source: 编号}
"""
CONTACT = """
entity: contact
source: contacts
fields:
  - {target: name, source: 姓名}
  - {target: account, source: 所属客户, lookup: account}
  - {target: mobile, source: 联系方式/手机, transform: phone}
"""
EAST = [
    ["编号", "名称", "区域", "手机", "电话", "业务员", "成立", "有效", "人数", "传真"],
    ["E1", "东方公司", "东区", "", "021-55556666", "张伟", "08/03/2015", "Y", "12", "f1"],
    ["E2", "东风公司", "东区", "13800000001", "", "李娜", "", "N", "", "f2"],
    ["E3", "东海公司", "E", "", "", "张伟", "", "Y", "", ""],
]
SOUTH = [EAST[0], ["S1", "南方公司", "S", "", "", "李娜", "", "N", "3", ""]]
CONTACTS = [["1", "甲", "E1", "13900000001"], ["2", "乙", "S1", "13900000002"]]
WHY = "going back to the old system"


@dataclass
class Company:
    context: PhaseContext
    code: str
    let_in: datetime

    @property
    def crm(self) -> MemoryConnector:
        connector = self.context.connector("crm")
        assert isinstance(connector, MemoryConnector)
        return connector

    def ids(self, entity: str = "account") -> dict[str, str]:
        return {str(record.values["name"]): record.target_id for record in self.crm.read_all(entity)}

    def export(self, **given: object):
        chosen = {"person": "tester", "code": self.code, "reason": WHY, "since": self.let_in, **given}
        return export_since_cutover(self.context, **chosen)

    def folder(self, summary) -> Path:
        return self.context.project.workspace.root / summary.folder


def make_project(folder: Path, project_id: str, root: str, store: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rollout.yaml").write_text(PROJECT.format(id=project_id, root=root, store=store), encoding="utf-8")
    (folder / "account.yaml").write_text(ACCOUNT, encoding="utf-8")
    (folder / "contact.yaml").write_text(CONTACT, encoding="utf-8")
    (folder / "owners.csv").write_text("legacy_name,user\n张伟,zhang.wei\n李娜,li.na\n", encoding="utf-8")
    return folder / "rollout.yaml"


def write_legacy(root: Path) -> None:
    root.mkdir(parents=True)
    for name, rows in (("华东", EAST), ("华南", SOUTH)):
        with (root / f"客户_{name}.csv").open("w", encoding="gb18030", newline="") as file:
            csv.writer(file, delimiter=";").writerows(rows)
    book = Workbook()
    sheet = book.active
    sheet.title = "名单"
    for row in [["联系人名单"], ["编号", "姓名", "所属客户", "联系方式"], ["", "", "", "手机"], *CONTACTS]:
        sheet.append(row)
    book.save(root / "联系人.xlsx")


@pytest.fixture
def company(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """A company whose data are loaded and whose people were let in."""
    write_legacy(tmp_path / "old" / "legacy")
    path = make_project(tmp_path / "old", "old", "legacy", str(tmp_path))
    keys = KeyRing.generate()
    monkeypatch.setenv("ROLLOUT_KEYS", keys)
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    journal = Journal.open(pg_url, project_id="old", keys=KeyRing.parse(keys))
    with PhaseContext(project=load_project(path), journal=journal) as context:
        code = people.add(journal, "tester")
        run_cleanse(context)
        run_plan(context)
        approve(context, person="tester", code=code, reason="as agreed")
        crm = context.connector("crm")
        assert isinstance(crm, MemoryConnector)
        crm.add("account", {"name": "从前的公司"}, user="sales")  # there before anybody was let in
        assert run_load(context).closed
        yield Company(context, code, datetime.now(UTC))
    memory.forget_store(str(tmp_path))


def work_in_the_crm(company: Company) -> None:
    crm, ids = company.crm, company.ids()
    crm.edit(
        "account",
        ids["东方公司"],
        {"phone": "+862177778888", "region": "华南", "owner": "li.na", "since": "2015-03-09", "active": "false"},
        user="sales",
    )
    crm.edit("account", ids["东风公司"], {"phone": "+8613800000009", "note": "=下周回访", "size": "7"}, user="sales")
    crm.edit("account", ids["南方公司"], {"name": "南方（集团）有限公司", "size": None}, user="sales")
    new = crm.add(
        "account",
        {"name": "新公司", "region": "华东", "owner": "zhang.wei", "phone": "+8613800000077", "active": "true"},
        user="sales",
    )
    crm.add("contact", {"name": "丙", "account": new, "mobile": "+8613900000003"}, user="sales")
    crm.edit("contact", company.ids("contact")["甲"], {"account": ids["南方公司"]}, user="sales")
    crm.add("visit", {"subject": "=拜访"}, user="sales")
    company.crm.remove("account", ids["东海公司"])


def read_csv(path: Path, **options: object) -> list[list[str]]:
    with path.open(newline="", encoding=str(options.pop("encoding", "utf-8-sig"))) as file:
        return list(csv.reader(file, **options))


def test_changes_go_back_in_the_rows_and_files_they_came_from(company) -> None:
    work_in_the_crm(company)
    summary = company.export()
    folder = company.folder(summary) / "legacy"
    east = read_csv(folder / "客户_华东.csv", encoding="gb18030", delimiter=";")
    assert east == [
        EAST[0],
        ["E1", "东方公司", "S", "", "021-77778888", "李娜", "09/03/2015", "N", "12", "f1"],
        ["E2", "东风公司", "东区", "13800000009", "", "李娜", "", "N", "7", "f2"],
    ]
    south = read_csv(folder / "客户_华南.csv", encoding="gb18030", delimiter=";")
    assert south == [EAST[0], ["S1", "南方（集团）有限公司", "S", "", "", "李娜", "", "N", "", ""]]
    new = company.ids()["新公司"]
    created = read_csv(folder / "客户_CRM.csv", encoding="gb18030", delimiter=";")
    assert created == [EAST[0], [f"CRM-{new}", "新公司", "东区", "13800000077", "", "张伟", "", "Y", "", ""]]
    assert set(summary.files.values()) == {""}


def test_a_workbook_goes_back_as_a_workbook_with_its_header(company) -> None:
    work_in_the_crm(company)
    folder = company.folder(company.export()) / "legacy"
    sheet = openpyxl.load_workbook(folder / "联系人.xlsx")["名单"]
    rows = [[cell or "" for cell in row] for row in sheet.iter_rows(values_only=True)]
    assert rows[1:] == [
        ["编号", "姓名", "所属客户", "联系方式"],
        ["", "", "", "手机"],
        ["1", "甲", "S1", "13900000001"],
    ]
    sheet = openpyxl.load_workbook(folder / "联系人_CRM.xlsx")["名单"]
    *_, last = sheet.iter_rows(values_only=True)
    new, contact = company.ids()["新公司"], company.ids("contact")["丙"]
    assert last == (f"CRM-{contact}", "丙", f"CRM-{new}", "13900000003")


def test_what_has_no_place_in_the_old_system_is_said_by_name(company) -> None:
    work_in_the_crm(company)
    summary = company.export()
    folder = company.folder(summary)
    header, *rows = read_csv(folder / "not-carried.csv")
    assert header == ["entity", "key", "target_id", "title", "field", "label", "value", "reason"]
    assert [(row[1], row[4], row[6], row[7]) for row in rows] == [
        ("E2", "note", "'=下周回访", "no column of the source holds it"),
    ]
    assert [row[:2] for row in read_csv(folder / "gone.csv")[1:]] == [["account", "E3"]]
    assert [row[1:] for row in read_csv(folder / "other-visit.csv")[1:]] == [["sales", "'=拜访"]]
    account = summary.entities["account"]
    assert (account.created, account.changed, account.gone, account.not_carried) == (1, 3, 1, 1)
    assert summary.others == {"visit": 1}


def test_a_value_that_the_mapping_would_change_is_not_carried(company) -> None:
    crm, ids = company.crm, company.ids()
    crm.edit("account", ids["东方公司"], {"origin": "展会", "owner": "wang.fang"}, user="sales")
    summary = company.export()
    rows = read_csv(company.folder(summary) / "not-carried.csv")[1:]
    assert [(row[4], row[6], row[7]) for row in rows] == [
        ("owner", "wang.fang", "the mapping turns no cell into this value"),
        ("origin", "展会", "the mapping gives every row the same value"),
    ]
    # The legacy row goes back as it was where nothing could be put into it.
    [_, row] = read_csv(company.folder(summary) / "legacy" / "客户_华东.csv", encoding="gb18030", delimiter=";")
    assert row == EAST[1]


def test_what_loads_wrote_is_nobodys_work(company) -> None:
    summary = company.export()
    assert all((found.created, found.changed, found.gone) == (0, 0, 0) for found in summary.entities.values())
    assert summary.files == {}


def test_work_of_before_is_left_out_and_asked_for_by_an_earlier_time(company) -> None:
    work_in_the_crm(company)
    later = company.export(since=datetime.now(UTC) + timedelta(hours=1))
    assert [(found.created, found.changed) for found in later.entities.values()] == [(0, 0), (0, 0)]
    earlier = company.export(since=company.let_in - timedelta(hours=1))
    assert earlier.entities["account"].created == 2  # the company that was there before, too


def test_the_exported_files_read_back_as_what_the_crm_holds(company, tmp_path, pg_url) -> None:
    work_in_the_crm(company)
    folder = company.folder(company.export())
    (tmp_path / "new").mkdir()
    shutil.copytree(folder / "legacy", tmp_path / "new" / "legacy")
    # The contacts' file has a name without wild cards: the new ones lie beside it, and are looked at by themselves.
    path = make_project(tmp_path / "new", "new", "legacy", f"{tmp_path}-new")
    path.write_text(
        path.read_text(encoding="utf-8").replace("path: 联系人.xlsx", "path: 联系人*.xlsx"), encoding="utf-8"
    )
    journal = Journal.open(pg_url, project_id="new", keys=KeyRing.parse(KeyRing.generate()))
    with PhaseContext(project=load_project(path), journal=journal) as context:
        run_cleanse(context)
        paths = golden_paths(context)
        golden = {row["name"]: row for row in pq.read_table(paths["account"]).to_pylist()}
        contacts = {row["name"]: row for row in pq.read_table(paths["contact"]).to_pylist()}
    held = {str(record.values["name"]): record.values for record in company.crm.read_all("account")}
    assert set(golden) == {"东方公司", "东风公司", "南方（集团）有限公司", "新公司"}
    for name, row in golden.items():
        fields = ("name", "region", "phone", "owner", "since", "active", "size")
        assert {field: row[field] for field in fields} == {field: held[name][field] for field in fields}
    assert contacts["甲"]["account"] == golden["南方（集团）有限公司"]["_golden_key"]
    assert contacts["丙"]["account"] == golden["新公司"]["_golden_key"]


def test_exports_need_a_name_a_reason_and_a_time(company) -> None:
    with pytest.raises(ConfigError, match="nobody was let in"):
        company.export(since=None)
    with pytest.raises(ApprovalError):
        company.export(code="wrong")
    with pytest.raises(ApprovalError):
        export_offline_customers(company.context, person="tester", code=company.code, reason="")


def test_exports_are_readable_by_their_owner_alone_and_in_the_audit_trail(company) -> None:
    work_in_the_crm(company)
    folder = company.folder(company.export())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 7
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    query = select(schema.audit.c.who, schema.audit.c.action, schema.audit.c.detail)
    with company.context.journal.transaction() as connection:
        who, action, detail = connection.execute(query.order_by(schema.audit.c.seq.desc())).first()
    assert (who, action, detail["reason"]) == ("tester", "export.since_cutover", WHY)


def test_the_continuity_copy_shows_customers_with_their_contacts(company) -> None:
    work_in_the_crm(company)
    company.crm.add("account", {"name": "=1+1"}, user="sales")
    company.crm.add("account", {"name": "Pasted\x0bfrom a letter"}, user="sales")
    summary = export_offline_customers(company.context, person="tester", code=company.code, reason="for the weekend")
    assert summary.entities == {"account": 7, "contact": 3}
    path = company.context.project.workspace.root / summary.file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["客户", "联系人"]
    taken, header, *rows = book["客户"].iter_rows(values_only=True)
    assert "往返" in taken[0]
    assert header[:3] == ("名称", "区域", "电话")
    assert header[-1] == "联系人"
    by_name = {row[0]: row for row in rows}
    assert "Pastedfrom a letter" in by_name
    assert by_name["南方（集团）有限公司"][-1] == "乙 +8613900000002; 甲 +8613900000001"
    assert {cell.data_type for row in book["客户"].iter_rows() for cell in row if cell.value} == {"s"}
    _, _, *contacts = book["联系人"].iter_rows(values_only=True)
    assert {row[:2] for row in contacts} == {
        ("甲", "南方（集团）有限公司"),
        ("乙", "南方（集团）有限公司"),
        ("丙", "新公司"),
    }


def test_the_verbs_tell_what_they_exported(company, capsys, monkeypatch) -> None:
    work_in_the_crm(company)
    monkeypatch.setenv("ROLLOUT_CODE", company.code)
    project = str(company.context.project.path)
    signed = ("--by", "tester", "--reason", WHY)
    since = f"{company.let_in - timedelta(days=1):%Y-%m-%d}"
    assert run(["--project", project, "export", "since-cutover", "--since", since, *signed]) == 1  # one has no place
    told = capsys.readouterr().out
    assert "account: 2 created, 3 changed, 1 gone, 1 values not carried" in told
    assert run(["--project", project, "export", "since-cutover", *signed, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["hint"] == "give --since"
    assert run(["--project", project, "export", "offline-customers", *signed, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entities"] == {"account": 5, "contact": 3}


def test_the_verbs_for_rules_tell_what_is_on_and_must_go_on_again(company, capsys, monkeypatch) -> None:
    crm = AutomatedCrm(company.crm.options.model_dump())
    made = registry.create

    def create(connector: str, **given: object):
        return crm if connector == "memory" else made(connector, **given)

    monkeypatch.setattr(registry, "create", create)
    monkeypatch.setenv("ROLLOUT_CODE", company.code)
    project = str(company.context.project.path)
    signed = ("--by", "tester", "--reason", WHY)
    assert run(["--project", project, "preflight"]) == 1
    assert "公海回收 counts 30 days from a time that the project does not write" in capsys.readouterr().out
    assert run(["--project", project, "automation", "off", "--rule", "pool", *signed]) == 0
    assert "To be switched on again: pool" in capsys.readouterr().out
    assert run(["--project", project, "automation", "status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["still_off"] == ["pool"]
    assert run(["--project", project, "automation", "on", *signed]) == 0
    assert "To be switched on again: nothing" in capsys.readouterr().out
    assert run(["--project", project, "automation", "status"]) == 0
