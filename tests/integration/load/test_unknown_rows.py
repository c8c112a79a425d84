"""Rows whose outcome only a person can tell: landed, resend, abandon."""

from __future__ import annotations

import pytest

from rollout.errors import OutcomeUnknown
from rollout.load import inspecting, looking, sending
from rollout.model.target import RowResult, RowStatus
from rollout.phases.approve import approve
from rollout.phases.load import run_load
from rollout.phases.rejects import export_rejects, list_rejects
from rollout.phases.rejects_import import import_rejects
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo
from tests.integration.load._sheet import Sheet

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}"} for n in range(4)}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)
    monkeypatch.setattr(looking, "PROBE_WAIT_S", 0.02)
    monkeypatch.setattr(inspecting, "PAUSE_S", 0.01)


@pytest.fixture
def lost(make_bench):
    """A load whose first answer was lost, into a target that may commit an hour later."""
    bench = make_bench(enforces_unique=False, max_batch_rows=1)
    object.__setattr__(bench.crm.capabilities, "max_commit_delay_s", 3600.0)
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    write = bench.crm.write

    def swallow(entity, rows):
        if any(row.values["name"] == "Company 2" for row in rows):
            raise OutcomeUnknown("no answer")
        return write(entity, rows)

    bench.crm.write = swallow
    bench.load()
    bench.crm.write = write
    return bench


def decide(bench, tmp_path, key="s:2", **cells):
    path = tmp_path / "queue.xlsx"
    export_rejects(bench.context, path)
    sheet = Sheet(path)
    sheet.fill(key, **cells)
    return import_rejects(bench.context, sheet.save(), person="tester", code=bench.code, reason="looked it up")


def account(bench):
    return bench.context.journal.accounting("test")[0]


def test_it_waits_in_the_queue_with_what_can_be_decided(lost):
    [row] = list_rejects(lost.context).listed
    assert (row.key, row.state, row.reason_code) == ("s:2", "unknown", "no_answer")
    assert row.choices == ("landed", "resend", "abandon")


def test_landed_names_the_record_and_closes_the_load(lost, tmp_path):
    entered = lost.crm.add("account", {"name": "Company 2"}, user="migration")
    done = decide(lost, tmp_path, action="已落地", target_id=entered)
    assert (done.decisions, done.plan_id) == ({"landed": 1}, None)
    assert (account(lost).created, account(lost).closed) == (4, True)
    assert lost.load().state == "already_applied"


def test_landed_needs_an_id_that_is_there(lost, tmp_path):
    assert "needs the ID" in decide(lost, tmp_path, action="已落地").problems[0].message
    assert (
        "the CRM has no account 'nowhere'"
        in decide(lost, tmp_path, action="已落地", target_id="nowhere").problems[0].message
    )
    other = lost.records()["Company 1"].target_id
    assert "belongs to another" in decide(lost, tmp_path, action="已落地", target_id=other).problems[0].message
    assert account(lost).unknown == 1


def test_resent_rows_come_with_the_next_retry(lost, tmp_path):
    done = decide(lost, tmp_path, action="重发")
    assert (done.approved, done.entities["account"].create) == (True, 1)
    summary = run_load(lost.context, retry=True)
    assert (summary.entities["account"].created, summary.closed) == (4, True)
    assert len(lost.records()) == 4


def test_an_abandoned_row_is_never_sent_again(lost, tmp_path):
    decide(lost, tmp_path, action="放弃")
    assert (account(lost).skipped, account(lost).undone, account(lost).closed) == (1, 0, True)
    plan = lost.plan()
    assert (plan.entities["account"].skip, plan.entities["account"].unchanged) == (1, 3)


def test_a_row_that_a_later_plan_left_out_can_be_decided_as_well(lost, tmp_path):
    lost.plan()
    lost.approve()
    assert lost.load().reasons == {"account": {"conflict/outcome_unknown": 1}}
    done = decide(lost, tmp_path, action="重发")
    assert done.entities["account"].create == 1
    assert run_load(lost.context, retry=True).entities["account"].created == 1


