"""Dormant records: who counts as one, and what each choice makes of it and of what belongs to it."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from rollout.phases.cleanse import ledger_rows
from rollout.phases.said import Said
from rollout.project.loader import check_project

DORMANT = """
dormant:
  account:
    after_years: 3
    activity: [{entity: contact, reference: account, date: met_on}]
    freeze: {status: 冻结}
    pool: {region: null}
"""


@pytest.fixture
def silent(small):
    """E1 was met lately, E2 by somebody in quarantine, E3 long ago, E4 never; E4 has a merged row; all have people."""
    small.replace(
        "rollout.yaml", "      uscc: {type: uscc}\n", "      uscc: {type: uscc}\n      status: {type: text}\n"
    )
    small.replace("rollout.yaml", "      mobile: {type", "      met_on: {type: date}\n      mobile: {type")
    for file in ("account.yaml", "south.yaml"):
        small.replace(f"mappings/{file}", "source: 代码}\n", "source: 代码}\n  - {target: status, const: 正常}\n")
    small.replace(
        "mappings/contact.yaml", "  - {target: mobile", "  - {target: met_on, source: 拜访}\n  - {target: mobile"
    )
    with (small.root / "rollout.yaml").open("a", encoding="utf-8") as stream:
        stream.write(DORMANT)
    code = "91110000600037341L"
    small.accounts("E1|甲||东", "E2|乙||东", "E3|丙||东", f"E4|丁|{code}|东", f"E5|丁二|{code}|")
    small.accounts(file="south.csv")
    small.write(
        "people.csv",
        "编号|姓名|客户|手机|拜访",
        "P1|张三|E1||2024-01-01",
        "P2|李四|E2|12|2025-01-01",
        "P3|王五|E3||2023-06-30",
        "P4|赵六|E5||2099-01-01",
    )
    return small


def cleanse(small, *choices):
    return small.cleanse({"account": Said(dormant=choices)})


def golden(small, done, entity="account"):
    return {row["_golden_key"]: row for row in pq.read_table(small.store.root / done[entity].golden_file).to_pylist()}


def test_who_nobody_met_for_years_is_dormant(silent):
    done = cleanse(silent)["account"]
    rows = pq.read_table(silent.store.root / done.dormant.file).to_pylist()
    assert {(row["_golden_key"], str(row["last_on"])) for row in rows} == {
        ("east:E3", "2023-06-30"),
        ("east:E4", "None"),  # a day that has not come is no sign of life
    }
    assert (done.dormant.found, done.dormant.undecided, done.dormant.choices) == (2, 2, {})
    assert "cleanse.dormant_undecided" in {finding.id for finding in done.findings}


def test_a_choice_changes_what_the_project_says_and_nothing_else(silent):
    before = golden(silent, cleanse(silent))
    done = cleanse(silent, ("*", "pool"), ("east:E3", "frozen"))
    after = golden(silent, done)
    assert done["account"].dormant.choices == {"frozen": 1, "pool": 1}
    assert {key: row["status"] for key, row in after.items() if row["status"] != "正常"} == {"east:E3": "冻结"}
    assert {key for key, row in after.items() if row["region"] != before[key]["region"]} == {"east:E4"}
    assert after["east:E1"] == before["east:E1"]


def test_what_is_left_out_takes_its_rows_along_and_lets_go_of_what_can_be_without_it(silent):
    done = cleanse(silent, ("east:E4", "leave_out"))
    assert (done["account"].golden, done["account"].merged, done["account"].skipped) == (3, 0, 2)
    assert {row[0]: row[3] for row in ledger_rows(silent.store, done["account"]) if row[1] == "skipped"} == {
        "east:E4": "dormant_left_out",
        "east:E5": "dormant_left_out",
    }
    assert golden(silent, done, "contact")["people:P4"]["account"] is None
    assert done["account"].dormant.left_out_rows == 2
    (told,) = [finding for finding in done["contact"].findings if finding.id == "cleanse.parent_left_out"]
    assert told.count == 1


@pytest.mark.parametrize("by", ["rollout.yaml", "mappings/contact.yaml"])
def test_what_cannot_be_without_it_is_left_out_too(silent, by):
    old = {"rollout.yaml": "references: account}", "mappings/contact.yaml": "lookup: account}"}[by]
    silent.replace(by, old, f"{old[:-1]}, required: true}}")
    done = cleanse(silent, ("*", "leave_out"))
    assert {row[0]: row[3] for row in ledger_rows(silent.store, done["contact"]) if row[1] == "skipped"} == {
        "people:P3": "parent_left_out",
        "people:P4": "parent_left_out",
    }
    assert all(result.accounted for result in done.values())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("freeze: {status: 冻结}", "freeze: {state: 冻结}", "'state' is no field of 'account'"),
        ("pool: {region: null}", "pool: {name: null}", "'name' is required"),
        ("pool: {region: null}", "pool: {region: 火星}", "'火星' is not in the pick-list"),
        ("date: met_on", "date: mobile", "'mobile' is no date of 'contact'"),
        ("reference: account, date", "reference: mobile, date", "'contact.mobile' is no reference to 'account'"),
        ("dormant:\n  account:", "dormant:\n  acount:", "'acount' is no entity"),
        ("after_years: 3", "after_years: 3\n    dates: [name]", "'name' is no date of 'account'"),
    ],
)
def test_a_rule_that_cannot_hold_is_told_with_its_line(silent, old, new, told):
    silent.replace("rollout.yaml", old, new)
    found = [finding for finding in check_project(silent.root / "rollout.yaml", environ={}) if finding.level == "error"]
    assert any(told in finding.message and "rollout.yaml:" in finding.where for finding in found)


def dormant(small, done):
    rows = pq.read_table(small.store.root / done["account"].dormant.file).to_pylist()
    return {row["_golden_key"]: row["choice"] for row in rows}


def test_a_choice_goes_along_when_a_record_goes_by_another_of_its_rows(silent):
    keep = (("*", "leave_out"), ("east:E4", "keep"))
    assert dormant(silent, cleanse(silent, *keep))["east:E4"] == "keep"
    code = "91110000600037341L"
    silent.accounts("E1|甲||东", "E2|乙||东", "E3|丙||东", f"E4|丁|{code}|", f"E5|丁二|{code}|东")
    after = cleanse(silent, *keep)
    assert dormant(silent, after) == {"east:E3": "leave_out", "east:E5": "keep"}
    assert "east:E5" in golden(silent, after)
    both = cleanse(silent, *keep, ("east:E5", "pool"))
    assert dormant(silent, both)["east:E5"] == "pool"


def dated(silent, kind, *days):
    silent.replace(
        "rollout.yaml", "      uscc: {type: uscc}\n", f"      uscc: {{type: uscc}}\n      seen: {{type: {kind}}}\n"
    )
    silent.replace("rollout.yaml", "    after_years: 3\n", "    after_years: 3\n    dates: [seen]\n")
    silent.replace("mappings/account.yaml", "source: 代码}\n", "source: 代码}\n  - {target: seen, source: 更新}\n")
    code = "91110000600037341L"
    rows = zip(("E1|甲||东", "E2|乙||东", "E3|丙||东", f"E4|丁|{code}|东", f"E5|丁二|{code}|"), days, strict=True)
    silent.write("east.csv", "编号|名称|代码|区域|更新", *(f"{row}|{day}" for row, day in rows))


def test_a_merged_row_that_was_touched_lately_is_a_sign_of_life(silent):
    dated(silent, "date", "", "", "", "2019-01-01", "2026-01-01")
    assert set(dormant(silent, cleanse(silent))) == {"east:E3"}


def test_the_day_of_an_instant_is_the_project_s_own(silent):
    """Cut-off 2023-07-01: half past midnight in Shanghai is the day before in UTC."""
    dated(silent, "datetime", "", "", "2023-07-01 00:30:00", "2023-06-30 23:30:00", "")
    assert set(dormant(silent, cleanse(silent))) == {"east:E4"}
