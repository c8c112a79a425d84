"""Rows that were held back go out in workbooks and come back: judged again, recorded by name, heeded while they hold."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msoffcrypto
import openpyxl
import pytest
import sqlalchemy as sa

from rollout.errors import ApprovalError, ConfigError
from rollout.journal import people
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import PhaseContext, open_context
from rollout.phases.dormant_people import decide_dormant, export_dormant, list_dormant
from rollout.phases.dormant_ready import refuse_undecided
from rollout.phases.plan import run_plan
from rollout.phases.quarantine_export import export_quarantine, list_quarantine
from rollout.phases.quarantine_import import import_quarantine
from rollout.phases.status import rollout_status
from rollout.project.loader import load_project

PROJECT = """
version: 1
project: {id: held, name: 隔离}
systems:
  legacy: {connector: files, options: {root: legacy}}
  crm: {connector: memory, options: {entities: {account: {name: {type: text}}}}}
targets:
  test: {system: crm}
entities:
  account:
    label: 客户
    title_field: name
    fields:
      name: {label: 名称, type: text, required: true}
      uscc: {label: 信用代码, type: uscc}
      owner: {type: text}
    sources:
      - {name: customers, system: legacy, path: customers.csv, row_key: [编号], mapping: account.yaml}
  contact:
    label: 联系人
    title_field: name
    fields:
      name: {label: 姓名, type: text, required: true, personal: true}
      account: {label: 客户, type: reference, references: account, required: true}
      mobile: {label: 手机, type: phone, personal: true}
      met_on: {type: date}
    sources:
      - {name: people, system: legacy, path: people.csv, row_key: [编号], mapping: contact.yaml}
dormant:
  account:
    after_years: 2
    as_of: 2026-01-01
    activity: [{entity: contact, reference: account, date: met_on}]
    freeze: {name: 冻结}
    pool: {owner: null}
handouts: {due_days: 3, password: "${env:BOOK_PASSWORD}"}
"""
ACCOUNT = """
entity: account
source: customers
fields:
  - {target: name, source: 名称}
  - {target: uscc, source: 代码}
  - {target: owner, source: 业务员}
"""
CONTACT = """
entity: contact
source: people
fields:
  - {target: name, source: 姓名}
  - {target: account, source: 客户, lookup: account}
  - {target: mobile, source: 手机}
  - {target: met_on, source: 拜访, on_error: "null"}
"""
CUSTOMERS = "编号,名称,代码,业务员\n1,甲公司,,li\n2,,,wang\n3,丙公司,91110000600037341X,li\n4,丁公司,,\n"
PEOPLE = (
    "编号,姓名,客户,手机,拜访\nP1,张三丰,1,12,2025-05-01\nP2,李四,2,13800138000,\nP3,王五,9,,\nP4,赵六,4,,2020-01-01\n"
)


@pytest.fixture
def context(tmp_path, pg_url, monkeypatch):
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    monkeypatch.setenv("BOOK_PASSWORD", "only for the test")
    (tmp_path / "legacy").mkdir()
    for name, text in (("rollout.yaml", PROJECT), ("account.yaml", ACCOUNT), ("contact.yaml", CONTACT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name, text in (("customers.csv", CUSTOMERS), ("people.csv", PEOPLE)):
        (tmp_path / "legacy" / name).write_text(text, encoding="utf-8")
    with open_context(load_project(tmp_path / "rollout.yaml")) as context:
        run_cleanse(context)
        yield context


@pytest.fixture
def signed(context):
    return {"person": "王经理", "code": people.add(context.journal, "王经理"), "reason": "已核对"}


def lines(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    sheet = openpyxl.load_workbook(path).worksheets[0]
    header, *rows = sheet.iter_rows(values_only=True)
    return {(row[0], row[10] or ""): dict(zip(header, row, strict=True)) for row in rows}


def fill(path: Path, column: str, **answers: str) -> None:
    """Answers by `key/field`; the lines come back in another order."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    header, *rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    for row in rows:
        if answer := answers.get(f"{row[0].partition(':')[2]}_{row[10] or ''}"):
            row[header.index(column)] = answer
    for at, row in enumerate(reversed(rows), start=2):
        for place, value in enumerate(row, start=1):
            sheet.cell(at, place).value = value
    book.save(path)


def test_each_owner_gets_their_rows_masked_and_the_export_is_on_record(context, tmp_path):
    done = export_quarantine(context, tmp_path / "out", by="owner")
    assert {(book.recipient, book.rows) for book in done.books} == {("", 1), ("li", 2), ("wang", 1)}
    assert done.waiting == 1  # P2 waits for its customer
    li = lines(tmp_path / "out" / "待修正数据_li.xlsx")
    assert set(li) == {("customers:3", "uscc"), ("people:P1", "mobile")}
    assert li["people:P1", "mobile"]["现值"] == "**"
    assert li["people:P1", "mobile"]["名称"] == "张**"
    assert li["customers:3", "uscc"]["现值"] == "91110000600037341X"
    (status,) = rollout_status(context).handouts
    assert (status.kind, status.books, status.returned, status.rows, status.answered, status.return_rate) == (
        "quarantine", 3, 0, 4, 0, 0,
    )  # fmt: skip
    late = PhaseContext(context.project, context.journal, clock=lambda: datetime(2099, 1, 1, tzinfo=UTC))
    (status,) = rollout_status(late).handouts
    assert status.overdue == 3
    assert "3 overdue" in status.told
    assert "3 份逾期" in status.told_zh
    listed = list_quarantine(context, "contact", None)
    assert "张三丰" not in Path(listed.file).read_text(encoding="utf-8")
    assert (listed.rows, listed.problems) == (3, 3)