def test_what_became_of_an_undo_is_decided_too(make_bench, tmp_path):
    bench = make_bench(max_batch_rows=1, conditional_update=False)
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    plan = plan_undo(bench.context, wave="all")
    approve(bench.context, person="tester", code=bench.code, reason="back again", plan_id=plan.plan_id)
    write, kept = bench.crm.write, bench.records()["Company 2"].migration_key

    def only_say_so(entity, rows):
        if rows[0].migration_key == kept:
            return [RowResult(kept, RowStatus.DELETED, rows[0].target_id)]
        return write(entity, rows)

    bench.crm.write = only_say_so
    object.__setattr__(bench.crm.capabilities, "max_commit_delay_s", 3600.0)
    run_undo(bench.context)
    bench.crm.write = write
    assert account(bench).unknown == 1
    done = decide(bench, tmp_path, action="放弃")
    assert done.decisions == {"abandon": 1}
    assert (account(bench).undone, account(bench).created, account(bench).closed) == (3, 1, True)


def test_a_row_that_a_retry_lost_is_sent_again_too(make_bench, tmp_path):
    bench = make_bench(enforces_unique=False, max_batch_rows=1)
    object.__setattr__(bench.crm.capabilities, "max_commit_delay_s", 3600.0)
    bench.golden({**ACCOUNTS, "s:2": {"name": "Company 2", "note": "much longer than twenty characters"}})
    bench.plan_and_load()
    decide(bench, tmp_path, action="重试", new_value="short")
    write = bench.crm.write

    def swallow(entity, rows):
        raise OutcomeUnknown("no answer")

    bench.crm.write = swallow
    run_load(bench.context, retry=True)
    bench.crm.write = write
    assert account(bench).unknown == 1
    done = decide(bench, tmp_path, action="重发")
    assert (done.approved, done.entities["account"].create) == (True, 1)
    summary = run_load(bench.context, retry=True)
    assert (summary.entities["account"].created, summary.closed) == (4, True)
    assert bench.records()["Company 2"].values["note"] == "short"


def test_a_row_of_a_known_record_cannot_have_landed_as_another(make_bench, tmp_path):
    bench = make_bench(max_batch_rows=1, conditional_update=False)
    object.__setattr__(bench.crm.capabilities, "max_commit_delay_s", 3600.0)
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({**ACCOUNTS, "s:2": {"name": "Company 2", "note": "new"}})
    bench.plan()
    bench.approve()
    write = bench.crm.write

    def swallow(entity, rows):
        raise OutcomeUnknown("no answer")

    bench.crm.write = swallow
    bench.load()
    bench.crm.write = write
    other = bench.crm.add("account", {"name": "Somebody else"}, user="sales")
    [problem] = decide(bench, tmp_path, action="已落地", target_id=other).problems
    assert "is record" in problem.message
    ours = bench.records()["Company 2"].target_id
    assert decide(bench, tmp_path, action="已落地", target_id=ours).decisions == {"landed": 1}


def test_a_row_that_exists_is_sent_again_as_that_record(make_bench, tmp_path):
    bench = make_bench(max_batch_rows=1, conditional_update=False)
    object.__setattr__(bench.crm.capabilities, "max_commit_delay_s", 3600.0)
    bench.golden({**ACCOUNTS, "s:2": {"name": "Company 2", "note": "much longer than twenty characters"}})
    bench.plan_and_load()
    entered = bench.crm.add("account", {"name": "Company 2", "note": "by hand"}, user="sales")
    decide(bench, tmp_path, action="已存在(ID)", target_id=entered)
    write = bench.crm.write

    def swallow(entity, rows):
        raise OutcomeUnknown("no answer")

    bench.crm.write = swallow
    run_load(bench.context, retry=True)
    bench.crm.write = write
    assert account(bench).unknown == 1
    assert decide(bench, tmp_path, action="重发").entities["account"].adopt == 1
    summary = run_load(bench.context, retry=True)
    assert (summary.entities["account"].adopted, summary.closed) == (1, True)
    assert bench.records()["Company 2"].target_id == entered
