"""Mappings between the data, a workbook and the YAML: suggested, exported, changed, brought back, and heeded by a plan."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from openpyxl import load_workbook

from rollout.connectors import memory
from rollout.errors import ApprovalError, ConfigError, DriftError
from rollout.journal import handouts, people
from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import PhaseContext
from rollout.phases.golden import golden_paths
from rollout.phases.load import run_load
from rollout.phases.map_export import export_map
from rollout.phases.map_import import import_map
from rollout.phases.map_ready import open_dates, refuse_open_mapping, unmapped_owners
from rollout.phases.map_suggest import run_suggest
from rollout.phases.plan import run_plan
from rollout.phases.repairs import Repairs
from rollout.project.loader import check_project, load_draft

PROJECT = """
version: 1
project: {{id: maps, name: 小项目}}
systems:
  legacy: {{connector: files, options: {{root: legacy}}}}
  crm: {{connector: memory, options: {{store: "{store}", entities: {{account: {{name: {{required: true}},
    region: {{}}, owner: {{}}, founded: {{type: date}}, number: {{}}}}}}}}}}
targets:
  test: {{system: crm}}
entities:
  account:
    label: 客户
    title_field: name
    fields:
      name: {{type: text, required: true, label: 客户名称}}
      region: {{type: picklist, picklist: [华东, 华南], label: 区域}}
      owner: {{type: text, label: 负责人}}
      founded: {{type: date, label: 成立日期}}
      number: {{type: text, label: 客户编号}}
    number: {{field: number}}
    sources:
      - {{name: customers, system: legacy, path: customers.csv, row_key: [编号], mapping: mappings/account.yaml}}
owner_map: {{file: mappings/owners.csv}}
"""
MAPPING = """# 客户映射
entity: account
source: customers
fields:
  - {target: name,  source: 名称, transform: company_name, required: true}   # 名称
  - target: region
    source: 区域
    transform: [text, {value_map: {file: mappings/region.csv}}]
  # 负责人
  - target: owner
    source: 业务员
    transform: owner
  - target: founded
    source: 成立
    transform: date
    on_error: "null"
