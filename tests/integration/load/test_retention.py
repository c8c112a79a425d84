"""What was kept to take loads back goes when their time is over, and nothing before."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from rollout.errors import ApprovalError, ConfigError
from rollout.journal import audit_trail, decisions
from rollout.journal.plans import Plans
from rollout.phases.approve import approve
from rollout.phases.delta import run_delta
from rollout.phases.rejects import export_rejects, list_rejects
from rollout.phases.retention import run_retention
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo
from rollout.phases.verify import run_verify

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+8621000000{n:02}"} for n in range(5)}


@pytest.fixture
def loaded(bench):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    return bench


def go(bench, *, hours_ago, is_go=True):
    journal = bench.context.journal
    decisions.record(
        journal,
        phase="golive",
        wave="all",
        is_go=is_go,
        is_override=False,
        person="tester",
        reason="ready",
        gates={},
    )
    with journal.transaction() as connection:
        connection.execute(
            text(
                "UPDATE decision SET at = at - make_interval(hours => :hours)"
                " WHERE seq = (SELECT max(seq) FROM decision)"
            ),
            {"hours": hours_ago},
        )


def age(bench, hours):
    """Let the loads have ended, and the plans have been made, that long ago."""
    with bench.context.journal.transaction() as connection:
        connection.execute(text("UPDATE run SET ended_at = ended_at - make_interval(hours => :h)"), {"h": hours})
        connection.execute(text("UPDATE plan SET created_at = created_at - make_interval(hours => :h)"), {"h": hours})


def plan_ids(bench):
    with bench.context.journal.transaction() as connection:
        return list(connection.execute(text("SELECT plan_id FROM plan ORDER BY seq")).scalars())


def test_nothing_goes_before_users_are_in(loaded):
    age(loaded, 500)
    summary = run_retention(loaded.context)
    assert summary.destroyed == ()
    assert summary.kept == {"before_go": tuple(plan_ids(loaded))}


def test_images_go_after_the_window_and_the_record_of_it_stays(loaded):
    age(loaded, 100)
    go(loaded, hours_ago=71)
    summary = run_retention(loaded.context)
    assert list(summary.kept) == ["window"]
    assert summary.next_at is not None
    go(loaded, hours_ago=73)  # the series of goes began with the first: that is still the one that counts
    assert list(run_retention(loaded.context).kept) == ["window"]
    with loaded.context.journal.transaction() as connection:
        connection.execute(text("UPDATE decision SET at = at - interval '2 hours'"))
    summary = run_retention(loaded.context)
    [gone] = summary.destroyed
    assert (gone.plan_id, gone.rows, gone.images) == (plan_ids(loaded)[0], 5, 5)
    journal = loaded.context.journal
    with journal.transaction() as connection:
        plan = Plans(journal.project_id).get(connection, gone.plan_id)
        entry = connection.execute(text("SELECT action, subject, detail FROM audit ORDER BY seq DESC LIMIT 1")).one()
        assert audit_trail.broken_at(connection, journal.project_id) is None
    assert (entry.action, entry.subject, entry.detail["images"]) == ("retention.destroyed", gone.plan_id, 5)
    with pytest.raises(ConfigError, match="was destroyed"):
        journal.sealer(plan.key_id)
    with pytest.raises(ApprovalError, match="too late"):
        plan_undo(loaded.context, wave="all")
    assert run_retention(loaded.context).destroyed == ()
    assert journal.accounting("test")[0].created == 5, "figures outlive the values"


def test_a_later_load_has_a_window_of_its_own_and_goes_back_alone(loaded):
    age(loaded, 100)
    go(loaded, hours_ago=90)
    loaded.golden({**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}})
    second = loaded.plan_and_load().plan_id
    summary = run_retention(loaded.context)
    assert [plan.plan_id for plan in summary.destroyed] == plan_ids(loaded)[:1]
    assert summary.kept == {"window": (second,)}
    with pytest.raises(ApprovalError, match="too late") as refused:
        plan_undo(loaded.context, wave="all")
    assert second in refused.value.hint
    planned = plan_undo(loaded.context, run=second)
    assert (planned.restored, planned.conflicts) == (1, 0)


def test_what_is_under_way_keeps_its_values(loaded):
    age(loaded, 100)
    go(loaded, hours_ago=90)
    loaded.golden({**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}})
    waiting = loaded.plan().plan_id
    age(loaded, 100)
    summary = run_retention(loaded.context)
    assert summary.kept == {"under_way": (waiting,)}


def test_users_who_were_sent_away_again_start_no_window(loaded):
    age(loaded, 100)
    go(loaded, hours_ago=90)
    go(loaded, hours_ago=89, is_go=False)
    assert list(run_retention(loaded.context).kept) == ["before_go"]


def test_an_undo_still_tells_what_it_left_once_its_values_are_destroyed(loaded):
    loaded.edit("Company 1", note="typed")
    plan = plan_undo(loaded.context, wave="all")
    approve(loaded.context, person="tester", code=loaded.code, reason="back again", plan_id=plan.plan_id)
    done = run_undo(loaded.context)
    go(loaded, hours_ago=100)
    age(loaded, 100)
    assert {found.kind for found in run_retention(loaded.context).destroyed} == {"load", "undo"}
    again = run_undo(loaded.context)
    assert (again.state, again.deleted, again.kept) == ("already_applied", 4, 1)
    assert again.kept_records == done.kept_records


def test_the_queue_and_the_verification_go_on_once_values_are_destroyed(loaded, tmp_path):
    loaded.edit("Company 1", phone="+8619")
    loaded.golden({**ACCOUNTS, "s:1": {"name": "Company 1", "phone": "+8610"}})
    run_delta(loaded.context)
    loaded.approve()
    assert loaded.load().entities["account"].conflict == 1
    before = list_rejects(loaded.context)
    go(loaded, hours_ago=100)
    age(loaded, 100)
    assert len(run_retention(loaded.context).destroyed) == 2
    assert list_rejects(loaded.context) == before
    assert export_rejects(loaded.context, tmp_path / "queue.xlsx") is not None
    loaded.edit("Company 2", phone="+8629")
    assert run_verify(loaded.context).entities["account"].reconciliation.observed == len(ACCOUNTS)
