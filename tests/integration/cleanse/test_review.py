"""Pairs go out to people side by side and come back: judged as a whole, signed, heeded by the next cleansing."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import insert, text

from rollout.cli.app import run
from rollout.errors import ApprovalError, ConfigError
from rollout.journal import crosswalk, people
from rollout.journal.schema import target_record
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import open_context
from rollout.phases.match_exports import export_match
from rollout.phases.review import export_review, list_review
from rollout.phases.review_import import decide_pair, import_review
from rollout.project.loader import load_project

PROJECT = """
version: 1
project: {id: pairs, name: 复核}
systems:
  legacy: {connector: files, options: {root: legacy}}
  crm: {connector: memory}
targets:
  test: {system: crm}
entities:
  account:
    label: 客户
    title_field: name
    fields:
      name: {label: 名称, type: text, required: true}
      uscc: {label: 信用代码, type: uscc}
      contact: {label: 联系人, type: text, personal: true}
      owner: {label: 负责人, type: text}
    sources:
      - {name: customers, system: legacy, path: customers.csv, row_key: [编号], mapping: account.yaml}
match:
  account:
    keys: [{name: 代码相同, fields: [uscc]}]
    guards: {across: [owner], directors: [王总监]}
"""
ACCOUNT = """
entity: account
source: customers
fields:
  - {target: name, source: 名称}
  - {target: uscc, source: 代码}
  - {target: contact, source: 联系人}
  - {target: owner, source: 业务员}
"""
HEADER = "编号,名称,代码,联系人,业务员"
CODE, OTHER = "91110000600037341L", "91310115XNJEME907K"
ROWS = (f"1,甲公司,{CODE},张三丰,li", f"2,甲有限公司,{CODE},李四光,wang", f"3,乙公司,{OTHER},,li", f"4,乙,{OTHER},,li")


@pytest.fixture
def context(tmp_path, pg_url, monkeypatch):
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    (tmp_path / "legacy").mkdir()
    (tmp_path / "rollout.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "account.yaml").write_text(ACCOUNT, encoding="utf-8")
    write(tmp_path, *ROWS)
    with open_context(load_project(tmp_path / "rollout.yaml")) as context:
        run_cleanse(context)
        yield context


def write(root: Path, *rows: str) -> None:
    (root / "legacy" / "customers.csv").write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")


def signed(context, name):
    return {"person": name, "code": people.add(context.journal, name), "reason": "已核对"}


def merges(context):
    path = context.project.workspace.root / "merges.csv"
    export_match(context, "merge-map", "account", file=path, why=True)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [(row["source_key"], row["golden_key"], row["rule"]) for row in csv.DictReader(file)]


def fill(path: Path, **answers: str) -> None:
    """Answers by the left row's key; the lines come back in another order."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    header, *rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    for row in rows:
        key = str(row[header.index("记录 A")]).partition(":")[2]
        row[header.index("判定")] = answers.get(f"r{key}")
        row[header.index("说明")] = "电话问过" if f"r{key}" in answers else None
    for at, row in enumerate(reversed(rows), start=2):
        for place, value in enumerate(row, start=1):
            sheet.cell(at, place).value = value
    book.save(path)


def test_what_people_say_about_pairs_is_checked_signed_and_heeded(context, tmp_path):
    waiting = list_review(context)
    assert (waiting.pairs, waiting.entities) == (1, {"account": {"across.owner": 1}})
    assert merges(context) == [("customers:4", "customers:3", "代码相同")]
    [file] = export_review(context, tmp_path / "out", merged=True).files
    assert file.pairs == 2
    shown = {row[7] for row in openpyxl.load_workbook(file.file).worksheets[0].iter_rows(min_row=2, values_only=True)}
    assert shown == {"A: 甲公司\nB: 甲有限公司", "A: 乙\nB: 乙公司"}
    assert "张三丰" not in str(list(openpyxl.load_workbook(file.file).worksheets[0].values))

    fill(Path(file.file), r1="相同", r4="Different")
    clerk = signed(context, "小李")
    refused = import_review(context, [Path(file.file)], **clerk)
    assert [problem.pair for problem in refused.problems] == ["customers:1 – customers:2"]
    assert "only a sales director" in refused.problems[0].message
    assert list_review(context).decided == 0, "one line cannot be taken, so none is"

    boss = signed(context, "王总监")
    other = shutil.copy(file.file, tmp_path / "other.xlsx")
    fill(other, r4="相同")
    torn = import_review(context, [Path(file.file), other], **boss)
    assert [(problem.file, problem.pair) for problem in torn.problems] == [
        ("other.xlsx", "customers:3 – customers:4"),
    ]
    assert list_review(context).decided == 0

    done = import_review(context, [Path(file.file)], **boss)
    assert (done.same, done.different, done.problems) == (1, 1, ())
    assert list_review(context).decided == 1
    assert run_cleanse(context).accounted
    assert merges(context) == [("customers:2", "customers:1", "decision")]
    assert list_review(context).pairs == 0
    with context.journal.transaction() as connection:
        reasons = connection.execute(text("SELECT DISTINCT reason FROM pair_decision")).scalars().all()
        answered = connection.execute(text("SELECT answered, returned_by FROM handout")).one()
    assert reasons == ["已核对 · 电话问过"]
    assert tuple(answered) == (2, "王总监")
    again = import_review(context, [Path(file.file)], **clerk)
    assert [problem.pair for problem in again.problems] == ["customers:1 – customers:2"]