"""
ROWS = [
    ("1", "甲公司", "东", "张伟", "03/04/2015", "13800138000"),
    ("2", "乙公司", "华南", "老孙", "2016-05-06", ""),
    ("3", "丙公司", "东", "老孙", "25/12/2015", ""),
    ("4", "丁公司", "华南区", "公海", "", ""),
]


@dataclass
class Desk:
    root: Path
    journal: Journal
    code: str

    @property
    def context(self) -> PhaseContext:
        return PhaseContext(load_draft(self.root / "rollout.yaml", environ={}), self.journal)

    def text(self, name: str) -> str:
        return (self.root / "mappings" / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        (self.root / "mappings" / name).write_text(text, encoding="utf-8")

    def export(self) -> Path:
        export_map(self.context, self.root / "m.xlsx")
        return self.root / "m.xlsx"

    def edited(self, *cells: tuple[str, str, str | None], lines: tuple[tuple[str, list[str]], ...] = ()) -> Path:
        """The exported workbook with other cells: (field, header, value); and with further lines by sheet."""
        book = load_workbook(self.export())
        sheet = book["字段映射"]
        headers = {cell.value: cell.column for cell in sheet[1]}
        rows = {sheet.cell(at, headers["CRM 字段"]).value: at for at in range(2, sheet.max_row + 1)}
        for target, header, value in cells:
            sheet.cell(rows[target], headers[header]).value = value
        for title, line in lines:
            book[title].append(line)
        book.save(self.root / "edited.xlsx")
        return self.root / "edited.xlsx"

    def apply(self, path: Path):
        return import_map(self.context, path, apply=True, person="李娜", code=self.code, reason="agreed")


@pytest.fixture
def desk(tmp_path: Path, pg_url: str):
    for folder in ("legacy", "mappings"):
        (tmp_path / folder).mkdir()
    with (tmp_path / "legacy" / "customers.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("编号", "名称", "区域", "业务员", "成立", "电话"), *ROWS])
    (tmp_path / "rollout.yaml").write_text(PROJECT.format(store=tmp_path), encoding="utf-8")
    journal = Journal.open(pg_url, project_id="maps", keys=KeyRing.parse(KeyRing.generate()))
    desk = Desk(tmp_path, journal, people.add(journal, "李娜"))
    desk.write("account.yaml", MAPPING)
    desk.write("region.csv", "raw,value\n东,华东\n")
    desk.write("owners.csv", "legacy_name,user\n张伟,zhang.wei\n")
    yield desk
    journal.close()
    memory.forget_store(str(tmp_path))


def files(desk: Desk) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (desk.root / "mappings").iterdir()}


def test_the_round_trip_is_an_identity(desk):
    before = files(desk)
    summary = desk.apply(desk.export())
    assert (summary.changes, summary.problems, summary.files) == ((), (), ())
    assert files(desk) == before


def test_the_workbook_shows_what_there_is_and_what_is_open_masked(desk):
    told = export_map(desk.context, desk.root / "m.xlsx")
    assert (told.fields, told.unmapped, told.unconfirmed, told.open_values, told.open_owners) == (5, 1, 4, 1, 1)
    book = load_workbook(desk.root / "m.xlsx")
    assert ["mappings/region.csv", "华南区", None, "1", "华南", "华东、华南"] in [
        [cell.value for cell in row] for row in book["值映射"].iter_rows(min_row=2)
    ]
    everything = " ".join(str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row)
    assert "13800138000" not in everything
    assert "??/??/YYYY 33.3%" in everything
    with desk.journal.transaction() as connection:
        assert [(item.kind, item.rows) for item in handouts.handed_out(connection, "maps")] == [("mapping", 5)]


def test_what_people_changed_is_shown_first_and_then_written_by_name(desk):
    path = desk.edited(
        ("founded", "日期格式", "%d/%m/%Y"),
        ("region", "出错时", "置空"),
        ("owner", "确认人", "王主任"),
        lines=(("值映射", ["mappings/region.csv", "南方", "华南"]), ("负责人对照", ["老陈", "公海"])),
    )
    shown = import_map(desk.context, path)
    assert (shown.applied, shown.problems) == (False, ())
    assert desk.text("account.yaml") == MAPPING
    assert {(change.place.rsplit("/", 1)[-1], change.cell, change.new) for change in shown.changes} == {
        ("founded", "date_format", "%d/%m/%Y"),
        ("region", "on_error", "null"),
        ("owner", "confirmed_by", "王主任"),
        ("南方", "value", "华南"),
        ("老陈", "user", "公海"),
    }
    assert desk.apply(path).applied
    text = desk.text("account.yaml")
    assert MAPPING.splitlines()[:5] == text.splitlines()[:5]
    assert "  # 负责人\n" in text
    rules = {rule.target: rule for rule in desk.context.project.mappings["account", "customers"].fields}
    assert rules["founded"].transform[0].args == {"format": "%d/%m/%Y"}
    assert (rules["founded"].confirmed_by, rules["owner"].confirmed_by) == ("李娜", "王主任")
    assert rules["founded"].confirmed_on is not None
    assert desk.text("region.csv") == "raw,value\n东,华东\n南方,华南\n"
    assert check_project(desk.root / "rollout.yaml", environ={}) == []
    with desk.journal.transaction() as connection:
        assert handouts.handed_out(connection, "maps")[-1].returned_by == "李娜"


def test_a_file_that_changed_meanwhile_is_not_overwritten(desk):
    path = desk.edited(("region", "备注", "x"))
    for file in ("account.yaml", "region.csv", "owners.csv"):
        text = desk.text(file)
        desk.write(file, text + "\n")
        before = files(desk)
        with pytest.raises(DriftError, match=f"changed since the export: mappings/{file}"):
            desk.apply(path)
        assert files(desk) == before
        desk.write(file, text)


def test_fields_that_changed_in_the_project_refuse_the_workbook(desk):
    path = desk.export()
    project = desk.root / "rollout.yaml"
    project.write_text(
        project.read_text(encoding="utf-8").replace("[华东, 华南]", "[华东, 华南, 华北]"), encoding="utf-8"
    )
    with pytest.raises(DriftError, match="entities"):
        import_map(desk.context, path)


WRONG = [
    [
        ("region", "转换", "[text", "cannot be understood"),
        ("founded", "日期格式", "DD/MM/YYYY", "is not a date format"),
        ("name", "来源列", "没有的列", "has no column '没有的列'"),
        ("owner", "确认日期", "2026-13-01", "cannot be understood"),
        ("number", "标识", "account/customers/nobody", "no field of these entities"),
    ],
    [
        ("region", "转换", "[txt]", "no transform is called 'txt'"),
        ("founded", "空值算错", "也许", "cannot be understood"),
        ("owner", "关联对象", "nothing", "no entity is called 'nothing'"),
        ("number", "标识", "account/customers/name", "stands twice"),
    ],
    [
        ("region", "默认值", "华北", "is not in the pick-list"),
        ("founded", "出错时", "算了", "cannot be understood"),
        ("owner", "确认日期", "2026-03-01", "a day without a person"),
    ],
    [("region", "日期格式", "%d/%m/%Y", "date_format: '%d/%m/%Y' cannot be understood")],
    [("name", "来源列", None, "required field 'name' gets no value")],
]


@pytest.mark.parametrize("cells", WRONG)
def test_what_cannot_be_is_told_by_line_and_nothing_is_written(desk, cells):
    before = files(desk)
    summary = desk.apply(desk.edited(*(cell[:3] for cell in cells)))
    assert not summary.applied
    for field, _, _, message in cells:
        assert any(message in problem.message for problem in summary.problems), (field, summary.problems)
    assert len(summary.problems) == len(cells)
    assert files(desk) == before


def test_values_outside_the_pick_list_and_unknown_tables_are_refused(desk):
    lines = (
        ("值映射", ["mappings/region.csv", "北", "华北"]),
        ("值映射", ["x.csv", "a", "b"]),
        ("值映射", ["mappings/region.csv", "东 ", "华南"]),
    )
    told = [problem.message for problem in import_map(desk.context, desk.edited(lines=lines)).problems]
    assert told == [
        "'华北' is not in the pick-list",
        "no value map is called 'x.csv'",
        "'东' stands twice, first in line 2",
    ]


def test_a_key_in_two_spellings_comes_back_as_it_went_out(desk):
    desk.write("region.csv", "raw,value\n东,华东\nE东,华东\nｅ东,华东\n")
    path = desk.export()
    assert (import_map(desk.context, path).changes, import_map(desk.context, path).problems) == ((), ())
    book = load_workbook(path)
    for row in book["值映射"].iter_rows(min_row=2):
        if str(row[1].value).endswith("东") and row[1].value != "东":
            row[2].value = "华南" if row[1].value == "E东" else row[2].value
    book.save(path)
    assert [problem.message for problem in import_map(desk.context, path).problems] == [
        "'ｅ东' stands twice, first in line 3"
    ]


@pytest.mark.parametrize("told", [None, "{", "[1]", "x: y"])
def test_a_workbook_that_lost_what_it_was_made_from_is_refused(desk, told):
    path = desk.export()
    book = load_workbook(path)
    about = book["说明"]
    [cell] = [row[1] for row in about.iter_rows() if row[2].value == "files"]
    cell.value = told
    book.save(path)
    with pytest.raises(ConfigError, match="no longer says which files"):
        import_map(desk.context, path)


def test_only_a_known_person_with_their_code_and_the_right_workbook_apply(desk):
    path = desk.edited(("region", "备注", "x"))
    with pytest.raises(ApprovalError):
        import_map(desk.context, path, apply=True, person="不明", code=desk.code, reason="x")
    with pytest.raises(ApprovalError):
        import_map(desk.context, path, apply=True, person="李娜", code="wrong", reason="x")
    book = load_workbook(path)
    book["说明"]["B1"].value = "another"
    book.save(path)
    with pytest.raises(ConfigError, match="of project 'another'"):
        import_map(desk.context, path)
    assert desk.text("account.yaml") == MAPPING


def test_suggestions_are_written_unconfirmed_and_replace_nothing(desk):
    desk.write("account.yaml", MAPPING[: MAPPING.index("  # 负责人")])
    before = desk.text("account.yaml")
    summary = run_suggest(desk.context, write=True)
    told = summary.entities["account"]["customers"]
    assert {item.target: item.column for item in told.fields} == {"owner": "业务员", "founded": "成立"}
    assert [line.raw for line in told.values["region"]] == ["华南区"]
    assert desk.text("account.yaml").startswith(before)
    rules = {rule.target: rule for rule in desk.context.project.mappings["account", "customers"].fields}
    assert (rules["founded"].confirmed_by, rules["founded"].transform[0].args) == ("", {})
    assert run_suggest(desk.context, write=True).written == ()


def test_what_few_rows_say_of_dates_and_owners_is_not_overlooked(desk):
    """600 dates are written the American way, each twice; one row shows that the column is mixed, and is somebody's."""
    days = [f"{1 + at % 12}/{13 + at % 15}/{1960 + at // 15}" for at in range(600)] * 2
    rows = [(f"A{at}", f"公司{at}", "东", f"业务{at % 600}", day, "") for at, day in enumerate(days)]
    rows += [(f"B{at}", "公司", "东", "张伟", "03/04/2015", "") for at in range(3)]
    with (desk.root / "legacy" / "customers.csv").open("w", encoding="utf-8", newline="") as stream:
        last = ("Z", "末公司", "东", "钱末", "25/12/2015", "")
        csv.writer(stream).writerows([("编号", "名称", "区域", "业务员", "成立", "电话"), *rows, last])
    desk.write("account.yaml", "\ufeff" + MAPPING[: MAPPING.index("  - target: founded")])
    [found] = run_suggest(desk.context, write=True).entities["account"]["customers"].fields
    assert (found.column, found.date_format, found.must_confirm) == ("成立", None, False)
    assert "DD/MM/YYYY" in found.dates
    assert desk.text("account.yaml").startswith("\ufeff# ")
    assert export_map(desk.context, desk.root / "m.xlsx").open_owners == 601
    book = load_workbook(desk.root / "m.xlsx")
    assert any("DD/MM/YYYY 0.1%" in str(cell.value) for row in book["字段映射"].iter_rows() for cell in row)


