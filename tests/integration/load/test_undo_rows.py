"""Rows that take back what a load did, through intent, call, answer and probe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.connectors.base import RowResult, RowStatus
from rollout.connectors.memory import MemoryFault
from rollout.errors import Fatal, OutcomeUnknown
from rollout.load import inspecting, looking, sending
from rollout.load.plan import Action, PlannedRow

from ._rows import carry_out, known, lines, make_plan

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+8621000000{n:02}"} for n in range(6)}
CONTACTS = {"c:1": {"name": "Person 1", "account": "s:1"}, "c:2": {"name": "Person 2", "account": "s:2"}}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)
    monkeypatch.setattr(looking, "PROBE_WAIT_S", 0.05)
    monkeypatch.setattr(inspecting, "PAUSE_S", 0.01)


@pytest.fixture
def loaded(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    return bench


def deletion(record):
    return PlannedRow(
        record.migration_key, record.migration_key, Action.DELETE, old=record.values, target_id=record.target_id
    )


def deletions(bench, entity="account"):
    return [deletion(record) for record in bench.records(entity).values()]


def restored(record, action=Action.RESTORE, *, new, old, base=None):
    return PlannedRow(
        record.migration_key,
        record.migration_key,
        action,
        new=new,
        old=old,
        base=base or {},
        target_id=record.target_id,
    )


def key(bench, name, entity="account"):
    return bench.records(entity)[name].migration_key


# Deleting what a load created


def test_created_records_go_children_first_and_are_forgotten(loaded):
    plan = make_plan(loaded, {"contact": deletions(loaded, "contact"), "account": deletions(loaded)})
    assert carry_out(loaded, plan) == {"undone": 8}
    assert not loaded.records()
    assert not loaded.records("contact")
    assert not known(loaded)
    assert set(lines(loaded, plan).values()) == {("undone", None)}
    loaded.golden(ACCOUNTS, CONTACTS)
    assert loaded.plan_and_load().entities["account"].created == 6


def test_what_people_edited_or_linked_stays(loaded):
    plan = make_plan(loaded, {"contact": deletions(loaded, "contact"), "account": deletions(loaded)})
    edited, linked, gone = (key(loaded, f"Company {n}") for n in (3, 4, 5))
    loaded.edit("Company 3", note="typed")
    loaded.crm.add("contact", {"name": "Theirs", "account": loaded.records()["Company 4"].target_id}, user="sales")
    loaded.crm.remove("account", loaded.records()["Company 5"].target_id)
    assert carry_out(loaded, plan) == {"undone": 6, "kept": 2}
    found = lines(loaded, plan)
    assert found[edited] == ("kept", "edited_since")
    assert found[linked] == ("kept", "linked_since")
    assert found[gone] == ("undone", "already_gone")
    assert set(loaded.records()) == {"Company 3", "Company 4"}
    assert set(known(loaded)) == {edited, linked}


def test_the_parent_of_a_kept_child_stays(loaded):
    plan = make_plan(loaded, {"contact": deletions(loaded, "contact"), "account": deletions(loaded)})
    child = loaded.records("contact")["Person 1"]
    loaded.crm.edit("contact", child.target_id, {"name": "Person 1 B"}, user="sales")
    parent = key(loaded, "Company 1")
    carry_out(loaded, plan)
    assert lines(loaded, plan)[parent] == ("kept", "linked_since")


def test_a_parent_waits_for_children_that_are_still_to_go(loaded):
    plan = make_plan(loaded, {"account": deletions(loaded), "contact": deletions(loaded, "contact")})
    parents = {key(loaded, "Company 1"), key(loaded, "Company 2")}
    assert carry_out(loaded, plan) == {"undone": 6, "waiting": 2}
    assert {name for name, line in lines(loaded, plan).items() if line[0] == "waiting"} == parents
    assert carry_out(loaded, plan) == {"undone": 2}
    assert not loaded.records()


def test_a_link_made_between_look_and_call_keeps_the_record(loaded):
    plan = make_plan(loaded, {"contact": deletions(loaded, "contact"), "account": deletions(loaded)})
    write, parent = loaded.crm.write, loaded.records()["Company 3"]

    def link_first(entity, rows):
        if entity == "account" and not any(r.values["account"] == parent.target_id for r in theirs()):
            loaded.crm.add("contact", {"name": "Theirs", "account": parent.target_id}, user="sales")
        return write(entity, rows)

    def theirs():
        return list(loaded.crm.read_all("contact"))

    loaded.crm.write = link_first
    assert carry_out(loaded, plan) == {"undone": 7, "kept": 1}
    assert lines(loaded, plan)[parent.migration_key] == ("kept", "linked_since")


def test_an_edit_made_between_look_and_call_keeps_the_record(loaded):
    plan = make_plan(loaded, {"contact": deletions(loaded, "contact"), "account": deletions(loaded)})
    write, edited = loaded.crm.write, key(loaded, "Company 3")

    def edit_first(entity, rows):
        if entity == "account":
            loaded.crm.write = write
            loaded.edit("Company 3", note="typed")
        return write(entity, rows)

    loaded.crm.write = edit_first
    assert carry_out(loaded, plan) == {"undone": 7, "kept": 1}
    assert lines(loaded, plan)[edited] == ("kept", "edited_since")
    assert loaded.records()["Company 3"].values["note"] == "typed"


def test_nothing_is_deleted_where_nobody_can_tell_who_refers_to_it(loaded, monkeypatch):
    monkeypatch.setattr("rollout.phases.settle.link_reader", lambda _: None)
    plan = make_plan(loaded, {"account": deletions(loaded)})
    assert carry_out(loaded, plan) == {"kept": 6}
    assert set(lines(loaded, plan).values()) == {("kept", "links_unknown")}
    assert len(loaded.records()) == 6


def test_what_the_target_will_not_delete_stays_with_its_reason(loaded):
    plan = make_plan(loaded, {"account": [deletion(loaded.records()["Company 3"])]})
    loaded.crm.write = lambda _, rows: [
        RowResult(row.migration_key, RowStatus.REJECTED, None, "refused", "locked by the accountants") for row in rows
    ]
    assert carry_out(loaded, plan) == {"kept": 1}
    assert set(lines(loaded, plan).values()) == {("kept", "refused")}


def test_a_deletion_that_reads_do_not_show_is_not_believed(loaded):
    plan = make_plan(loaded, {"account": [deletion(loaded.records()["Company 3"])]})
    write = loaded.crm.write
    loaded.crm.write = lambda _, rows: [RowResult(row.migration_key, RowStatus.DELETED) for row in rows]
    assert carry_out(loaded, plan) == {"unknown": 1}
    assert set(lines(loaded, plan).values()) == {("unknown", "still_there")}
    loaded.crm.write = write
    assert carry_out(loaded, plan) == {"undone": 1}
    assert "Company 3" not in loaded.records()


@pytest.mark.parametrize("fault", list(MemoryFault))
@pytest.mark.parametrize("conditional", [True, False])
def test_a_fault_costs_no_row_of_an_undo(make_bench, fault, conditional):
    bench = make_bench(conditional_update=conditional)
    bench.crm.capabilities = replace(bench.crm.capabilities, call_timeout_s=0.02)
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    plan = make_plan(bench, {"account": deletions(bench)})
    bench.crm.fail_next(fault)
    carry_out(bench, plan)
    assert set(lines(bench, plan).values()) == {("undone", None)}
    assert not bench.records()


def test_a_crash_between_the_deletion_and_its_answer_costs_nothing(loaded):
    plan = make_plan(loaded, {"contact": deletions(loaded, "contact"), "account": deletions(loaded)})
    write, calls = loaded.crm.write, []

    def die_after(entity, rows):
        calls.append(write(entity, rows))
        raise Fatal("crash", where="here")

    loaded.crm.write = die_after
    with pytest.raises(Fatal):
        carry_out(loaded, plan)
    assert not loaded.records("contact")
    assert len(known(loaded, "contact")) == 2
    loaded.crm.write = write
    carry_out(loaded, plan)
    assert not known(loaded, "contact")
    assert not loaded.records()


# Putting fields back


def test_fields_go_back_and_so_does_what_the_plan_compares_with(loaded):
    record = loaded.records()["Company 1"]
    before = known(loaded)[record.migration_key]
    loaded.golden({**ACCOUNTS, "s:1": {**ACCOUNTS["s:1"], "phone": "+86new", "note": "n"}}, CONTACTS)
    loaded.plan_and_load()
    assert known(loaded)[record.migration_key] != before
    row = restored(
        record,
        new={"phone": record.values["phone"], "note": None},
        old={"phone": "+86new", "note": "n"},
        base={"phone": before["phone"], "note": before.get("note")},
    )
    plan = make_plan(loaded, {"account": [row]})
    assert carry_out(loaded, plan) == {"undone": 1}
    assert loaded.records()["Company 1"].values == record.values
    assert known(loaded)[record.migration_key] == before


@pytest.mark.parametrize("fault", [None, *MemoryFault])
def test_only_what_people_did_not_touch_goes_back(loaded, fault):
    record = loaded.records()["Company 1"]
    loaded.golden({**ACCOUNTS, "s:1": {**ACCOUNTS["s:1"], "phone": "+86new", "note": "n"}}, CONTACTS)
    loaded.plan_and_load()
    loaded.edit("Company 1", phone="+86typed")
    row = restored(
        record,
        new={"phone": record.values["phone"], "note": None},
        old={"phone": "+86new", "note": "n"},
        base={"phone": "before", "note": None},
    )
    sent = known(loaded)[record.migration_key]["phone"]
    plan = make_plan(loaded, {"account": [row]})
    if fault:
        loaded.crm.fail_next(fault)
    carry_out(loaded, plan)
    assert lines(loaded, plan)[record.migration_key] == ("undone", "partly_undone")
    values = loaded.records()["Company 1"].values
    assert (values["phone"], values["note"]) == ("+86typed", None)
    base = known(loaded)[record.migration_key]
    assert base["phone"] == sent
    assert "note" not in base


def test_a_record_whose_fields_people_all_changed_is_a_conflict(loaded):
    record = loaded.records()["Company 1"]
    loaded.edit("Company 1", phone="+86typed")
    row = restored(record, new={"phone": None}, old={"phone": record.values["phone"]})
    plan = make_plan(loaded, {"account": [row]})
    assert carry_out(loaded, plan) == {"conflict": 1}
    assert lines(loaded, plan)[record.migration_key] == ("conflict", "changed_since_load")
    assert loaded.records()["Company 1"].values["phone"] == "+86typed"


def test_a_record_that_is_gone_cannot_go_back(loaded):
    record = loaded.records()["Company 3"]
    plan = make_plan(loaded, {"account": [restored(record, new={"note": "x"}, old={"note": None})]})
    loaded.crm.remove("account", record.target_id)
    assert carry_out(loaded, plan) == {"conflict": 1}
    assert lines(loaded, plan)[record.migration_key] == ("conflict", "record_gone")


# Giving back what was adopted


@pytest.mark.parametrize("fault", [None, *MemoryFault])
def test_a_released_record_loses_our_key_and_what_we_filled_in(bench, fault):
    target_id = bench.crm.add("account", {"name": "Theirs"}, user="sales")
    adopted = PlannedRow("k1", "s:1", Action.ADOPT, new={"phone": "+86"}, old={"phone": None}, target_id=target_id)
    carry_out(bench, make_plan(bench, {"account": [adopted]}, kind="load"))
    assert set(known(bench)) == {"k1"}
    row = restored(bench.records()["Theirs"], Action.RELEASE, new={"phone": None}, old={"phone": "+86"})
    plan = make_plan(bench, {"account": [row]})
    if fault:
        bench.crm.fail_next(fault)
    carry_out(bench, plan)
    assert set(lines(bench, plan).values()) == {("undone", None)}
    record = bench.records()["Theirs"]
    assert (record.migration_key, record.values["phone"]) == (None, None)
    assert not known(bench)


def test_a_released_record_keeps_what_people_typed(bench):
    target_id = bench.crm.add("account", {"name": "Theirs"}, user="sales")
    adopted = PlannedRow("k1", "s:1", Action.ADOPT, new={"phone": "+86"}, old={"phone": None}, target_id=target_id)
    carry_out(bench, make_plan(bench, {"account": [adopted]}, kind="load"))
    bench.edit("Theirs", phone="+86typed")
    plan = make_plan(
        bench,
        {"account": [restored(bench.records()["Theirs"], Action.RELEASE, new={"phone": None}, old={"phone": "+86"})]},
    )
    carry_out(bench, plan)
    assert set(lines(bench, plan).values()) == {("undone", "partly_undone")}
    assert bench.records()["Theirs"].migration_key is None
    assert bench.records()["Theirs"].values["phone"] == "+86typed"


# What needs no call


def test_what_the_plan_keeps_or_skips_needs_no_call(loaded):
    record = loaded.records()["Company 1"]
    kept = PlannedRow(record.migration_key, "s:1", Action.KEEP, reason_code="edited_since", message="phone")
    skipped = PlannedRow("k2", "s:2", Action.SKIP)
    loaded.crm.write = loaded.crm.read_by_ids = loaded.crm.read_by_keys = None
    assert carry_out(loaded, plan := make_plan(loaded, {"account": [kept, skipped]})) == {"kept": 1, "skipped": 1}
    assert lines(loaded, plan) == {
        record.migration_key: ("kept", "edited_since"),
        "k2": ("skipped", "skipped_by_person"),
    }


# Adoption


def adoption(target_id, **new):
    return PlannedRow(
        "k1", "s:1", Action.ADOPT, new=new, old=dict.fromkeys(new), target_id=target_id, agreed={"name": "ours"}
    )


@pytest.mark.parametrize("fault", [None, *MemoryFault])
@pytest.mark.parametrize("unique", [True, False])
def test_an_adopted_record_takes_the_key_and_fills_its_empty_fields(make_bench, fault, unique):
    bench = make_bench(enforces_unique=unique)
    bench.crm.capabilities = replace(bench.crm.capabilities, call_timeout_s=0.02)
    target_id = bench.crm.add("account", {"name": "Theirs"}, user="sales")
    plan = make_plan(bench, {"account": [adoption(target_id, phone="+86", note="n")]}, kind="load")
    bench.edit("Theirs", note="typed since")
    if fault:
        bench.crm.fail_next(fault)
    carry_out(bench, plan)
    assert lines(bench, plan)["k1"] == ("adopted", "filled_meanwhile")
    record = bench.records()["Theirs"]
    assert (record.migration_key, record.values["phone"], record.values["note"]) == ("k1", "+86", "typed since")
    assert known(bench)["k1"].keys() == {"name", "phone", "note"}
    assert "|" not in known(bench)["k1"]["note"], "to the next plan it is a person's value"


def test_an_adopted_record_that_is_gone_or_another_s_is_a_conflict(bench):
    gone = bench.crm.add("account", {"name": "Gone"}, user="sales")
    plan = make_plan(bench, {"account": [adoption(gone)]}, kind="load")
    bench.crm.remove("account", gone)
    carry_out(bench, plan)
    assert lines(bench, plan)["k1"] == ("conflict", "record_gone")
    bench.golden({"s:1": {"name": "Ours"}})
    bench.plan_and_load()
    ours = bench.records()["Ours"]
    plan = make_plan(bench, {"account": [adoption(ours.target_id)]}, kind="load")
    carry_out(bench, plan)
    assert lines(bench, plan)["k1"] == ("conflict", "record_replaced")


@pytest.mark.parametrize("unique", [True, False])
def test_a_key_that_another_record_has_is_not_given_away_twice(make_bench, unique):
    bench = make_bench(enforces_unique=unique)
    bench.crm.add("account", {"name": "Theirs"}, user="sales")
    bench.golden({"s:1": {"name": "Ours"}})
    bench.plan_and_load()
    ours, theirs = bench.records()["Ours"], bench.records()["Theirs"]
    row = adoption(theirs.target_id)._replace(migration_key=ours.migration_key)
    plan = make_plan(bench, {"account": [row]}, kind="load")
    carry_out(bench, plan)
    assert lines(bench, plan)[ours.migration_key] == ("conflict", "key_exists")
    assert bench.records()["Theirs"].migration_key is None


def test_an_update_of_the_key_that_the_target_drops_is_noticed(bench):
    target_id = bench.crm.add("account", {"name": "Theirs"}, user="sales")
    plan = make_plan(bench, {"account": [adoption(target_id, note="n")]}, kind="load")
    bench.crm.write = lambda _, rows: [RowResult(row.migration_key, RowStatus.UPDATED) for row in rows]
    carry_out(bench, plan)
    assert lines(bench, plan)["k1"] == ("conflict", "key_not_stored")
    assert not known(bench)


def test_an_open_row_of_an_undo_is_settled_by_looking(loaded):
    plan = make_plan(loaded, {"account": [deletion(loaded.records()["Company 3"])]})
    write = loaded.crm.write

    def swallow(entity, rows):
        write(entity, rows)
        raise OutcomeUnknown("no answer")

    loaded.crm.write = swallow
    crash = loaded.crm.read_by_ids
    calls = []

    def die_second(*given):
        calls.append(given)
        if len(calls) == 2:
            raise Fatal("crash", where="here")
        return crash(*given)

    loaded.crm.read_by_ids = die_second
    with pytest.raises(Fatal):
        carry_out(loaded, plan)
    loaded.crm.read_by_ids, loaded.crm.write = crash, write
    other = make_plan(loaded, {"account": []})
    carry_out(loaded, other)
    assert set(lines(loaded, plan).values()) == {("undone", None)}
