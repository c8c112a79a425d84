"""Taking loads back: planned, approved and applied, and nothing of people's work lost."""

from __future__ import annotations

import csv

import pytest
from sqlalchemy import text

from rollout.connectors.memory import MemoryFault
from rollout.errors import ApprovalError, ConfigError, DriftError
from rollout.journal import decisions
from rollout.load import batch_journal, inspecting, looking, sending
from rollout.phases.approve import approve
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo

from ._projects import with_rules

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+8621000000{n:02}"} for n in range(12)}
CONTACTS = {f"c:{n}": {"name": f"Person {n}", "account": f"s:{n % 12}"} for n in range(18)}


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


def planned(bench, **options):
    """Plan an undo and approve it."""
    if "run" not in options:
        options.setdefault("wave", "all")
    plan = plan_undo(bench.context, **options)
    approve(bench.context, person="tester", code=bench.code, reason="back again", plan_id=plan.plan_id)
    return plan


def undo(bench, **options):
    planned(bench, **options)
    return run_undo(bench.context)


def delta(bench, accounts):
    """Load what changed in the sources; answers the plan's id."""
    bench.golden(accounts, CONTACTS)
    return bench.plan_and_load().plan_id


def test_a_load_goes_back_wholly(loaded):
    plan = planned(loaded)
    assert (plan.deleted, plan.restored, plan.kept, plan.conflicts) == (30, 0, 0, 0)
    assert plan.window_ends_at is None
    assert len(loaded.records()) == 12, "planning changes nothing"
    done = run_undo(loaded.context)
    assert (done.state, done.deleted, done.kept, done.conflicts, done.open) == ("applied", 30, 0, 0, 0)
    assert not loaded.records()
    assert not loaded.records("contact")
    table = loaded.context.journal.accounting("test")
    assert [(line.skipped, line.undone, line.accounted) for line in table] == [(12, 12, True), (18, 18, True)]


def test_applying_it_again_changes_nothing(loaded):
    first = undo(loaded)
    again = run_undo(loaded.context)
    assert (again.state, again.deleted, again.rows) == ("already_applied", first.deleted, 0)


def test_after_an_undo_the_load_can_come_again_and_go_again(loaded):
    keys = {record.migration_key for record in loaded.records().values()}
    undo(loaded)
    assert loaded.plan_and_load().entities["account"].created == 12
    assert {record.migration_key for record in loaded.records().values()} == keys
    assert undo(loaded).deleted == 30
    assert not loaded.records()


def test_what_people_edited_linked_or_deleted_is_left_and_told(loaded):
    accounts = loaded.records()
    loaded.edit("Company 1", note="typed by hand")
    theirs = loaded.crm.add("contact", {"name": "Theirs", "account": accounts["Company 2"].target_id}, user="sales")
    loaded.crm.remove("contact", loaded.records("contact")["Person 3"].target_id)
    plan = planned(loaded)
    assert plan.kept == 2
    assert plan.reasons == {"edited_since": 1, "linked_since": 1}
    loaded.edit("Company 4", phone="+861")  # between plan and undo
    done = run_undo(loaded.context)
    assert (done.deleted, done.already_gone, done.kept) == (27, 1, 3)
    assert sorted(loaded.records()) == ["Company 1", "Company 2", "Company 4"]
    assert loaded.records()["Company 1"].values["note"] == "typed by hand"
    assert list(loaded.records("contact")) == ["Theirs"]
    assert loaded.records("contact")["Theirs"].target_id == theirs
    told = {record.title: (record.reason, record.fields) for record in done.kept_records}
    assert told == {
        "Company 1": ("edited_since", ("note",)),
        "Company 2": ("linked_since", ("contact",)),
        "Company 4": ("edited_since", ("phone",)),
    }
    assert "typed by hand" not in done.model_dump_json()
    with (loaded.context.project.workspace.root / done.file).open(encoding="utf-8-sig") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["kept"] * 3


def test_a_kept_record_keeps_what_it_refers_to(loaded):
    loaded.crm.edit("contact", loaded.records("contact")["Person 5"].target_id, {"name": "Renamed"}, user="sales")
    done = undo(loaded)
    assert (done.deleted, done.kept) == (28, 2)
    assert list(loaded.records()) == ["Company 5"]


def test_a_kept_record_can_go_later(loaded):
    theirs = loaded.crm.add(
        "contact", {"name": "Theirs", "account": loaded.records()["Company 2"].target_id}, user="sales"
    )
    assert undo(loaded).kept == 1
    loaded.crm.remove("contact", theirs)
    done = undo(loaded)
    assert (done.deleted, done.kept) == (1, 0)
    assert not loaded.records()


def test_a_wave_goes_back_with_its_deltas(loaded):
    delta(loaded, {**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}, "s:99": {"name": "New", "phone": None}})
    done = undo(loaded)
    assert (done.deleted, done.kept) == (31, 0)
    assert not loaded.records()