def test_a_pair_that_nobody_asked_about_can_be_decided_by_its_keys(context):
    clerk = signed(context, "小李")
    decide_pair(context, "account", ("customers:4", "customers:3"), "different", **clerk)
    assert run_cleanse(context).entities["account"].merged == 0
    with pytest.raises(ConfigError, match="customers:9"):
        decide_pair(context, "account", ("customers:4", "customers:9"), "same", **clerk)
    with pytest.raises(ApprovalError, match="sales director"):
        decide_pair(context, "account", ("customers:1", "customers:2"), "same", **clerk)
    with pytest.raises(ApprovalError):
        decide_pair(context, "account", ("customers:1", "customers:3"), "same", **{**clerk, "code": "wrong"})
    with pytest.raises(ConfigError, match="sealed"):
        export_review(context, context.project.workspace.root, unmasked=True)


def test_no_clerk_joins_two_owners_through_a_row_that_nobody_owns(context, tmp_path):
    write(tmp_path, *ROWS, "5,无主公司,,,")
    run_cleanse(context)
    clerk = signed(context, "小李")
    decide_pair(context, "account", ("customers:2", "customers:5"), "same", **clerk)
    with pytest.raises(ApprovalError, match="sales director"):
        decide_pair(context, "account", ("customers:5", "customers:1"), "same", **clerk)
    run_cleanse(context)
    with pytest.raises(ApprovalError, match="sales director"):  # 4 has no other owner than 3, with which it is merged
        decide_pair(context, "account", ("customers:4", "customers:5"), "same", **clerk)
    decide_pair(context, "account", ("customers:5", "customers:1"), "same", **signed(context, "王总监"))
    run_cleanse(context)
    assert {row for row, _, _ in merges(context)} >= {"customers:4"}
    decide_pair(context, "account", ("customers:4", "customers:5"), "same", **clerk)


def test_a_record_keeps_its_key_when_a_better_row_joins_it(context, tmp_path):
    before = run_cleanse(context)
    with context.journal.transaction() as connection:
        crosswalk.assign(connection, context.journal.project_id, "account")
        keys = crosswalk.keys(connection, context.journal.project_id, "account", ["customers:3"])
    write(tmp_path, *ROWS, f"0,乙有限公司,{OTHER},王五,li", "8,丙公司,,,li")
    after = run_cleanse(context)
    assert after.accounted
    assert merges(context) == [("customers:0", "customers:3", "代码相同"), ("customers:4", "customers:3", "代码相同")]
    assert after.entities["account"].golden == before.entities["account"].golden + 1
    with context.journal.transaction() as connection:
        assert crosswalk.assign(connection, context.journal.project_id, "account") == {}
        assert crosswalk.keys(connection, context.journal.project_id, "account", ["customers:3"]) == keys
    assert run_cleanse(context) == after, "and goes on doing so"


def test_the_verbs_lead_from_one_to_the_next(context, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROLLOUT_CODE", people.add(context.journal, "王总监"))

    def rollout(*words: str) -> dict[str, object]:
        assert run(["--project", str(tmp_path), *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert rollout("review", "list")["pairs"] == 1
    [book] = rollout("review", "export", str(tmp_path / "out"), "--language", "zh")["files"]
    fill(Path(book["file"]), r1="same")
    by = ("--by", "王总监", "--reason", "已核对")
    assert rollout("review", "import", book["file"], *by)["same"] == 1
    assert rollout("review", "decide", "customers:4", "customers:3", "different", "--entity", "account", *by)
    assert rollout("review", "list")["decided"] == 1
    queue = rollout("export", "review-queue", "--entity", "account", "--file", str(tmp_path / "queue.csv"))
    assert queue["rows"] == 1
    assert rollout("export", "merge-map", "--entity", "account")["rows"] == 1
    assert run(["--project", str(tmp_path), "export", "merge-map", "--entity", "acount"]) == 2
    assert "the entities are: account" in capsys.readouterr().err


def test_a_merge_that_is_loaded_is_taken_back_by_unmerge(context):
    with context.journal.transaction() as connection:
        crosswalk.assign(connection, context.journal.project_id, "account")
        [key] = crosswalk.keys(connection, context.journal.project_id, "account", ["customers:3"]).values()
        connection.execute(
            insert(target_record).values(
                project_id=context.journal.project_id,
                target="test",
                entity="account",
                migration_key=key,
                target_id="7",
                base={},
            )
        )
    with pytest.raises(ConfigError, match="loaded as one record") as raised:
        decide_pair(context, "account", ("customers:4", "customers:3"), "different", **signed(context, "小李"))
    assert "rollout unmerge customers:4" in str(raised.value.hint)
