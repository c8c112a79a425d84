"""Rows that wait for a parent go on in the same run once it has landed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.errors import OutcomeUnknown
from rollout.load import looking, sending

from .conftest import ACCOUNT, CONTACT

ROWS = {f"s:{n}": {"name": f"Company {n}"} for n in range(4)}
PEOPLE = {f"c:{n}": {"name": f"Person {n}", "account": f"s:{n % 4}"} for n in range(8)}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.05)
    monkeypatch.setattr(looking, "PROBE_WAIT_S", 0.05)


def test_children_of_a_parent_whose_answer_was_lost_are_released_once_it_is_found(make_bench):
    bench = make_bench(enforces_unique=False)
    bench.crm.capabilities = replace(bench.crm.capabilities, call_timeout_s=0.01, max_commit_delay_s=0.3)
    bench.golden(ROWS, PEOPLE)
    bench.plan()
    bench.approve()
    write, read, late, looks = bench.crm.write, bench.crm.read_by_keys, [], []

    def swallow(entity, rows):
        if entity == "account":
            late.append(rows)
            raise OutcomeUnknown("no answer")
        return write(entity, rows)

    def commit_at_the_fourth_look(entity, keys):
        if entity == "account":
            looks.append(keys)
            if len(looks) == 4:  # one before the call, two while the row was waited for
                write("account", late[0])
        return read(entity, keys)

    bench.crm.write, bench.crm.read_by_keys = swallow, commit_at_the_fourth_look
    summary = bench.load()
    assert summary.entities["account"].created == 4
    assert summary.entities["contact"].created == 8
    assert (summary.closed, summary.state) == (True, "applied")
    assert len(bench.records()) == 4


def test_children_of_a_refused_parent_still_wait(bench):
    bench.golden({**ROWS, "s:0": {"name": "Company 0", "note": "far too long for this field"}}, PEOPLE)
    summary = bench.plan_and_load()
    assert (summary.entities["account"].rejected, summary.entities["contact"].waiting) == (1, 2)
    assert summary.rows == 12


VISIT = {"name": {"required": True}, "contact": {"type": "reference", "references": "contact", "required": True}}


def test_what_belongs_to_a_record_that_a_person_withholds_is_withheld_too_down_to_grandchildren(make_bench):
    """Otherwise it waited for a load that never comes: starting the import again would not help."""
    bench = make_bench(entities={"account": ACCOUNT, "contact": CONTACT, "visit": VISIT})
    project = bench.context.project
    document = project.spec.model_dump()
    source = document["entities"]["contact"]["sources"][0] | {"name": "visits", "path": "accounts.csv"}
    document["entities"]["visit"] = {"label": "拜访", "title_field": "name", "fields": VISIT, "sources": [source]}
    bench.context = replace(bench.context, project=replace(project, spec=type(project.spec).model_validate(document)))
    loaded = {"c:0": PEOPLE["c:0"], "c:2": PEOPLE["c:2"]}
    bench.golden(ROWS, loaded, visit={"v:0": {"name": "Visit 0", "contact": "c:0"}})
    assert bench.plan_and_load().closed

    visits = {f"v:{n}": {"name": f"Visit {n}", "contact": f"c:{n}"} for n in range(8)}
    joined = {key: row for key, row in ROWS.items() if key != "s:1"}
    people = {
        key: row | {"account": "s:0" if row["account"] == "s:1" else row["account"]} for key, row in PEOPLE.items()
    }
    bench.golden(joined, people, merged={"s:1": "s:0"}, visit=visits)
    plan = bench.plan()
    assert plan.entities["account"].conflicts == {"cluster_joined": 1}
    assert plan.entities["contact"].conflicts == {"parent_undecided": 4}
    # The visit to the contact that is there goes on; those to the three that a person withholds do not.
    assert plan.entities["visit"].conflicts == {"parent_undecided": 3}
    bench.approve()
    summary = bench.load()
    assert (summary.entities["visit"].created, summary.entities["visit"].unchanged) == (4, 1)
    assert (summary.closed, summary.state) == (True, "applied")