def test_the_last_load_goes_back_alone(loaded):
    before = loaded.records()
    run = delta(
        loaded, {**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610", "note": "x"}, "s:99": {"name": "N"}}
    )
    done = undo(loaded, run=run)
    assert (done.deleted, done.restored, done.kept) == (1, 1, 0)
    after = loaded.records()
    assert {name: record.values for name, record in after.items()} == {n: r.values for n, r in before.items()}
    plan = loaded.plan()  # the merge base is as it was, too: the sources' change is to be loaded again
    assert (plan.entities["account"].update, plan.entities["account"].create) == (1, 1)
    assert plan.entities["account"].fields == {"note": 1, "phone": 1}


def test_an_earlier_load_goes_only_with_the_later_ones(loaded):
    with loaded.context.journal.transaction() as connection:
        first = connection.execute(text("SELECT plan_id FROM plan")).scalar_one()
    second = delta(loaded, {**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}})
    with pytest.raises(ApprovalError, match=f"1 by plan {second}") as refused:
        plan_undo(loaded.context, run=first)
    assert "--through" in refused.value.hint
    done = undo(loaded, run=first, through=True)
    assert (done.deleted, done.kept) == (30, 0)


def test_a_run_is_known_by_its_id_and_by_that_of_its_plan(loaded):
    run = loaded.context.journal.latest_run("load")
    assert plan_undo(loaded.context, run=run.run_id).plans == (run.summary["plan_id"],)
    assert plan_undo(loaded.context, run=run.summary["plan_id"]).deleted == 30
    with pytest.raises(ConfigError, match="no load of target") as unknown:
        plan_undo(loaded.context, run="nothing")
    assert run.summary["plan_id"] in unknown.value.hint


def test_only_fields_that_nobody_touched_go_back(loaded):
    run = delta(
        loaded,
        {
            **ACCOUNTS,
            "s:1": {"name": "Company 1", "phone": "+8610", "note": "ours"},
            "s:2": {"name": "Company 2", "phone": "+8620"},
        },
    )
    loaded.edit("Company 1", phone="+861")
    loaded.edit("Company 2", phone="+862")
    plan = planned(loaded, run=run)
    assert (plan.restored, plan.conflicts) == (2, 2)
    done = run_undo(loaded.context)
    assert (done.restored, done.conflicts) == (1, 2)
    records = loaded.records()
    assert (records["Company 1"].values["phone"], records["Company 1"].values["note"]) == ("+861", None)
    assert records["Company 2"].values["phone"] == "+862"
    told = {record.title: (record.reason, record.fields) for record in done.conflict_records}
    assert told == {
        "Company 1": ("partly_undone", ("phone",)),
        "Company 2": ("changed_since_load", ("phone",)),
    }


def test_an_edit_between_our_writes_comes_back(loaded):
    loaded.edit("Company 1", note="typed")
    delta(loaded, {**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}})
    done = undo(loaded)
    assert (done.deleted, done.kept) == (29, 1)
    assert loaded.records()["Company 1"].values["note"] == "typed"
    assert loaded.records()["Company 1"].values["phone"] == ACCOUNTS["s:1"]["phone"]


def test_what_people_had_made_is_given_back(bench):
    with_rules(bench, account={"adopt_by": [["name"]]})
    theirs = bench.crm.add("account", {"name": "Company 3", "note": "by hand"}, user="sales")
    bench.golden(ACCOUNTS)
    loaded = bench.plan_and_load().entities["account"]
    assert loaded.adopted == 1
    done = undo(bench)
    assert (done.deleted, done.released, done.kept) == (11, 1, 0)
    record = bench.records()["Company 3"]
    assert (record.target_id, record.migration_key, record.values["phone"]) == (theirs, None, None)


@pytest.mark.parametrize("fault", [MemoryFault.LOST_ANSWER, MemoryFault.LOST_CALL, MemoryFault.BUSY])
def test_a_fault_during_load_or_undo_costs_nothing(make_bench, fault):
    bench = make_bench(max_batch_rows=7)
    object.__setattr__(bench.crm.capabilities, "call_timeout_s", 0.05)
    bench.golden(ACCOUNTS, CONTACTS)
    bench.crm.fail_next(fault)
    bench.plan_and_load()
    planned(bench)
    bench.crm.fail_next(fault, fault)
    done = run_undo(bench.context)
    assert (done.state, done.deleted, done.kept) == ("applied", 30, 0)
    assert not bench.records()


def test_what_a_person_typed_before_a_lost_answer_was_found_is_no_work_of_ours(make_bench, monkeypatch):
    bench = make_bench(max_batch_rows=50)
    bench.golden({"s:1": {"name": "Company 1"}})
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
    bench.edit("Company 1", note="typed before we looked again")
    assert bench.load().entities["account"].created == 1
    done = undo(bench)
    assert (done.deleted, done.kept) == (0, 1)
    assert bench.records()["Company 1"].values["note"] == "typed before we looked again"