def test_a_project_without_any_mapping_gets_one(desk):
    (desk.root / "mappings" / "account.yaml").unlink()
    written = run_suggest(desk.context, write=True).written
    assert written == ("mappings/account_region.csv", "mappings/account.yaml")
    assert check_project(desk.root / "rollout.yaml", environ={}) == []


def test_no_plan_until_owners_are_mapped_and_the_date_format_is_confirmed(desk):
    desk.write("region.csv", "raw,value\n东,华东\n华南区,华南\n")
    run_cleanse(desk.context)
    assert unmapped_owners(desk.context) == {"老孙": 2}
    assert [(found.column, found.dates.undecided, found.dates.likely) for found in open_dates(desk.context)] == [
        ("成立", 1, "%d/%m/%Y")
    ]
    with pytest.raises(
        ApprovalError, match=r"1 people: 老孙 \(2 rows\); dates such as .*成立 → account.founded, 1 rows"
    ):
        run_plan(desk.context)
    template = desk.root / ".rollout" / "reports" / "owners-missing.csv"
    assert template.read_text(encoding="utf-8-sig").splitlines() == ["legacy_name,user,rows", "老孙,,2"]
    desk.write("owners.csv", desk.text("owners.csv") + "老孙,公海\n")
    desk.write("account.yaml", MAPPING.replace("transform: date", "transform: {date: {format: '%d/%m/%Y'}}"))
    done = run_cleanse(desk.context).entities["account"]
    assert (done.golden, done.quarantined) == (4, 0)
    refuse_open_mapping(desk.context)
    assert run_plan(desk.context).entities["account"].create == 4