def test_what_comes_back_is_judged_again_recorded_and_heeded(context, tmp_path, signed):
    export_quarantine(context, tmp_path, by="owner")
    files = {name: tmp_path / f"待修正数据_{name}.xlsx" for name in ("li", "wang", "未分配")}
    fill(files["li"], "正确值", P1_mobile="138 0013 8000", **{"3_uscc": "91110000600037341L9"})
    fill(files["wang"], "正确值", **{"2_name": "乙公司"})
    fill(files["未分配"], "处理", P3_account="不导入")
    done = import_quarantine(context, list(files.values()), **signed)
    outcomes = {(row.entity, row.key): (row.outcome, row.problems) for row in done.rows}
    assert outcomes == {
        ("contact", "people:P1"): ("accepted", ()),
        ("account", "customers:3"): ("wrong", ("uscc: uscc_length",)),
        ("account", "customers:2"): ("accepted", ()),
        ("contact", "people:P3"): ("left_out", ()),
    }
    (status,) = rollout_status(context).handouts
    assert (status.returned, status.answered, status.overdue) == (3, 4, 0)
    summary = run_cleanse(context)
    assert summary.accounted
    account, contact = summary.entities["account"], summary.entities["contact"]
    assert (account.golden, account.quarantined, account.repaired) == (3, 1, 1)
    assert (contact.golden, contact.quarantined, contact.skipped, contact.left_out) == (3, 0, 1, 1)
    again = import_quarantine(context, [files["wang"]], **signed)
    assert again.outcomes == {"gone": 1}
    # Who leaves a customer out is asked about its people: they are not lost with it.
    export_quarantine(context, tmp_path / "later", by="owner")
    later = tmp_path / "later" / "待修正数据_li.xlsx"
    fill(later, "处理", **{"3_uscc": "不导入"})
    (context.project.root / "legacy" / "people.csv").write_text(PEOPLE.replace("李四,2", "李四,3"), encoding="utf-8")
    assert import_quarantine(context, [later], **signed).outcomes == {"left_out": 1}
    assert run_cleanse(context).entities["contact"].problems == {"parent_left_out": 1}
    assert export_quarantine(context, tmp_path / "last", by="owner").books[0].recipient == "li"


def test_a_word_lapses_once_the_row_says_something_else(context, tmp_path, signed):
    export_quarantine(context, tmp_path, by="owner")
    book = tmp_path / "待修正数据_wang.xlsx"
    fill(book, "正确值", **{"2_name": "乙公司"})
    source = context.project.root / "legacy" / "customers.csv"
    import_quarantine(context, [book], **signed)
    source.write_text(CUSTOMERS.replace("2,,,wang", "2,,,li"), encoding="utf-8")
    summary = run_cleanse(context)
    assert summary.entities["account"].repaired == 0
    assert "cleanse.word_lapsed" in {finding.id for finding in summary.entities["account"].findings}
    late = import_quarantine(context, [book], **signed)
    assert late.outcomes == {"changed": 1}
    source.write_text(CUSTOMERS, encoding="utf-8")
    assert run_cleanse(context).entities["account"].repaired == 1


def test_answers_that_cannot_be_meant_are_refused(context, tmp_path, signed):
    export_quarantine(context, tmp_path, by="owner")
    books = {name: tmp_path / f"待修正数据_{name}.xlsx" for name in ("li", "wang")}
    stale = tmp_path / "stale.xlsx"
    shutil.copy(books["wang"], stale)
    fill(stale, "正确值", **{"2_name": "旧公司"})
    source = context.project.root / "legacy" / "customers.csv"
    source.write_text(CUSTOMERS.replace("2,,,wang", "2,,x,wang"), encoding="utf-8")
    run_cleanse(context)
    export_quarantine(context, tmp_path, by="owner")
    fill(books["wang"], "正确值", **{"2_uscc": "91350211M000100Y43"})
    fill(books["li"], "正确值", P1_mobile="**", **{"3_uscc": "91350211M000100Y43"})
    fill(books["li"], "处理", **{"3_uscc": "不导入"})
    done = import_quarantine(context, [books["wang"], stale, books["li"]], **signed)
    assert {row.key: (row.outcome, row.problems) for row in done.rows} == {
        "customers:2": ("refused", ("the workbooks show two versions of the row",)),
        "people:P1": ("refused", ("mobile: this is the mask of the value, not a value",)),
        "customers:3": ("refused", ("left out and repaired at once",)),
    }
    assert done.recorded == 0


