"""Taking back records that refer to each other, or that syncs linked something to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from rollout.connectors.base import Op, WriteRow
from rollout.journal.crypto import canonical_json
from rollout.journal.syncs import CarriedRecord, Syncs
from rollout.load import inspecting, looking, sending
from rollout.phases import undo_plan
from rollout.phases.approve import approve
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo

from ._projects import with_rules
from .conftest import ACCOUNT, CONTACT

ORDER = {"order_no": {}, "account": {"type": "reference", "references": "account"}, "remark": {}}
TODO = {"subject": {}, "order": {"type": "reference", "references": "order"}}
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)
    monkeypatch.setattr(looking, "PROBE_WAIT_S", 0.05)
    monkeypatch.setattr(inspecting, "PAUSE_S", 0.01)


def undo(bench, **options):
    plan = plan_undo(bench.context, **({"wave": "all"} | options))
    approve(bench.context, person="tester", code=bench.code, reason="back again", plan_id=plan.plan_id)
    return run_undo(bench.context)


def changed(bench, change):
    """Change the project's document."""
    project = bench.context.project
    document = project.spec.model_dump()
    change(document)
    bench.context = replace(bench.context, project=replace(project, spec=type(project.spec).model_validate(document)))


@pytest.fixture
def synced(make_bench):
    """Two accounts, each with an order that a sync carried."""
    bench = make_bench(entities={"account": ACCOUNT, "contact": CONTACT, "order": ORDER, "todo": TODO})

    def add_sync(document):
        document["systems"]["erp"] = {"connector": "erp_testbed"}
        document["integration"] = {
            "syncs": {
                "orders": {
                    "system": "erp",
                    "stream": "orders",
                    "entity": "order",
                    "key_prefix": "erp:",
                    "fields": {"order_no": "order_no"},
                    "references": {"account": "customer_no"},
                }
            }
        }

    changed(bench, add_sync)
    bench.golden({f"s:{n}": {"name": f"Company {n}"} for n in (1, 2)}, {"c:1": {"name": "P", "account": "s:1"}})
    bench.plan_and_load()
    journal = bench.context.journal
    syncs = Syncs(journal.project_id, "test")
    for n in (1, 2):
        values = {"order_no": f"O{n}", "account": bench.records()[f"Company {n}"].target_id}
        [done] = bench.crm.write("order", [WriteRow(f"erp:O{n}", Op.CREATE, values)])
        digest = journal.ledger_sealer().digest(canonical_json(values))
        with journal.transaction() as connection:
            syncs.remember(
                connection, "orders", [CarriedRecord(f"O{n}", "order", f"erp:O{n}", done.target_id, digest, NOW)], NOW
            )
            syncs.advance(connection, "orders", "cursor-7", NOW)
    return bench


def carried(bench):
    with bench.context.journal.transaction() as connection:
        return (
            set(connection.execute(text("SELECT source_id FROM sync_record")).scalars()),
            list(connection.execute(text("SELECT cursor FROM sync_cursor")).scalars()),
        )


def orders(bench):
    return {record.values["order_no"]: record for record in bench.crm.read_all("order")}


def test_what_our_sync_linked_goes_along_and_comes_again(synced):
    done = undo(synced)
    assert (done.deleted, done.kept, done.syncs_reset) == (5, 0, ("orders",))
    assert not synced.records()
    assert not orders(synced)
    assert carried(synced) == (set(), [])


def test_an_order_that_people_worked_on_stays_with_its_account(synced):
    synced.crm.edit("order", orders(synced)["O1"].target_id, {"remark": "called them"}, user="sales")
    done = undo(synced)
    assert (done.deleted, done.kept) == (3, 1)
    assert list(synced.records()) == ["Company 1"]
    assert list(orders(synced)) == ["O1"]
    assert carried(synced) == ({"O1"}, [])
    assert [(record.reason, record.fields) for record in done.kept_records] == [("linked_since", ("order",))]


def test_an_order_that_people_linked_something_to_stays_with_its_account(synced):
    synced.crm.add("todo", {"subject": "call", "order": orders(synced)["O2"].target_id}, user="sales")
    done = undo(synced)
    assert (done.deleted, done.kept) == (3, 1)
    assert list(synced.records()) == ["Company 2"]
    assert list(orders(synced)) == ["O2"]


def test_what_our_sync_linked_to_a_record_that_stays_stays_with_it(synced):
    account = synced.records()["Company 1"].target_id
    synced.crm.add("contact", {"name": "Theirs", "account": account}, user="sales")
    done = undo(synced)
    assert (done.deleted, done.kept) == (3, 1)
    assert list(orders(synced)) == ["O1"]
    assert carried(synced)[0] == {"O1"}


def test_an_order_whose_carried_field_was_changed_stays(synced):
    synced.crm.edit("order", orders(synced)["O1"].target_id, {"order_no": "O1-b"}, user="sales")
    assert undo(synced).kept == 1
    assert set(orders(synced)) == {"O1-b"}


def test_without_a_way_to_tell_links_nothing_that_we_created_is_deleted(make_bench, monkeypatch):
    bench = make_bench()
    bench.golden({"s:1": {"name": "Company 1"}})
    bench.plan_and_load()
    monkeypatch.setattr(undo_plan, "LinkReader", type("Nobody", (), {}))
    done = undo(bench)
    assert (done.deleted, done.kept) == (0, 1)
    assert done.kept_records[0].reason == "links_unknown"