def test_an_interrupted_undo_goes_on(make_bench, monkeypatch):
    bench = make_bench(max_batch_rows=4, concurrency=1)
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    plan = planned(bench)
    calls = []
    write = type(bench.crm).write

    def dies(self, entity, rows):
        calls.append(entity)
        if len(calls) == 6:
            write(self, entity, rows)
            raise KeyboardInterrupt
        return write(self, entity, rows)

    with monkeypatch.context() as patch:
        patch.setattr(type(bench.crm), "write", dies)
        with pytest.raises(KeyboardInterrupt):
            run_undo(bench.context)
    with pytest.raises(ApprovalError, match="has begun and is not finished"):
        bench.plan()
    with pytest.raises(ApprovalError, match="has begun and is not finished"):
        plan_undo(bench.context, wave="all")
    done = run_undo(bench.context)
    assert (done.plan_id, done.state, done.deleted, done.kept) == (plan.plan_id, "applied", 30, 0)
    assert not bench.records()


def test_nothing_is_applied_that_was_not_approved(loaded):
    with pytest.raises(ApprovalError, match="no undo is approved"):
        run_undo(loaded.context)
    plan = plan_undo(loaded.context, wave="all")
    with pytest.raises(ApprovalError, match="not approved"):
        run_undo(loaded.context, plan_id=plan.plan_id)
    with pytest.raises(ConfigError, match="no undo of target"):
        run_undo(loaded.context, plan_id="nothing")


def test_a_row_that_was_altered_after_the_approval_stops_it(loaded):
    planned(loaded)
    with loaded.context.journal.transaction() as connection:
        connection.execute(text("UPDATE plan_row SET action = 'delete', digest = 'x' WHERE action = 'delete'"))
    with pytest.raises(DriftError, match="not those that were approved"):
        run_undo(loaded.context)


def test_a_load_does_not_go_on_once_it_is_being_taken_back(loaded):
    loaded.golden({**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}}, CONTACTS)
    loaded.plan()
    loaded.approve()
    undo(loaded)
    with pytest.raises(ApprovalError, match="no plan is approved"):
        loaded.load()


def test_what_was_loaded_since_the_undo_was_planned_refuses_it(loaded):
    loaded.golden({**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}}, CONTACTS)
    loaded.plan()
    loaded.approve()
    planned(loaded)
    loaded.load()
    with pytest.raises(DriftError, match="was loaded into"):
        run_undo(loaded.context)
    assert undo(loaded).deleted == 30


def go(bench, phase, *, is_go=True):
    return decisions.record(
        bench.context.journal,
        phase=phase,
        wave="all",
        is_go=is_go,
        is_override=False,
        person="tester",
        reason="ready",
        gates={},
    )


def test_the_window_ends_for_plans_and_for_what_is_not_begun(loaded, monkeypatch):
    planned(loaded)
    go(loaded, "golive")
    with loaded.context.journal.transaction() as connection:
        connection.execute(text("UPDATE run SET ended_at = ended_at - interval '80 hours'"))
        connection.execute(text("UPDATE decision SET at = at - interval '71 hours'"))
    plan = plan_undo(loaded.context, wave="all")
    assert plan.window_ends_at is not None
    approve(loaded.context, person="tester", code=loaded.code, reason="back again", plan_id=plan.plan_id)
    with loaded.context.journal.transaction() as connection:
        connection.execute(text("UPDATE decision SET at = at - interval '2 hours'"))
    with pytest.raises(ApprovalError, match="too late"):
        run_undo(loaded.context)
    with pytest.raises(ApprovalError, match="too late"):
        plan_undo(loaded.context, wave="all")
    assert len(loaded.records()) == 12


def test_a_rehearsal_is_measured_and_judged(loaded):
    plan = planned(loaded, rehearse=True)
    assert plan.rehearse
    done = run_undo(loaded.context)
    assert done.gate is not None
    assert done.gate.verdict == "PASS"
    assert {found.metric: found.observed for found in done.gate.criteria}["undo_left"] == 0
    assert loaded.context.journal.latest_gate("undo") == done.gate


def test_a_rehearsal_that_leaves_something_fails(loaded):
    loaded.edit("Company 1", note="typed")
    assert undo(loaded, rehearse=True).gate.verdict == "FAIL"


def test_nothing_is_rehearsed_where_users_are_at_work(loaded):
    go(loaded, "golive")
    with pytest.raises(ApprovalError, match="at work"):
        plan_undo(loaded.context, wave="all", rehearse=True)
    go(loaded, "golive", is_go=False)
    assert plan_undo(loaded.context, wave="all", rehearse=True).deleted == 30
