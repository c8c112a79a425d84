"""Customers that come back as another row while their own is held back or gone: never made a second time."""

from __future__ import annotations

import pytest

from rollout.phases.load import run_load
from rollout.phases.rejects import export_rejects
from rollout.phases.rejects_import import import_rejects
from tests.integration.load._matched import ACCOUNTS, CONTACTS, matched_by
from tests.integration.load._sheet import Sheet


@pytest.fixture
def bench(make_bench):
    return matched_by(make_bench(), "phone")


def without(rows, *keys):
    return {key: row for key, row in rows.items() if key not in keys}


def test_a_row_that_joins_while_its_record_s_own_is_held_back_goes_on_as_that_record(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    before = bench.records()["Company 1"]
    bench.edit("Company 1", note="typed by sales")
    new = {**ACCOUNTS["s:1"], "name": "Company One"}
    people = {**without(CONTACTS, "c:1"), "c:9": {"name": "Person 9", "account": "t:1"}}
    bench.golden({**without(ACCOUNTS, "s:1"), "t:1": new}, people)
    plan = bench.plan().entities["account"]
    assert (plan.create, plan.adopt, plan.update, plan.unchanged) == (0, 0, 1, 5)
    assert (plan.fields, plan.kept) == ({"name": 1}, {"note": 1})  # what people typed is still told from ours
    bench.approve()
    assert bench.load().closed
    after = bench.records()["Company One"]
    assert (after.target_id, after.migration_key) == (before.target_id, before.migration_key)
    assert len(bench.records()) == 6
    assert bench.records("contact")["Person 9"].values["account"] == after.target_id


def test_the_repaired_row_finds_its_record_again(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({**without(ACCOUNTS, "s:1"), "t:1": ACCOUNTS["s:1"]})
    assert bench.plan_and_load().entities["account"].unchanged == 6
    bench.golden(without(ACCOUNTS, "s:1") | {"t:1": ACCOUNTS["s:1"]}, merged={"s:1": "t:1"})
    plan = bench.plan().entities["account"]
    assert (plan.unchanged, plan.conflict) == (6, 0)
    # Where the two are not one after all, both rows mean the same record: a person decides.
    bench.golden({**ACCOUNTS, "t:1": {**ACCOUNTS["s:1"], "phone": "+862199999999"}})
    assert bench.plan().entities["account"].conflicts == {"cluster_split": 2}


def test_two_rows_that_could_be_the_record_are_left_to_a_person(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({**without(ACCOUNTS, "s:1"), "t:1": ACCOUNTS["s:1"], "t:2": ACCOUNTS["s:1"]})
    plan = bench.plan().entities["account"]
    assert (plan.create, plan.conflicts) == (0, {"adoption_ambiguous": 2})


def test_a_record_whose_row_still_stands_for_it_is_nobody_else_s(bench):
    """Matching left the two apart, so they are two: only deserted records are taken over."""
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({**ACCOUNTS, "t:1": {**ACCOUNTS["s:1"], "name": "Company 1b"}})
    plan = bench.plan().entities["account"]
    assert (plan.create, plan.unchanged) == (1, 6)


def test_a_record_that_people_deleted_is_not_gone_on_with(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.crm.remove("account", bench.records()["Company 1"].target_id)
    bench.golden({**without(ACCOUNTS, "s:1"), "t:1": ACCOUNTS["s:1"]})
    plan = bench.plan().entities["account"]
    assert (plan.create, plan.unchanged) == (1, 5)


def test_the_one_that_a_person_names_goes_on_as_the_record_and_the_other_is_made_anew(bench, tmp_path):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    before = bench.records()["Company 1"]
    twin = {**ACCOUNTS["s:1"], "name": "Company 1b"}
    bench.golden({**without(ACCOUNTS, "s:1"), "t:1": ACCOUNTS["s:1"], "t:2": twin})
    bench.plan_and_load()
    export_rejects(bench.context, tmp_path / "queue.xlsx")
    sheet = Sheet(tmp_path / "queue.xlsx")
    sheet.fill("t:1", action="已存在(ID)", target_id=before.target_id)
    sheet.fill("t:2", action="用旧值")
    import_rejects(bench.context, sheet.save(), person="tester", code=bench.code, reason="called them both")
    run_load(bench.context, retry=True)
    assert len(bench.records()) == 7
    # Keys stay as they are while a plan is finished; the next one lets the row go on as the record.
    summary = bench.plan_and_load()
    assert summary.closed
    assert bench.records()["Company 1"].migration_key == before.migration_key
    again = bench.plan().entities["account"]
    assert (again.unchanged, again.conflict) == (7, 0)
