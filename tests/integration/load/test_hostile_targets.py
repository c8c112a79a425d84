"""People who type in between, targets that answer late, wrongly or not at all, plans that went stale."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from rollout.connectors.base import Op, RowResult, RowStatus, WriteRow
from rollout.connectors.memory import MemoryFault
from rollout.errors import ApprovalError, ConfigError, DriftError, Fatal, OutcomeUnknown, Retryable
from rollout.load import looking, sending
from rollout.phases.approve import approve
from rollout.phases.load import run_load

ROWS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+8621000000{n:02}"} for n in range(6)}
ONE = {"s:1": {"name": "Company 1"}}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)


def with_capabilities(bench, **capabilities):
    bench.crm.capabilities = replace(bench.crm.capabilities, **capabilities)


def changed(key, **values):
    return {**ROWS, key: {**ROWS[key], **values}}


def phone(bench, name="Company 1"):
    return bench.records()[name].values["phone"]


def plan_again(bench, rows, contacts=None):
    bench.golden(rows, contacts)
    return bench.plan()


# What people type stays


def test_an_update_of_another_field_does_not_make_a_person_s_edit_ours(bench):
    bench.golden(ROWS)
    bench.plan_and_load()
    bench.edit("Company 1", phone="+86typed")
    for _ in range(2):
        bench.golden(changed("s:1", note="n"))
        bench.plan_and_load()
    assert phone(bench) == "+86typed"


def test_an_edit_between_a_crash_and_its_probe_stays(bench):
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    read = bench.crm.read_by_keys

    def crash(*_):
        raise Fatal("crash", where="here")

    bench.crm.read_by_keys = crash
    with pytest.raises(Fatal):
        bench.load()
    bench.crm.read_by_keys = read
    bench.edit("Company 1", phone="+86typed")
    bench.load()
    assert plan_again(bench, ROWS).entities["account"].kept == {"phone": 1}


def test_a_batch_that_a_crash_left_open_counts_as_unknown_until_it_is_looked_up(bench):
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    read = bench.crm.read_by_keys

    def crash(*_):
        raise Fatal("crash", where="here")

    bench.crm.read_by_keys = crash
    with pytest.raises(Fatal):
        bench.load()
    bench.crm.read_by_keys = read
    [accounting, _] = bench.context.journal.accounting("test")
    assert (accounting.unknown, accounting.created, accounting.accounted) == (len(ROWS), 0, True)
    with bench.context.journal.transaction() as connection:
        [[sent]] = connection.execute(text("SELECT migration_keys FROM open_batch"))
    assert len(sent) == len(ROWS)
    assert bench.load().entities["account"].created == len(ROWS)
    with bench.context.journal.transaction() as connection:
        lines = connection.execute(text("SELECT attempt, digest <> '', intent_at < ended_at FROM row_state")).all()
        assert lines == [(1, True, True)] * len(ROWS)
        assert connection.execute(text("SELECT count(*) FROM open_batch")).scalar_one() == 0


def test_a_batch_closed_by_somebody_else_writes_nothing(bench):
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    write = bench.crm.write

    def lose_the_batch(entity, rows):
        with bench.context.journal.transaction() as connection:
            connection.execute(text("DELETE FROM open_batch"))
        return write(entity, rows)

    bench.crm.write = lose_the_batch
    with pytest.raises(Fatal, match="closed by another process"):
        bench.load()
    with bench.context.journal.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM row_state")).scalar_one() == 0


def test_an_answer_with_the_records_needs_no_read_back(make_bench):
    bench = make_bench(returns_stored=True)
    insert = bench.crm._insert
    bench.crm._insert = lambda table, key, values, user: insert(table, key, {**values, "note": "filled in"}, user)
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    bench.crm.read_by_keys = None
    assert bench.load().entities["account"].created == len(ROWS)
    del bench.crm.read_by_keys
    plan = plan_again(bench, ROWS)
    assert (plan.entities["account"].unchanged, plan.entities["account"].kept) == (len(ROWS), {})


def test_an_answer_without_its_record_is_read_back(make_bench):
    bench = make_bench(returns_stored=True)
    write, read, asked = bench.crm.write, bench.crm.read_by_keys, []
    bench.crm.write = lambda entity, rows: [
        replace(result, stored=result.stored if place else None) for place, result in enumerate(write(entity, rows))
    ]
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    bench.crm.read_by_keys = lambda entity, keys: asked.extend(keys) or read(entity, keys)
    assert bench.load().entities["account"].created == len(ROWS)
    assert len(asked) == 1


def test_a_value_both_came_to_does_not_hide_the_source_s_next_change(bench):
    bench.golden(ROWS)
    bench.plan_and_load()
    bench.edit("Company 1", phone="+86B")
    bench.golden(changed("s:1", phone="+86B"))
    bench.plan_and_load()
    bench.golden(ROWS)
    bench.plan_and_load()
    assert phone(bench) == ROWS["s:1"]["phone"]


@pytest.mark.parametrize(
    "stored",
    [lambda values: {**values, "name": values["name"][:8]}, lambda values: {**values, "note": "filled in"}],
    ids=["truncates", "fills in"],
)
def test_a_target_with_a_will_of_its_own_is_not_written_again_and_again(bench, stored):
    insert = bench.crm._insert
    bench.crm._insert = lambda table, key, values, user: insert(table, key, stored(values), user)
    bench.golden({"s:1": {"name": "Company with a long name"}})
    bench.plan_and_load()
    plan = plan_again(bench, {"s:1": {"name": "Company with a long name"}})
    assert (plan.entities["account"].unchanged, plan.entities["account"].kept) == (1, {})


def test_an_edit_while_the_target_was_busy_is_a_conflict(make_bench):
    bench = make_bench(conditional_update=False)
    bench.golden(ROWS)
    bench.plan_and_load()
    bench.golden(changed("s:1", phone="+86new"))
    bench.plan()
    bench.approve()
    write = bench.crm.write

    def busy_once(entity, rows):
        try:
            return write(entity, rows)
        except Retryable:
            bench.edit("Company 1", phone="+86typed")
            raise

    bench.crm.write = busy_once
    bench.crm.fail_next(MemoryFault.BUSY)
    assert bench.load().reasons["account"] == {"conflict/changed_since_plan": 1}
    assert phone(bench) == "+86typed"


# References


def test_a_reference_is_cleared_when_the_source_clears_it(bench):
    spec = bench.context.project.spec
    optional = spec.entities["contact"].fields["account"].model_copy(update={"required": False})
    entity = spec.entities["contact"].model_copy(
        update={"fields": {**spec.entities["contact"].fields, "account": optional}}
    )
    project = replace(
        bench.context.project, spec=spec.model_copy(update={"entities": {**spec.entities, "contact": entity}})
    )
    bench.context = replace(bench.context, project=project)
    bench.crm._required["contact"] = ("name",)
    bench.golden(ROWS, {"c:1": {"name": "P", "account": "s:1"}})
    bench.plan_and_load()
    bench.golden(ROWS, {"c:1": {"name": "P", "account": None}})
    bench.plan_and_load()
    assert bench.records("contact")["P"].values["account"] is None
    bench.golden({**ROWS, "s:new": {"name": "New"}}, {"c:1": {"name": "P", "account": "s:new"}})
    bench.plan_and_load()
    assert bench.records("contact")["P"].values["account"] == bench.records()["New"].target_id


def test_a_child_of_a_record_that_a_person_must_decide_about_is_left_alone(bench):
    bench.golden({key: row for key, row in ROWS.items() if key != "s:2"}, merged={"s:2": "s:1"})
    bench.plan_and_load()
    plan = plan_again(bench, ROWS, {"c:1": {"name": "P", "account": "s:2"}})
    assert plan.entities["contact"].conflicts == {"parent_undecided": 1}


# Answers that are late, wrong or missing


def test_a_row_whose_fate_is_unknown_is_not_planned_again(make_bench, monkeypatch):
    monkeypatch.setattr(looking, "PROBE_WAIT_S", 0.02)
    bench = make_bench(enforces_unique=False)
    with_capabilities(bench, max_commit_delay_s=3600.0)
    bench.golden(ONE)
    bench.plan()
    bench.approve()
    write, late = bench.crm.write, []

    def swallow(entity, rows):
        late.append((entity, rows))
        raise OutcomeUnknown("no answer")

    bench.crm.write = swallow
    summary = bench.load()
    assert (summary.entities["account"].unknown, summary.closed) == (1, False)
    bench.crm.write = write
    assert plan_again(bench, ONE).entities["account"].conflicts == {"outcome_unknown": 1}
    bench.approve()
    bench.load()
    write(*late[0])  # the first call lands after all
    assert len(bench.records()) == 1


def test_a_record_that_reads_do_not_show_is_never_made_a_second_time(make_bench):
    bench = make_bench(enforces_unique=False)
    with_capabilities(bench, call_timeout_s=0.01)
    bench.golden(ONE)
    bench.plan()
    bench.approve()
    bench.crm.read_by_keys = lambda *_: {}
    for _ in range(3):
        assert bench.load().reasons["account"] == {"unknown/not_readable": 1}
    assert len(bench.records()) == 1


def test_our_own_lost_create_is_found_though_reads_lag(bench):
    with_capabilities(bench, read_your_writes_delay_s=0.3, call_timeout_s=0.1)
    bench.golden(ONE)
    bench.plan()
    bench.approve()
    read, write, begun = bench.crm.read_by_keys, bench.crm.write, []

    def timed_write(entity, rows):
        begun.append(time.monotonic())
        return write(entity, rows)

    bench.crm.write = timed_write
    bench.crm.read_by_keys = lambda entity, keys: (
        read(entity, keys) if begun and time.monotonic() - begun[0] > 0.25 else {}
    )
    bench.crm.fail_next(MemoryFault.LOST_ANSWER)
    assert bench.load().entities["account"].created == 1
    assert len(bench.records()) == 1


def test_two_answers_for_one_row_are_no_answer(bench):
    write = bench.crm.write

    def doubled(entity, rows):
        results = list(write(entity, rows))
        return [*results, replace(results[0], status=RowStatus.REJECTED, reason_code="refused")]

    bench.crm.write = doubled
    bench.golden(ROWS)
    assert bench.plan_and_load().entities["account"].created == 6


def test_a_refusal_that_waiting_will_not_cure_is_a_conflict_and_the_load_goes_on(bench):
    bench.golden(ROWS)
    bench.plan_and_load()
    bench.golden(changed("s:1", note="n"))
    bench.plan()
    bench.approve()
    bench.crm.write = lambda _, rows: [
        RowResult(row.migration_key, RowStatus.CONFLICT, None, "not_unique", "the note is another's") for row in rows
    ]
    summary = bench.load()
    assert (summary.state, summary.reasons["account"]) == ("applied", {"conflict/not_unique": 1})


def test_a_key_that_moved_to_another_record_is_a_conflict(make_bench):
    bench = make_bench(conditional_update=False)
    bench.golden(ROWS)
    bench.plan_and_load()
    bench.golden(changed("s:1", note="n"))
    bench.plan()
    bench.approve()
    gone = bench.records()["Company 1"]
    bench.crm.remove("account", gone.target_id)
    bench.crm.write("account", [WriteRow(gone.migration_key, Op.CREATE, {"name": "Company 1"})])
    assert bench.load().reasons["account"] == {"conflict/record_replaced": 1}


def test_what_the_target_says_is_kept_without_the_row_s_values(bench):
    bench.golden({"s:1": {"name": "张三丰", "phone": "+8613812345678"}})
    bench.plan()
    bench.approve()
    bench.crm.write = lambda _, rows: [
        RowResult(row.migration_key, RowStatus.REJECTED, None, "refused", "13812345678 张三丰\x00 exists")
        for row in rows
    ]
    bench.load()
    with bench.context.journal.transaction() as connection:
        [message] = connection.execute(text("SELECT message FROM row_state")).scalars()
    assert "exists" in message
    assert "13812345678" not in message
    assert "张三丰" not in message


# Plans that are not the one


def test_a_superseded_plan_cannot_be_loaded_or_approved(bench):
    bench.golden(ROWS)
    first = bench.plan()
    bench.approve()
    bench.plan()
    with pytest.raises(ApprovalError, match="newer plan"):
        run_load(bench.context, plan_id=first.plan_id)
    with pytest.raises(ApprovalError, match="newer plan"):
        approve(bench.context, person="tester", code=bench.code, reason="r", plan_id=first.plan_id)
    assert not bench.records()


def test_an_approval_is_for_one_crm_only(bench):
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    spec = bench.context.project.spec
    options = {**spec.systems["crm"].options, "max_batch_rows": 100}
    systems = {**spec.systems, "crm": spec.systems["crm"].model_copy(update={"options": options})}
    project = replace(bench.context.project, spec=spec.model_copy(update={"systems": systems}))
    with pytest.raises(DriftError, match="what target 'test' stands for"):
        run_load(replace(bench.context, project=project))


@pytest.mark.parametrize("column", ["golden_key", "reason_code", "action"])
def test_no_column_of_an_approved_row_can_be_altered(bench, column):
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    with bench.context.journal.transaction() as connection:
        connection.execute(text(f"UPDATE plan_row SET {column} = 'other' WHERE ordinal = 3"))
    with pytest.raises(DriftError, match="not those that were approved"):
        bench.load()


def test_an_unknown_entity_is_named(bench):
    with pytest.raises(ConfigError, match="acount"):
        run_load(bench.context, entities=["acount"])


def test_an_interrupted_cleansing_is_not_planned_from(bench):
    bench.golden(ROWS)
    bench.context.journal.replace_ledger(
        "account", [("s:1", "golden", "s:1", None, "all")], source_rows={"all": 1}, run_id="other"
    )
    with pytest.raises(ConfigError, match="interrupted"):
        bench.plan()


def test_what_was_loaded_stays_in_the_accounting_while_a_newer_plan_waits(bench):
    bench.golden(ROWS)
    bench.plan_and_load()
    bench.golden(ROWS)
    bench.plan()
    [account, _] = bench.context.journal.accounting("test")
    assert (account.created, account.not_loaded) == (6, 0)


def test_names_may_differ_in_the_target(make_bench):
    bench = make_bench()
    spec = bench.context.project.spec
    fields = spec.entities["account"].fields
    fields = {**fields, "phone": fields["phone"].model_copy(update={"target_name": "note"})}
    del fields["note"]
    account = spec.entities["account"].model_copy(update={"fields": fields, "target_name": "contact"})
    contact = spec.entities["contact"].model_copy(update={"target_name": "account"})
    bench.crm._required = {"account": (), "contact": ()}
    bench.crm._empty["contact"] = {"name": None, "note": None}
    project = replace(
        bench.context.project,
        spec=spec.model_copy(update={"entities": {"account": account, "contact": contact}}),
    )
    bench.context = replace(bench.context, project=project)
    bench.golden({"s:1": {"name": "Company 1", "phone": "+8621"}})
    assert bench.plan_and_load().entities["account"].created == 1
    [record] = bench.crm.read_all("contact")
    assert record.values == {"name": "Company 1", "note": "+8621"}
    assert plan_again(bench, {"s:1": {"name": "Company 1", "phone": "+8621"}}).entities["account"].unchanged == 1