def test_a_target_that_deletes_nothing_still_takes_its_fields_back(make_bench):
    bench = make_bench()
    object.__setattr__(bench.crm.capabilities, "can_delete", False)
    bench.golden({"s:1": {"name": "Company 1", "note": "a"}})
    bench.plan_and_load()
    bench.golden({"s:1": {"name": "Company 1", "note": "b"}})
    bench.plan_and_load()
    done = undo(bench)
    assert (done.deleted, done.restored, done.kept) == (0, 0, 1)
    assert bench.records()["Company 1"].values["note"] == "a"


def test_a_child_that_goes_back_to_its_earlier_parent_does_not_keep_the_later_one(make_bench):
    bench = make_bench()
    bench.golden({"s:1": {"name": "Company 1"}}, {"c:1": {"name": "P", "account": "s:1"}})
    bench.plan_and_load()
    bench.golden({"s:1": {"name": "Company 1"}, "s:2": {"name": "New"}}, {"c:1": {"name": "P", "account": "s:2"}})
    second = bench.plan_and_load().plan_id
    done = undo(bench, wave=None, run=second)
    assert (done.deleted, done.restored, done.kept) == (1, 1, 0)
    assert list(bench.records()) == ["Company 1"]
    assert bench.records("contact")["P"].values["account"] == bench.records()["Company 1"].target_id


@pytest.fixture
def with_parents(make_bench):
    """Accounts that refer to accounts."""
    account = {**ACCOUNT, "parent": {"type": "reference", "references": "account"}}
    bench = make_bench(entities={"account": account, "contact": CONTACT})
    changed(bench, lambda document: document["entities"]["account"]["fields"].update(parent=account["parent"]))
    return bench


def test_a_record_given_back_to_people_does_not_keep_the_parent_that_we_gave_it(with_parents):
    bench = with_parents
    with_rules(bench, account={"adopt_by": [["name"]]})
    theirs = bench.crm.add("account", {"name": "Theirs", "phone": None, "parent": None}, user="sales")
    bench.golden({"s:1": {"name": "Parent"}, "s:2": {"name": "Theirs", "parent": "s:1"}})
    assert bench.plan_and_load().entities["account"].adopted == 1
    assert bench.records()["Theirs"].values["parent"] == bench.records()["Parent"].target_id
    done = undo(bench)
    assert (done.state, done.deleted, done.released, done.kept, done.open) == ("applied", 1, 1, 0, 0)
    [left] = bench.records().values()
    assert (left.target_id, left.migration_key, left.values["parent"]) == (theirs, None, None)


def test_a_record_that_goes_back_to_its_earlier_parent_does_not_keep_the_later_one(with_parents):
    bench = with_parents
    bench.golden({"s:1": {"name": "Earlier"}, "s:2": {"name": "Child", "parent": "s:1"}})
    bench.plan_and_load()
    bench.golden({"s:1": {"name": "Earlier"}, "s:2": {"name": "Child", "parent": "s:3"}, "s:3": {"name": "Later"}})
    second = bench.plan_and_load().plan_id
    done = undo(bench, wave=None, run=second)
    assert (done.state, done.deleted, done.restored, done.kept, done.open) == ("applied", 1, 1, 0, 0)
    assert set(bench.records()) == {"Earlier", "Child"}
    assert bench.records()["Child"].values["parent"] == bench.records()["Earlier"].target_id


def test_a_parent_that_a_record_taken_back_refers_to_all_the_same_stays(with_parents):
    bench = with_parents
    bench.golden({"s:1": {"name": "Child", "note": "a"}})
    bench.plan_and_load()
    bench.golden({"s:1": {"name": "Child", "note": "b"}, "s:2": {"name": "Parent"}})
    second = bench.plan_and_load().plan_id
    plan = plan_undo(bench.context, run=second)
    approve(bench.context, person="tester", code=bench.code, reason="back again", plan_id=plan.plan_id)
    held = bench.records()
    bench.crm.edit("account", held["Child"].target_id, {"parent": held["Parent"].target_id}, user="sales")
    done = run_undo(bench.context)
    assert (done.state, done.deleted, done.restored, done.kept, done.open) == ("applied", 0, 1, 1, 0)
    assert [record.reason for record in done.kept_records] == ["linked_since"]
    assert bench.records()["Child"].values["note"] == "a"


def test_records_that_refer_to_each_other_go_in_whatever_order(with_parents):
    bench = with_parents
    # A row of owners, and two that own each other.
    rows = {f"s:{n}": {"name": f"Company {n}", "parent": f"s:{n - 1}" if n else None} for n in range(6)}
    rows |= {"s:a": {"name": "A", "parent": "s:b"}, "s:b": {"name": "B", "parent": "s:a"}}
    bench.golden(rows)
    assert bench.plan_and_load().entities["account"].created == 8
    done = undo(bench)
    assert (done.state, done.deleted, done.kept, done.open) == ("applied", 8, 0, 0)
    assert not bench.records()


def test_what_people_typed_into_a_field_that_the_project_does_not_have_is_seen(make_bench):
    theirs = {"name": ACCOUNT["name"], "phone": ACCOUNT["phone"], "remark": ACCOUNT["note"], "extra": {}}
    bench = make_bench(entities={"account": theirs, "contact": CONTACT})
    changed(bench, lambda document: document["entities"]["account"]["fields"]["note"].update(target_name="remark"))
    bench.golden({f"s:{n}": {"name": f"Company {n}", "note": "ours"} for n in (1, 2)})
    assert bench.plan_and_load().entities["account"].created == 2
    bench.crm.edit("account", bench.records()["Company 1"].target_id, {"extra": "typed"}, user="sales")
    done = undo(bench)
    assert (done.deleted, done.kept) == (1, 1)
    assert done.kept_records[0].fields == (":extra",)
    assert list(bench.records()) == ["Company 1"]
