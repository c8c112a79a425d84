"""Undo before and after everything else: adoptions, deltas, crashes and other undos."""

from __future__ import annotations

import pytest

from rollout.connectors.memory import MemoryConnector
from rollout.errors import ConfigError
from rollout.load import batch_journal
from rollout.phases.approve import approve
from rollout.phases.delta import run_delta
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo

from . import conftest
from ._projects import with_rules

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+8621000000{n:02}"} for n in range(4)}
CONTACTS = {f"c:{n}": {"name": f"Person {n}", "account": f"s:{n}"} for n in range(4)}


@pytest.fixture
def loaded(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    return bench


def undo(bench, *, run=None):
    plan = plan_undo(bench.context, run=run) if run else plan_undo(bench.context, wave="all")
    approve(bench.context, person="tester", code=bench.code, reason="back again", plan_id=plan.plan_id)
    return run_undo(bench.context)


def delta(bench, accounts, contacts=CONTACTS):
    """Load what changed; answers the plan's id."""
    bench.golden(accounts, contacts)
    run_delta(bench.context)
    bench.approve()
    return bench.load().plan_id


def test_a_reference_that_an_adoption_filled_goes_back(monkeypatch, make_bench):
    monkeypatch.setitem(conftest.CONTACT, "account", {"type": "reference", "references": "account"})
    bench = make_bench()
    with_rules(bench, contact={"adopt_by": [["name"]]})
    bench.crm.add("contact", {"name": "Person 1"}, user="sales")
    bench.golden(ACCOUNTS, CONTACTS)
    assert bench.plan_and_load().entities["contact"].adopted == 1
    assert bench.records("contact")["Person 1"].values["account"] is not None
    done = undo(bench)
    assert (done.deleted, done.released, done.kept) == (7, 1, 0)
    (person,) = bench.records("contact").values()
    assert person.values == {"name": "Person 1", "account": None}
    assert not bench.records(), "nothing refers to the account any more"


def test_a_reference_goes_back_though_its_call_was_lost_and_people_changed_other_fields(monkeypatch, make_bench):
    monkeypatch.setitem(conftest.CONTACT, "note", {})
    bench = make_bench()
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    bench.golden(ACCOUNTS, {**CONTACTS, "c:1": {"name": "Person 1", "account": "s:2", "note": "ours"}})
    bench.plan()
    bench.approve()

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(batch_journal.BatchJournal, "close", killed)
        with pytest.raises(Killed):
            bench.load()
    person = bench.records("contact")["Person 1"]
    assert person.values["account"] == bench.records()["Company 2"].target_id
    bench.crm.edit("contact", person.target_id, {"note": "typed"}, user="sales")
    load = bench.load()
    assert load.reasons["contact"] == {"conflict/neither_old_nor_new": 1}
    done = undo(bench, run=load.plan_id)
    assert (done.restored, done.conflicts) == (1, 1)
    assert [record.fields for record in done.conflict_records] == [("note",)]
    first = bench.records()["Company 1"].target_id
    assert bench.records("contact")["Person 1"].values == {"name": "Person 1", "account": first, "note": "typed"}


def test_what_was_taken_back_already_is_not_taken_back_again(loaded):
    first = loaded.context.journal.latest_run("load").summary["plan_id"]
    undo(loaded)
    with pytest.raises(ConfigError, match="nothing that plan"):
        plan_undo(loaded.context, wave="all")
    loaded.plan_and_load()
    with pytest.raises(ConfigError, match=f"nothing that plan {first}"):
        plan_undo(loaded.context, run=first)
    assert undo(loaded).deleted == 8


def test_a_delta_tells_what_stands_as_loaded_once_an_undo_took_the_last_one_back(loaded):
    last = delta(loaded, {**ACCOUNTS, "s:2": {"name": "Company 2", "phone": "+8610"}})
    undo(loaded, run=last)
    loaded.golden(ACCOUNTS, CONTACTS)
    (plan,) = run_delta(loaded.context).plans
    assert (plan.entities["account"].unchanged, plan.calls) == (4, 0)
    loaded.approve()
    load = loaded.load()
    assert load.closed
    assert (load.entities["account"].unchanged, load.entities["account"].skipped) == (4, 0)
    assert run_delta(loaded.context).plans == ()


def test_load_and_delta_and_undo_in_turn_lose_nothing_that_people_typed(loaded):
    undo(loaded)
    loaded.plan_and_load()
    loaded.edit("Company 1", note="typed")
    newer = {name: {**row, "phone": "+8610"} for name, row in ACCOUNTS.items()}
    last = delta(loaded, newer)
    assert undo(loaded, run=last).restored == 4
    assert loaded.records()["Company 1"].values == {**ACCOUNTS["s:1"], "note": "typed"}
    assert delta(loaded, newer) != last
    done = undo(loaded)
    assert (done.deleted, done.kept) == (7, 1)
    assert list(loaded.records()) == ["Company 1"]
    assert loaded.records()["Company 1"].values == {**ACCOUNTS["s:1"], "note": "typed"}
    load = loaded.plan_and_load()
    assert (load.accounted, load.closed, len(loaded.records())) == (True, True, 4)
    assert loaded.records()["Company 1"].values == {"name": "Company 1", "phone": "+8610", "note": "typed"}


def test_adoptions_come_and_go_as_often_as_wanted(bench):
    with_rules(bench, account={"adopt_by": [["name"]]})
    theirs = bench.crm.add("account", {"name": "Company 3", "note": "by hand"}, user="sales")
    bench.golden({**ACCOUNTS, "s:3": {**ACCOUNTS["s:3"], "note": "ours"}}, CONTACTS)
    for _ in range(2):
        assert bench.plan_and_load().entities["account"].adopted == 1
        assert undo(bench).released == 1
        (record,) = bench.records().values()
        assert (record.target_id, record.values) == (theirs, {"name": "Company 3", "phone": None, "note": "by hand"})
    bench.plan_and_load()
    bench.edit("Company 3", phone="+8619")
    assert undo(bench).conflicts == 1
    assert bench.plan_and_load().entities["account"].adopted == 1
    assert bench.records()["Company 3"].values["phone"] == "+8619"


def test_what_a_source_owned_field_overwrote_comes_back(make_bench):
    bench = make_bench(max_read_keys=1, max_batch_rows=3, concurrency=1)
    with_rules(bench, account={"ownership": {"phone": "source", "note": "crm"}})
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    bench.edit("Company 1", phone="+8600", note="typed")
    delta(bench, {**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8611", "note": "newer"}})
    assert bench.records()["Company 1"].values == {"name": "Company 1", "phone": "+8611", "note": "typed"}
    assert undo(bench).kept == 1
    assert bench.records()["Company 1"].values == {"name": "Company 1", "phone": "+8600", "note": "typed"}


@pytest.mark.parametrize("is_adopted_later", [False, True])
def test_what_an_adoption_filled_goes_back_though_the_record_did_not_take_our_key(bench, monkeypatch, is_adopted_later):
    with_rules(bench, account={"adopt_by": [["name"]]})
    bench.crm.add("account", {"name": "Company 3", "note": "by hand"}, user="sales")
    bench.golden(ACCOUNTS)
    update = MemoryConnector._update

    def drops_the_key(connector, entity, table, row):
        result = update(connector, entity, table, row)
        stored = table.records[row.target_id]
        table.keys[stored.migration_key].remove(stored.target_id)
        stored.migration_key = None
        return result

    with monkeypatch.context() as patch:
        patch.setattr(MemoryConnector, "_update", drops_the_key)
        assert bench.plan_and_load().reasons["account"] == {"conflict/key_not_stored": 1}
    if is_adopted_later:
        assert bench.plan_and_load().entities["account"].adopted == 1
    assert undo(bench).released == 1
    (record,) = bench.records().values()
    assert (record.migration_key, record.values) == (None, {"name": "Company 3", "phone": None, "note": "by hand"})
