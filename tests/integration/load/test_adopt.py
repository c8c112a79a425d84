"""Records that people entered before the load: found, adopted with what they typed, or left to a person."""

from __future__ import annotations

import csv

import pytest

from rollout.connectors.memory import MemoryConnector
from tests.integration.load._matched import ACCOUNTS, CONTACTS, matched_by
from tests.integration.load._projects import with_rules


@pytest.fixture
def bench(make_bench):
    return matched_by(make_bench(), "phone", "name")


def lines(bench, plan):
    with (bench.context.project.workspace.root / plan.file).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_record_that_people_entered_becomes_ours_with_what_they_typed(bench):
    entered = bench.crm.add("account", {"name": "Company 1", "phone": None, "note": "typed by sales"}, user="sales")
    bench.golden(ACCOUNTS, CONTACTS)
    plan = bench.plan()
    account = plan.entities["account"]
    assert (account.adopt, account.create, account.fields, account.kept) == (1, 5, {"phone": 1}, {"note": 1})
    told = [(line["action"], line["field"], line["new"]) for line in lines(bench, plan) if line["key"] == "s:1"]
    assert told == [("adopt", "phone", "'+862161234001"), ("kept", "note", "")]
    bench.approve()
    summary = bench.load()
    assert (summary.entities["account"].adopted, summary.entities["account"].created) == (1, 5)
    assert summary.closed
    record = bench.records()["Company 1"]
    assert record.target_id == entered
    assert record.migration_key is not None
    assert record.values == {"name": "Company 1", "phone": "+862161234001", "note": "typed by sales"}
    assert len(bench.records()) == 6
    assert bench.records("contact")["Person 1"].values["account"] == entered


def test_after_an_adoption_there_is_nothing_left_to_do_and_theirs_is_never_overwritten_silently(bench):
    bench.crm.add("account", {"name": "Company 1", "note": "typed by sales"}, user="sales")
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    again = bench.plan().entities["account"]
    assert (again.unchanged, again.kept, again.conflict) == (6, {}, 0)
    bench.golden({**ACCOUNTS, "s:1": {**ACCOUNTS["s:1"], "note": "newer"}})
    newer = bench.plan().entities["account"]
    assert newer.conflicts == {"changed_on_both_sides": 1}


def test_cleansed_values_are_compared_not_spellings(bench):
    bench.crm.add("account", {"name": "  Company  3 ", "phone": "021-61234099"}, user="sales")
    bench.golden({**ACCOUNTS, "s:3": {"name": "Other name", "phone": "+862161234099"}})
    assert bench.plan().entities["account"].adopt == 1


def test_what_could_be_several_is_left_to_a_person(bench):
    bench.crm.add("account", {"name": "Company 1"}, user="sales")
    bench.crm.add("account", {"name": "Somebody", "phone": ACCOUNTS["s:1"]["phone"]}, user="sales")
    bench.crm.add("account", {"name": "Company 2", "phone": ACCOUNTS["s:4"]["phone"]}, user="sales")
    bench.golden(ACCOUNTS)
    plan = bench.plan().entities["account"]
    assert plan.conflicts == {"adoption_ambiguous": 3}, "one of two, and two of one"
    assert (plan.adopt, plan.create) == (0, 3)
    bench.approve()
    summary = bench.load()
    assert summary.entities["account"].conflict == 3
    assert summary.closed
    assert len(list(bench.crm.read_all("account"))) == 3 + 3


def test_children_are_found_by_the_parent_that_is_adopted_with_them(bench):
    parent = bench.crm.add("account", {"name": "Company 1"}, user="sales")
    child = bench.crm.add("contact", {"name": "Person 1", "account": parent}, user="sales")
    bench.crm.add("contact", {"name": "Person 2", "account": parent}, user="sales")
    bench.golden(ACCOUNTS, CONTACTS)
    plan = bench.plan()
    assert (plan.entities["contact"].adopt, plan.entities["contact"].create) == (1, 5)
    bench.approve()
    assert bench.load().entities["contact"].adopted == 1
    adopted = [record for record in bench.crm.read_all("contact") if record.target_id == child]
    assert adopted[0].migration_key is not None


def test_a_later_delta_adopts_what_was_entered_since(bench):
    first = dict(list(ACCOUNTS.items())[:3])
    bench.golden(first)
    bench.plan_and_load()
    bench.crm.remove("account", bench.records()["Company 0"].target_id)
    bench.crm.add("account", {"name": "Company 5"}, user="sales")
    bench.golden(ACCOUNTS)
    plan = bench.plan().entities["account"]
    assert (plan.adopt, plan.create, plan.conflicts) == (1, 2, {"record_gone": 1})


def test_fields_may_be_named_by_which_records_are_adopted(make_bench):
    bench = make_bench()
    with_rules(bench, account={"adopt_by": [["name", "phone"]], "keys": [{"name": "phone", "fields": ["phone"]}]})
    bench.crm.add("account", {"name": "Company 1", "phone": ACCOUNTS["s:1"]["phone"]}, user="sales")
    bench.crm.add("account", {"name": "Another", "phone": ACCOUNTS["s:2"]["phone"]}, user="sales")
    bench.golden(ACCOUNTS)
    assert bench.plan().entities["account"].adopt == 1


def test_the_target_is_not_read_through_where_nothing_can_be_adopted(bench, monkeypatch):
    def refuse(*_):
        raise AssertionError("the whole target was read")

    monkeypatch.setattr(MemoryConnector, "read_all", refuse)
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan()
    bench.approve()
    bench.load()
    assert bench.plan().entities["account"].unchanged == 6


def test_a_record_edited_between_plan_and_load_keeps_what_was_typed(bench):
    entered = bench.crm.add("account", {"name": "Company 1"}, user="sales")
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    bench.crm.edit("account", entered, {"phone": "+86755"}, user="sales")
    assert bench.load().entities["account"].adopted == 1
    assert bench.records()["Company 1"].values == {"name": "Company 1", "phone": "+86755", "note": "ours"}
    again = bench.plan().entities["account"]
    assert (again.unchanged, again.update, again.kept) == (6, 0, {"phone": 1})