def test_recipients_whose_names_look_alike_as_files_get_a_workbook_each(context, tmp_path):
    source = context.project.root / "legacy" / "customers.csv"
    source.write_text(CUSTOMERS.replace("2,,,wang", "2,,,a/B\n5,,,A?b"), encoding="utf-8")
    run_cleanse(context)
    books = {book.recipient: Path(book.file) for book in export_quarantine(context, tmp_path / "out", by="owner").books}
    assert {name: len(lines(path)) for name, path in books.items() if name} == {"a/B": 1, "A?b": 1, "li": 2}
    assert books["a/B"].name.casefold() != books["A?b"].name.casefold()


def test_a_workbook_of_another_kind_or_journal_is_nobodys(context, tmp_path, signed):
    export_quarantine(context, tmp_path, by="owner")
    with pytest.raises(ConfigError, match="nobody handed out"):
        decide_dormant(context, files=[tmp_path / "待修正数据_li.xlsx"], **signed)
    export_dormant(context, tmp_path / "d.xlsx")
    with context.journal.transaction() as connection:
        connection.execute(sa.text("DELETE FROM handout WHERE kind = 'dormant'"))
    with pytest.raises(ConfigError, match="nobody handed out"):
        decide_dormant(context, files=[tmp_path / "d.xlsx"], **signed)
    with pytest.raises(ConfigError, match=r"\.xlsx"):
        export_dormant(context, tmp_path / "d.txt")


def test_a_number_that_excel_cut_off_is_no_answer(context, tmp_path, signed):
    export_quarantine(context, tmp_path, by="owner")
    path = tmp_path / "待修正数据_li.xlsx"
    for value in (110101199001011000, 1.10101199001011e17):
        fill(path, "正确值", **{"3_uscc": value})
        with pytest.raises(ConfigError, match="of which Excel keeps no more") as refused:
            import_quarantine(context, [path], **signed)
        assert "!I" in refused.value.where
    fill(path, "正确值", P1_mobile=13800138000.0)
    fill(path, "正确值", **{"3_uscc": "91110000600037341L"})
    assert import_quarantine(context, [path], **signed).outcomes == {"accepted": 2}
    book = openpyxl.load_workbook(path)
    book.copy_worksheet(book.worksheets[0])
    book.save(path)
    with pytest.raises(ConfigError, match="Copy' have the columns"):
        import_quarantine(context, [path], **signed)


def test_strange_books_change_nothing_and_secret_ones_need_a_name(context, tmp_path, signed):
    export_quarantine(context, tmp_path, by="owner")
    book = tmp_path / "待修正数据_wang.xlsx"
    fill(book, "处理", **{"2_name": "也许"})
    assert import_quarantine(context, [book], **signed).outcomes == {"refused": 1}
    with pytest.raises(ApprovalError):
        import_quarantine(context, [book], person="王经理", code="wrong", reason="x")
    copy = openpyxl.load_workbook(book)
    copy.worksheets[-1]["B1"] = "another"
    copy.save(tmp_path / "other.xlsx")
    with pytest.raises(ConfigError, match="project 'another'"):
        import_quarantine(context, [tmp_path / "other.xlsx"], **signed)
    # Personal data leaves encrypted and under a name, or not at all.
    with pytest.raises(ApprovalError, match="stand for"):
        export_quarantine(context, tmp_path, by="owner", unmasked=True)
    export_quarantine(context, tmp_path, by="owner", unmasked=True, person=signed["person"], code=signed["code"])
    book = tmp_path / "待修正数据_li.xlsx"
    with book.open("rb") as stream:
        office = msoffcrypto.OfficeFile(stream)
        assert office.is_encrypted()
        office.load_key(password="only for the test")
        with (tmp_path / "plain.xlsx").open("wb") as plain:
            office.decrypt(plain)
    assert lines(tmp_path / "plain.xlsx")["people:P1", "mobile"]["现值"] == "12"
    assert import_quarantine(context, [book], **signed).rows == ()


def test_dormant_records_are_decided_before_a_plan(context, tmp_path, signed):
    found = list_dormant(context).entities["account"]
    assert (found.found, found.undecided, found.last_seen) == (
        1,
        1,
        {"2020": 1},
    )  # the row in quarantine saw customer 1
    with pytest.raises(ApprovalError, match="1 of 'account'"):
        run_plan(context)
    book = tmp_path / "dormant.xlsx"
    export_dormant(context, book, language="en")
    workbook = openpyxl.load_workbook(book)
    sheet = workbook.worksheets[0]
    sheet.cell(2, 9).value = "leave out"
    workbook.save(book)
    decided = decide_dormant(context, files=[book], **signed)
    assert decided.entities == {"account": {"leave_out": 1}}
    summary = run_cleanse(context)
    assert summary.accounted
    assert [summary.entities[name].skipped for name in ("account", "contact")] == [1, 1]
    refuse_undecided(context)
    decide_dormant(context, every="frozen", **signed)
    assert run_cleanse(context).entities["account"].dormant.choices == {"leave_out": 1}  # the line of its own counts
