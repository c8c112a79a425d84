"""Plan, approve, load against a real journal and the reference target."""

from __future__ import annotations

import csv

import pytest
from sqlalchemy import text

from rollout.connectors.memory import MemoryFault
from rollout.errors import ApprovalError, ConfigError, DriftError, LeaseHeld, Retryable
from rollout.journal.leases import hold
from rollout.load import looking, sending

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+8621000000{n:02}"} for n in range(30)}
CONTACTS = {f"c:{n}": {"name": f"Person {n}", "account": f"s:{n % 30}"} for n in range(45)}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)


def test_everything_is_created_once_with_its_relations(bench):
    bench.golden(ACCOUNTS, CONTACTS, merged={"s:dup": "s:1"})
    summary = bench.plan_and_load()
    account, contact = summary.entities["account"], summary.entities["contact"]
    assert (account.source, account.created, account.merged) == (31, 30, 1)
    assert (contact.source, contact.created) == (45, 45)
    assert summary.accounted
    assert summary.closed
    assert summary.state == "applied"
    accounts, contacts = bench.records(), bench.records("contact")
    for row in CONTACTS.values():
        parent = accounts[ACCOUNTS[row["account"]]["name"]]
        assert contacts[row["name"]].values["account"] == parent.target_id


def test_loading_an_applied_plan_again_changes_nothing(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    before = bench.records()
    again = bench.load()
    assert again.state == "already_applied"
    assert again.entities["account"].unchanged == 30
    assert again.accounted
    assert bench.records() == before


def test_a_second_plan_finds_everything_unchanged(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    plan = bench.plan()
    assert plan.entities["account"].unchanged == 30
    assert plan.entities["contact"].unchanged == 45
    assert plan.calls == 0
    bench.approve()
    summary = bench.load()
    assert summary.entities["contact"].unchanged == 45
    assert summary.closed


def test_a_changed_source_updates_only_what_changed(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({**ACCOUNTS, "s:3": {"name": "Company 3", "phone": "+8610111"}})
    plan = bench.plan()
    assert plan.entities["account"].update == 1
    assert plan.entities["account"].fields == {"phone": 1}
    bench.approve()
    summary = bench.load()
    assert (summary.entities["account"].updated, summary.entities["account"].unchanged) == (1, 29)
    assert bench.records()["Company 3"].values["phone"] == "+8610111"


def test_what_people_typed_stays_and_a_double_change_is_a_conflict(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.edit("Company 1", phone="+861")
    bench.edit("Company 2", phone="+862")
    bench.golden({**ACCOUNTS, "s:2": {"name": "Company 2", "phone": "+863"}})
    plan = bench.plan()
    assert plan.entities["account"].kept == {"phone": 1}
    assert plan.entities["account"].conflicts == {"changed_on_both_sides": 1}
    bench.approve()
    summary = bench.load()
    assert (summary.entities["account"].conflict, summary.entities["account"].unchanged) == (1, 29)
    assert bench.records()["Company 1"].values["phone"] == "+861"
    assert bench.records()["Company 2"].values["phone"] == "+862"


def test_a_field_that_moved_since_the_plan_is_a_conflict_and_the_others_go_on(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({key: {**row, "note": "new"} for key, row in ACCOUNTS.items()})
    bench.plan()
    bench.approve()
    bench.edit("Company 5", note="typed in between")
    bench.edit("Company 6", note="new")
    bench.edit("Company 7", phone="+867")
    summary = bench.load()
    account = summary.entities["account"]
    assert (account.updated, account.unchanged, account.conflict) == (28, 1, 1)
    assert bench.records()["Company 5"].values["note"] == "typed in between"
    assert bench.records()["Company 7"].values["phone"] == "+867"
    assert summary.reasons["account"] == {"conflict/changed_since_plan": 1}


def test_a_record_deleted_by_people_is_not_made_again(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.crm.remove("account", bench.records()["Company 4"].target_id)
    plan = bench.plan()
    assert plan.entities["account"].conflicts == {"record_gone": 1}


@pytest.mark.parametrize("fault", [MemoryFault.LOST_ANSWER, MemoryFault.LOST_CALL, MemoryFault.BUSY])
@pytest.mark.parametrize("unique", [True, False])
def test_a_fault_costs_no_row_and_makes_no_duplicate(make_bench, fault, unique, monkeypatch):
    bench = make_bench(max_batch_rows=7, enforces_unique=unique)
    object.__setattr__(bench.crm.capabilities, "call_timeout_s", 0.05)
    bench.golden(ACCOUNTS, CONTACTS)
    bench.crm.fail_next(fault, fault)
    summary = bench.plan_and_load()
    assert summary.closed
    assert summary.entities["account"].created == 30
    assert len(bench.records()) == 30
    assert len(bench.records("contact")) == 45


def test_a_target_that_stays_busy_stops_the_load_and_the_next_run_ends_it(bench):
    bench.golden(ACCOUNTS)
    bench.crm.fail_next(*[MemoryFault.BUSY] * 3)
    bench.plan()
    bench.approve()
    with pytest.raises(Retryable, match="busy"):
        bench.load()
    summary = bench.load()
    assert summary.state == "applied"
    assert summary.entities["account"].created == 30


def test_a_rejected_row_leaves_its_children_waiting_and_the_phase_open(bench):
    bench.golden({**ACCOUNTS, "s:0": {"name": "Company 0", "note": "far too long for this field"}}, CONTACTS)
    summary = bench.plan_and_load()
    assert (summary.entities["account"].created, summary.entities["account"].rejected) == (29, 1)
    assert summary.entities["contact"].waiting == 2
    assert summary.accounted
    assert not summary.closed
    assert summary.state == "loading"
    assert summary.reasons["contact"] == {"waiting/parent_not_loaded": 2}
    again = bench.load()
    assert again.entities["contact"].waiting == 2
    assert again.entities["contact"].created == 43


def test_nothing_runs_without_an_approval_of_exactly_this_plan(bench):
    bench.golden(ACCOUNTS)
    with pytest.raises(ApprovalError, match="no plan is approved"):
        bench.load()
    bench.plan()
    with pytest.raises(ApprovalError, match="no plan is approved"):
        bench.load()
    bench.approve()
    bench.plan()  # takes the place of the approved one
    with pytest.raises(ApprovalError, match="no plan is approved"):
        bench.load()
    assert not bench.records()


def test_a_wrong_code_approves_nothing(bench):
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.code = "guess"
    with pytest.raises(ApprovalError, match="do not belong together"):
        bench.approve()


def test_a_plan_altered_after_its_approval_is_refused(bench):
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    with bench.context.journal.transaction() as connection:
        connection.execute(text("UPDATE plan_row SET digest = 'other' WHERE ordinal = 3"))
    with pytest.raises(DriftError, match="not those that were approved"):
        bench.load()
    assert not bench.records()


def test_a_payload_exchanged_after_the_approval_does_not_open(bench):
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    with bench.context.journal.transaction() as connection:
        connection.execute(
            text(
                "UPDATE plan_row SET payload = (SELECT payload FROM plan_row WHERE entity = 'account' AND ordinal = 4)"
                " WHERE entity = 'account' AND ordinal = 3"
            )
        )
    with pytest.raises(ConfigError, match="altered or moved"):
        bench.load()


def test_a_source_changed_since_the_plan_is_named(bench):
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    bench.touch_source()
    with pytest.raises(DriftError, match=r"source 'accounts'.*accounts\.csv"):
        bench.load()
    with pytest.raises(ConfigError, match="changed since the last cleansing"):
        bench.plan()


def test_a_second_load_is_told_who_is_at_it(bench):
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    with hold(bench.context.journal, "load test"), pytest.raises(LeaseHeld, match=r"process \d+ on"):
        bench.load()
    with hold(bench.context.journal, "load test"), pytest.raises(LeaseHeld):
        bench.plan()
    assert bench.load().state == "applied"


def test_an_intent_without_outcome_is_probed_not_repeated(bench):
    """As after a crash between the call and its journalled outcome."""
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    with bench.context.journal.transaction() as connection:
        connection.execute(
            text("UPDATE row_state SET state = 'intent', target_id = NULL, after_image = NULL, ended_at = NULL")
        )
        connection.execute(text("UPDATE plan SET state = 'loading'"))
        connection.execute(text("DELETE FROM target_record"))
    summary = bench.load()
    assert summary.entities["account"].created == 30
    assert len(bench.records()) == 30


def test_a_new_plan_settles_what_an_interrupted_load_left(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    with bench.context.journal.transaction() as connection:
        connection.execute(
            text("UPDATE row_state SET state = 'intent', target_id = NULL, after_image = NULL, ended_at = NULL")
        )
        connection.execute(text("UPDATE plan SET state = 'loading'"))
        connection.execute(text("DELETE FROM target_record"))
    for name in list(bench.records())[:10]:
        bench.crm.remove("account", bench.records()[name].target_id)
    plan = bench.plan()
    assert (plan.entities["account"].unchanged, plan.entities["account"].create) == (20, 10)


def test_two_loaded_records_that_matching_joins_are_left_to_a_person(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({key: row for key, row in ACCOUNTS.items() if key != "s:9"}, merged={"s:9": "s:8"})
    plan = bench.plan()
    assert plan.entities["account"].conflicts == {"cluster_joined": 1}
    bench.approve()
    summary = bench.load()
    assert (summary.entities["account"].conflict, summary.entities["account"].merged) == (1, 1)
    assert summary.closed


def test_matching_may_change_its_mind_before_anything_is_loaded(bench):
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.golden({key: row for key, row in ACCOUNTS.items() if key != "s:9"}, merged={"s:9": "s:8"})
    plan = bench.plan()
    assert plan.entities["account"].create == 29
    assert plan.entities["account"].conflict == 0


def test_a_cluster_that_is_parted_after_loading_is_left_to_a_person(bench):
    bench.golden({key: row for key, row in ACCOUNTS.items() if key != "s:9"}, merged={"s:9": "s:8"})
    bench.plan_and_load()
    bench.golden(ACCOUNTS)
    plan = bench.plan()
    assert plan.entities["account"].conflicts == {"cluster_split": 2}


def test_the_plan_file_lists_every_field_that_changes(bench):
    bench.golden({"s:1": {"name": "=cmd()", "phone": "+8621"}})
    plan = bench.plan()
    path = bench.context.project.workspace.root / plan.file
    [row] = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    assert (row["action"], row["new"]) == ("create", "name: =cmd(); phone: +8621")
    assert path.stat().st_mode & 0o077 == 0
    bench.approve()
    bench.load()
    bench.golden({"s:1": {"name": "=other()", "phone": "+8621"}})
    path = bench.context.project.workspace.root / bench.plan().file
    [row] = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    assert (row["field"], row["old"], row["new"]) == ("name", "'=cmd()", "'=other()")


def test_no_personal_value_lies_open_in_the_journal(bench):
    bench.golden({"s:1": {"name": "Very Secret Name", "phone": "+8613812345678"}})
    bench.plan_and_load()
    with bench.context.journal.transaction() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
        for table in list(tables):
            for row in connection.execute(text(f"SELECT t::text FROM {table} t")).scalars():
                assert "Very Secret" not in row
                assert "13812345678" not in row
                assert b"Very Secret".hex() not in row
