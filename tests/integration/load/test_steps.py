"""References to records that come later, or at the same time: they are set in a second step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from rollout.connectors.memory import MemoryFault, MemoryField
from rollout.errors import Fatal
from rollout.load import looking, sending
from rollout.load.plan import Action, PlannedRow
from rollout.project.spec import ProjectSpec

from ._rows import carry_out, lines, make_plan

# Made-up groups of companies: 1 belongs to 0, 2 to 1, and 3 and 4 to each other.
GROUP = {
    "s:0": {"name": "Company 0", "parent": "s:1"},
    "s:1": {"name": "Company 1", "parent": None},
    "s:2": {"name": "Company 2", "parent": "s:0"},
    "s:3": {"name": "Company 3", "parent": "s:4"},
    "s:4": {"name": "Company 4", "parent": "s:3"},
}
PEOPLE = {"c:1": {"name": "Person 1", "account": "s:1"}, "c:2": {"name": "Person 2", "account": "s:3"}}
PARENT = {"type": "reference", "references": "account"}
MAIN = {"type": "reference", "references": "contact"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)


@pytest.fixture
def family(make_bench):
    """A bench whose accounts refer to accounts, and to contacts that refer to accounts."""

    def make(**options):
        bench = make_bench(**options)
        document = bench.context.project.spec.model_dump(mode="json")
        fields = document["entities"]["account"]["fields"]
        fields |= {"parent": PARENT, "main_contact": MAIN}
        entities = document["systems"]["crm"]["options"]["entities"]
        entities["account"] = {**entities["account"], "parent": PARENT, "main_contact": MAIN}
        project = replace(bench.context.project, spec=ProjectSpec.model_validate(document))
        bench.context = replace(bench.context, project=project, _connectors={})
        assert MemoryField.model_validate(PARENT).references == "account"
        return bench

    return make


def parents(bench):
    """By account the name of the one it belongs to."""
    records = bench.records()
    names = {record.target_id: name for name, record in records.items()}
    return {name: names.get(record.values["parent"]) for name, record in records.items()}


EXPECTED = {
    "Company 0": "Company 1",
    "Company 1": None,
    "Company 2": "Company 0",
    "Company 3": "Company 4",
    "Company 4": "Company 3",
}


def states(bench):
    with bench.context.journal.transaction() as connection:
        rows = connection.execute(
            text("SELECT step, state, count(*) FROM row_state WHERE entity = 'account' GROUP BY 1, 2 ORDER BY 1, 2")
        )
        return [tuple(row) for row in rows]


def test_records_that_refer_to_each_other_are_created_first_and_joined_then(family):
    bench = family()
    bench.golden(GROUP, PEOPLE)
    summary = bench.plan_and_load()
    assert parents(bench) == EXPECTED
    assert states(bench) == [(1, "created", 5), (2, "updated", 4)]
    account = summary.entities["account"]
    assert (account.created, account.updated, summary.closed, summary.state) == (5, 0, True, "applied")
    assert bench.load().state == "already_applied"


def test_a_cycle_over_two_entities_is_closed_in_the_second_step(family):
    bench = family()
    assert bench.context.project.spec.load_order == ("account", "contact")
    assert bench.context.project.spec.deferred("account") == ("parent", "main_contact")
    bench.golden({**GROUP, "s:1": {**GROUP["s:1"], "main_contact": "c:1"}}, PEOPLE)
    bench.plan_and_load()
    assert bench.records()["Company 1"].values["main_contact"] == bench.records("contact")["Person 1"].target_id


def test_the_next_plan_finds_nothing_to_do(family):
    bench = family()
    bench.golden(GROUP, PEOPLE)
    bench.plan_and_load()
    bench.golden(GROUP, PEOPLE)
    assert bench.plan().entities["account"].unchanged == 5


@pytest.mark.parametrize("fault", list(MemoryFault))
@pytest.mark.parametrize("conditional", [True, False])
def test_a_fault_in_the_second_step_costs_nothing(family, fault, conditional):
    bench = family(conditional_update=conditional)
    bench.crm.capabilities = replace(bench.crm.capabilities, call_timeout_s=0.02)
    bench.golden(GROUP, PEOPLE)
    bench.plan()
    bench.approve()
    write = bench.crm.write

    def fail_in_second_step(entity, rows):
        if any("parent" in row.values for row in rows):
            bench.crm.write = write
            bench.crm.fail_next(fault)
        return write(entity, rows)

    bench.crm.write = fail_in_second_step
    assert bench.load().closed
    assert parents(bench) == EXPECTED


@pytest.mark.parametrize("stored", [True, False])
def test_a_crash_in_the_second_step_is_made_good_by_the_next_run(family, stored):
    bench = family()
    bench.golden(GROUP, PEOPLE)
    bench.plan()
    bench.approve()
    write = bench.crm.write

    def die(entity, rows):
        if any("parent" in row.values for row in rows):
            if stored:
                write(entity, rows)
            raise Fatal("crash", where="here")
        return write(entity, rows)

    bench.crm.write = die
    with pytest.raises(Fatal):
        bench.load()
    [account, _] = bench.context.journal.accounting("test")
    assert (account.unknown, account.accounted) == (4, True)
    bench.crm.write = write
    summary = bench.load()
    assert (summary.state, summary.entities["account"].created) == ("applied", 5)
    assert parents(bench) == EXPECTED


def test_what_people_wrote_between_the_steps_stays(family):
    bench = family()
    bench.golden(GROUP, PEOPLE)
    bench.plan()
    bench.approve()
    write = bench.crm.write

    def people_come_first(entity, rows):
        answer = write(entity, rows)
        if entity == "contact":
            theirs = bench.records()["Company 1"].target_id
            bench.edit("Company 2", parent=theirs)
        return answer

    bench.crm.write = people_come_first
    summary = bench.load()
    assert parents(bench)["Company 2"] == "Company 1"
    assert summary.entities["account"].conflict == 1
    assert summary.reasons["account"] == {"conflict/changed_since_plan": 1}


def test_a_row_whose_parent_was_refused_waits_in_the_second_step(family):
    bench = family()
    bench.golden({**GROUP, "s:0": {**GROUP["s:0"], "note": "far too long for this field"}}, PEOPLE)
    summary = bench.plan_and_load()
    account = summary.entities["account"]
    assert (account.created, account.rejected, account.waiting) == (3, 1, 1)
    assert (summary.state, summary.accounted, summary.closed) == ("loading", True, False)
    assert bench.load().entities["account"].waiting == 1
    bench.golden(GROUP, PEOPLE)
    summary = bench.plan_and_load()
    assert (summary.entities["account"].created, summary.closed) == (1, True)
    assert parents(bench) == EXPECTED


def deletions(bench, entity):
    return [
        PlannedRow(r.migration_key, r.migration_key, Action.DELETE, old=r.values, target_id=r.target_id)
        for r in bench.records(entity).values()
    ]


def undo_all(bench):
    return make_plan(bench, {"contact": deletions(bench, "contact"), "account": deletions(bench, "account")})


def test_records_that_refer_to_each_other_can_be_taken_back(family):
    bench = family()
    bench.golden({**GROUP, "s:1": {**GROUP["s:1"], "main_contact": "c:1"}}, PEOPLE)
    bench.plan_and_load()
    plan = undo_all(bench)
    carry_out(bench, plan, batch_rows=2)
    carry_out(bench, plan, batch_rows=2)
    assert not bench.records()
    assert not bench.records("contact")
    assert set(lines(bench, plan).values()) == {("undone", None)}


@pytest.mark.parametrize("fault", list(MemoryFault))
def test_a_fault_while_records_are_parted_costs_nothing(family, fault):
    bench = family()
    bench.golden(GROUP)
    bench.plan_and_load()
    plan, write = undo_all(bench), bench.crm.write

    def fail_once(entity, rows):
        if any("parent" in row.values for row in rows):
            bench.crm.write = write
            bench.crm.fail_next(fault)
        return write(entity, rows)

    bench.crm.write = fail_once
    carry_out(bench, plan)
    assert not bench.records()


def test_of_a_cycle_people_s_link_keeps_what_it_leads_to_and_the_next_load_joins_it_again(family):
    bench = family()
    bench.golden(GROUP)
    bench.plan_and_load()
    plan = undo_all(bench)
    bench.crm.add("contact", {"name": "Theirs", "account": bench.records()["Company 3"].target_id}, user="sales")
    carry_out(bench, plan)
    assert {row[1] for row in lines(bench, plan).values() if row[0] == "kept"} == {"linked_since"}
    assert "Company 3" in bench.records()
    bench.golden(GROUP)
    bench.plan_and_load()
    assert parents(bench) == EXPECTED