def test_each_record_gets_a_number_of_its_own_and_keeps_it(desk):
    desk.write("region.csv", "raw,value\n东,华东\n华南区,华南\n")
    desk.write("owners.csv", desk.text("owners.csv") + "老孙,公海\n")
    desk.write("account.yaml", MAPPING.replace("transform: date", "transform: {date: {format: '%d/%m/%Y'}}"))
    context = desk.context
    run_cleanse(context)
    run_plan(context)
    approve(context, person="李娜", code=desk.code, reason="as agreed")
    assert run_load(context).closed
    records = list(context.connector("crm").read_all("account"))
    numbers = {record.values["name"]: record.values["number"] for record in records}
    day = f"{context.clock().astimezone(ZoneInfo('Asia/Shanghai')):%Y%m%d}"
    assert sorted(numbers.values()) == [f"CUST{day}{serial:04d}" for serial in range(1, 5)]
    expected = pq.read_table(Repairs(context, "test").golden_path("account", golden_paths(context)["account"]))
    assert dict(zip(expected["name"].to_pylist(), expected["number"].to_pylist(), strict=True)) == numbers
    with (desk.root / "legacy" / "customers.csv").open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow(("5", "戊公司", "东", "张伟", "", ""))
    run_cleanse(context)
    plan = run_plan(context).entities["account"]
    assert (plan.create, plan.update, plan.unchanged) == (1, 0, 4)


def test_a_truly_mixed_column_does_not_stop_a_plan(desk):
    with (desk.root / "legacy" / "customers.csv").open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow(("5", "戊公司", "东", "张伟", "12/25/2015", ""))
    run_cleanse(desk.context)
    assert open_dates(desk.context) == []
