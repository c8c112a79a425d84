"""Delta: what changed on either side since the load, any number of times, and never over people's work."""

from __future__ import annotations

import csv

import pytest
from sqlalchemy import text

from rollout.errors import ApprovalError, ConfigError
from rollout.journal import crosswalk, row_decisions
from rollout.journal.plans import Plans
from rollout.journal.row_decisions import RowDecision
from rollout.model.choice import Choice
from rollout.phases.delta import run_delta
from tests.integration.load._projects import with_rules

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+862161234{n:03}", "note": "ours"} for n in range(6)}
CONTACTS = {f"c:{n}": {"name": f"Person {n}", "account": f"s:{n}"} for n in range(6)}


@pytest.fixture
def loaded(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    return bench


def delta_and_load(bench):
    summary = run_delta(bench.context)
    bench.approve()
    return summary, bench.load()


def changed(**accounts):
    return {**ACCOUNTS, **{f"s:{key[1:]}": {**ACCOUNTS[f"s:{key[1:]}"], **row} for key, row in accounts.items()}}


def test_without_changes_a_delta_plans_nothing_however_often_it_is_run(loaded):
    loaded.edit("Company 1", note="typed")
    before = loaded.records()
    for _ in range(3):
        summary = run_delta(loaded.context)
        assert (summary.plans, summary.up_to_date, summary.cleansed) == ((), ("all",), False)
    assert loaded.records() == before
    with loaded.context.journal.transaction() as connection:
        states = connection.execute(text("SELECT state, count(*) FROM plan GROUP BY 1")).all()
        assert [tuple(row) for row in states] == [("applied", 1)], "and leaves no plan behind"
    assert len(list(loaded.context.project.workspace.reports.glob("plan-*.csv"))) == 1, "and no file"


def test_sources_that_changed_without_effect_are_a_plan_once(loaded):
    loaded.touch_source()
    loaded.golden(ACCOUNTS, CONTACTS)
    summary, load = delta_and_load(loaded)
    assert (summary.plans[0].entities["account"].unchanged, summary.plans[0].calls) == (6, 0)
    assert load.closed
    assert run_delta(loaded.context).plans == (), "what is loaded rests on the sources as they are now"


def test_only_the_source_s_changes_are_written_and_what_people_typed_stays(loaded):
    loaded.edit("Company 1", note="typed")
    loaded.golden(changed(s1={"phone": "+862161239999"}, s2={"note": "newer"}), CONTACTS)
    summary, load = delta_and_load(loaded)
    (plan,) = summary.plans
    assert (plan.kind, plan.entities["account"].update, plan.entities["account"].kept) == ("delta", 2, {"note": 1})
    assert load.entities["account"].updated == 2
    assert load.accounted
    records = loaded.records()
    assert records["Company 1"].values == {"name": "Company 1", "phone": "+862161239999", "note": "typed"}
    assert records["Company 2"].values["note"] == "newer"
    assert run_delta(loaded.context).plans == ()


def test_what_both_changed_lands_in_the_queue_and_is_not_planned_again_while_it_lies_there(loaded):
    loaded.edit("Company 1", note="typed")
    loaded.golden(changed(s1={"note": "newer"}), CONTACTS)
    summary, load = delta_and_load(loaded)
    assert summary.to_decide == 1
    assert load.reasons["account"] == {"conflict/changed_on_both_sides": 1}
    assert run_delta(loaded.context).plans == ()
    loaded.edit("Company 1", note="typed again")
    assert run_delta(loaded.context).to_decide == 1, "that is another question"


def test_a_row_that_the_target_refuses_is_not_planned_again_before_something_changes(bench):
    rows = {**ACCOUNTS, "s:3": {**ACCOUNTS["s:3"], "note": "far too long for this field"}}
    bench.golden(rows, CONTACTS)
    load = bench.plan_and_load()
    assert (load.entities["account"].rejected, load.entities["contact"].waiting) == (1, 1)
    assert run_delta(bench.context).plans == ()
    bench.golden({**rows, "s:3": ACCOUNTS["s:3"]}, CONTACTS)
    _, load = delta_and_load(bench)
    assert (load.entities["account"].created, load.entities["contact"].created) == (1, 1)
    assert load.closed


def test_rows_gone_from_the_source_are_listed_and_stay(loaded):
    rest = {key: row for key, row in ACCOUNTS.items() if key != "s:4"}
    loaded.golden(rest, {key: row for key, row in CONTACTS.items() if key != "c:4"})
    summary = run_delta(loaded.context)
    assert (summary.plans, summary.gone) == ((), {"account": 1, "contact": 1})
    path = loaded.context.project.workspace.root / summary.gone_file
    with path.open(encoding="utf-8-sig", newline="") as file:
        listed = {(line["entity"], line["source_keys"]): line["target_id"] for line in csv.DictReader(file)}
    assert listed["account", "s:4"] == loaded.records()["Company 4"].target_id
    assert ("contact", "c:4") in listed
    assert len(loaded.records()) == 6


def test_an_interrupted_load_is_gone_on_with_by_the_delta(bench, monkeypatch):
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan()
    bench.approve()
    monkeypatch.setattr(bench.crm, "write", _broken)
    with pytest.raises(RuntimeError):
        bench.load()
    monkeypatch.undo()
    summary, load = delta_and_load(bench)
    assert summary.plans[0].entities["account"].create == 6
    assert load.closed
    assert len(bench.records()) == 6


def _broken(*_):
    raise RuntimeError("crashed")


def test_fields_belong_to_whom_the_project_says(bench):
    with_rules(bench, account={"ownership": {"phone": "source", "note": "crm"}})
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    bench.edit("Company 1", phone="+862161230000", note="typed")
    bench.golden(changed(s1={"note": "newer"}, s2={"note": "newer"}), CONTACTS)
    summary, _ = delta_and_load(bench)
    account = summary.plans[0].entities["account"]
    assert (account.update, account.fields, account.overwrites, account.conflict) == (1, {"phone": 1}, {"phone": 1}, 0)
    record = bench.records()["Company 1"]
    assert (record.values["phone"], record.values["note"]) == (ACCOUNTS["s:1"]["phone"], "typed")
    assert bench.records()["Company 2"].values["note"] == "ours"
    assert run_delta(bench.context).plans == ()


def test_only_waves_that_are_loaded_have_a_delta(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    assert run_delta(bench.context).not_loaded == ("all",)
    with pytest.raises(ConfigError, match="not loaded"):
        run_delta(bench.context, wave="all")
    with pytest.raises(ConfigError, match="unknown wave"):
        run_delta(bench.context, wave="nowhere")


def test_a_wave_that_was_taken_back_has_none_until_it_is_loaded_again(loaded):
    plans = Plans("tiny")
    with loaded.context.journal.transaction() as connection:
        base = plans.latest_begun(connection, "test", wave="all")
        scope = {"wave": "all", "plans": [base.plan_id]}
        undo = plans.create(connection, target="test", wave="all", key_id="k", kind="undo", scope=scope)
        connection.execute(
            text("UPDATE plan SET state = 'applied', begun_at = now() WHERE plan_id = :id"), {"id": undo}
        )
    assert run_delta(loaded.context).not_loaded == ("all",)
    loaded.plan_and_load()
    assert run_delta(loaded.context).up_to_date == ("all",)


def test_a_plan_takes_the_place_of_those_its_rows_disregard(loaded):
    def made(kind, state, *, begun=False):
        with loaded.context.journal.transaction() as connection:
            plan_id = plans.create(connection, target="test", wave="all", key_id="k", kind=kind)
            begun_at = "now()" if begun else "NULL"
            connection.execute(
                text(f"UPDATE plan SET state = :state, begun_at = {begun_at} WHERE plan_id = :id"),
                {"state": state, "id": plan_id},
            )
        return plan_id

    def state(plan_id):
        with loaded.context.journal.transaction() as connection:
            return plans.get(connection, plan_id).state

    plans = Plans(loaded.context.journal.project_id)
    older = [made("load", "proposed"), made("retry", "loading", begun=True), made("undo", "approved")]
    loaded.golden(changed(s2={"note": "newer"}), CONTACTS)
    delta = run_delta(loaded.context).plans[0].plan_id
    assert [state(plan) for plan in older] == ["superseded"] * 3
    begun = made("undo", "loading", begun=True)
    with pytest.raises(ApprovalError, match="has begun and is not finished"):
        run_delta(loaded.context)
    with pytest.raises(ApprovalError, match="has begun and is not finished"):
        loaded.plan()
    with loaded.context.journal.transaction() as connection:
        newer = plans.create(connection, target="test", wave="all", key_id="k", kind="undo")
        plans.supersede_older(connection, newer, "test", "all", kind="undo")
    assert (state(delta), state(begun)) == ("proposed", "loading")


def decide(bench, name, choices):
    """Record what a person decided about fields of an account, as the queue of rejects does."""
    journal = bench.context.journal
    golden = f"s:{name.removeprefix('Company ')}"
    with journal.transaction() as connection:
        key = crosswalk.keys(connection, "tiny", "account", [golden])[golden]
        plan = Plans("tiny").latest_begun(connection, "test", wave="all")
        decision = RowDecision("account", key, golden, plan.plan_id, next(iter(choices.values())), by_field=choices)
    sealer = journal.new_data_key()
    sealed = sealer.seal(decision.details(), row_decisions.place("account", key))
    with journal.transaction() as connection:
        row_decisions.record(
            connection,
            "tiny",
            "test",
            [(decision, sealed)],
            key_id=sealer.key_id,
            person="tester",
            reason="as told",
            at=bench.context.clock(),
        )


@pytest.mark.parametrize(
    ("choice", "stays", "planned"),
    [(Choice.KEEP_CRM, "typed", {"learn": 1, "update": 0}), (Choice.USE_LEGACY, "newer", {"learn": 0, "update": 1})],
)
def test_a_decision_that_was_not_carried_out_holds_while_both_sides_are_as_seen(loaded, choice, stays, planned):
    loaded.edit("Company 1", note="typed")
    loaded.golden(changed(s1={"note": "newer"}), CONTACTS)
    delta_and_load(loaded)
    decide(loaded, "Company 1", {"note": choice})
    summary, _ = delta_and_load(loaded)
    account = summary.plans[0].entities["account"]
    assert {name: getattr(account, name) for name in planned} == planned
    assert (account.conflict, sum(account.overwrites.values())) == (0, planned["update"])
    assert loaded.records()["Company 1"].values["note"] == stays
    assert run_delta(loaded.context).plans == (), "the same conflict does not come back"
    loaded.edit("Company 1", note="typed later")
    loaded.golden(changed(s1={"note": "newest"}), CONTACTS)
    assert run_delta(loaded.context).plans[0].entities["account"].conflict == 1, "another one does"


def test_a_decision_about_other_values_decides_nothing(loaded):
    loaded.edit("Company 1", note="typed")
    loaded.golden(changed(s1={"note": "newer"}), CONTACTS)
    delta_and_load(loaded)
    decide(loaded, "Company 1", {"note": Choice.USE_LEGACY})
    loaded.edit("Company 1", note="typed since")
    assert run_delta(loaded.context).plans[0].entities["account"].conflict == 1
