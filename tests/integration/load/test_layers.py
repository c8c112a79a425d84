"""Layers: nothing of a later layer is sent before the earlier one was read back and agrees with the legacy system."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.connectors.memory import MemoryConnector
from rollout.model.verdict import Verdict
from rollout.phases.layers import layers_of
from rollout.project.spec import LayerSpec

ACCOUNTS = {f"A{number}": {"name": f"Company {number}", "phone": None, "note": str(number)} for number in range(1, 6)}
CONTACTS = {f"C{number}": {"name": f"Person {number}", "account": f"A{number}"} for number in range(1, 6)}


def total(**given: object) -> dict[str, object]:
    declared = {"name": "accounts", "entity": "account", "measure": "count", "expected": "5"}
    meaning = {"tax": "none", "status": "all", "returns": "there are none", "as_of": "2026-01-31"}
    return {**declared, **meaning, **given}


@pytest.fixture
def layered(make_bench):
    def make(*totals: dict[str, object]):
        bench = make_bench()
        layers = (
            LayerSpec.model_validate({"name": "master", "entities": ["account"], "control_totals": totals}),
            LayerSpec.model_validate({"name": "people", "entities": ["contact"]}),
        )
        spec = bench.context.project.spec.model_copy(update={"layers": layers})
        bench.context = replace(bench.context, project=replace(bench.context.project, spec=spec))
        bench.golden(ACCOUNTS, CONTACTS)
        return bench

    return make


def loaded_after(bench, monkeypatch, tamper) -> object:
    """Load, and let ``tamper`` act in the CRM when the accounts are there and the contacts are not."""
    bench.plan()
    bench.approve()
    count = MemoryConnector.count

    def acting(self, entity):  # what reading back begins with
        if entity == "account" and not count(self, "contact"):
            tamper(self)
        return count(self, entity)

    monkeypatch.setattr(MemoryConnector, "count", acting)
    return bench.load()


def test_both_layers_are_loaded_when_the_first_one_agrees(layered) -> None:
    bench = layered(total(), total(name="notes", where={"note": ["1", "2"]}, expected="2"))
    summary = bench.plan_and_load()
    assert (summary.state, summary.closed) == ("applied", True)
    [layer] = summary.layers
    assert (layer.layer, layer.gate.gate, layer.gate.verdict) == ("master", "layer:master", Verdict.PASS)
    assert [(found.observed, found.agrees) for found in layer.control_totals] == [("5", True), ("2", True)]
    assert bench.context.journal.latest_gate("layer:master", wave="all") == layer.gate
    assert len(bench.records("contact")) == 5


def test_a_control_total_that_is_off_holds_the_next_layer_up_until_it_agrees(layered) -> None:
    bench = layered(total(expected="6"))
    bench.crm.add("account", {"name": "of a person", "phone": None, "note": None}, user="sales")  # not ours: no 6th
    summary = bench.plan_and_load()
    assert (summary.state, summary.accounted) == ("loading", False)
    [layer] = summary.layers
    assert layer.gate.verdict is Verdict.FAIL
    assert "accounts: 5 of 6 (-1)" in next(c.detail for c in layer.gate.criteria if c.metric == "control_totals_off")
    assert summary.entities["contact"].not_loaded == 5
    assert bench.records("contact") == {}
    again = bench.load()  # nothing changed: it stays where it is
    assert (again.state, bench.records("contact")) == ("loading", {})


@pytest.mark.parametrize("what", ["deleted", "doubled"])
def test_a_record_that_is_missing_or_doubled_holds_the_next_layer_up(layered, monkeypatch, what) -> None:
    bench = layered()

    def tamper(crm: MemoryConnector) -> None:
        table = crm._store.table("account")
        first = next(iter(table.records.values()), None)
        if first is None:
            return
        if what == "deleted":
            crm.remove("account", first.target_id)
        else:
            crm._insert(table, first.migration_key, dict(first.values), "sales")

    summary = loaded_after(bench, monkeypatch, tamper)
    metric = {"deleted": "reconcile_missing", "doubled": "reconcile_duplicate"}[what]
    failed = {c.metric for c in summary.layers[0].gate.criteria if c.verdict is Verdict.FAIL}
    assert failed == {metric}
    assert bench.records("contact") == {}


def test_a_layer_of_which_nothing_arrived_is_not_verified_on_no_evidence(layered) -> None:
    bench = layered()
    bench.golden({key: {**values, "name": None} for key, values in ACCOUNTS.items()}, CONTACTS)
    summary = bench.plan_and_load()
    assert summary.layers[0].gate.verdict is not Verdict.PASS
    assert summary.entities["contact"].not_loaded == 5


def test_asking_for_a_later_layer_alone_does_not_go_round_the_earlier_one(layered) -> None:
    from rollout.phases.load import run_load

    bench = layered()
    bench.plan()
    bench.approve()
    summary = run_load(bench.context, entities=["contact"])
    assert summary.layers[0].gate.verdict is not Verdict.PASS
    assert bench.records("contact") == {}
    assert bench.load().closed


def test_what_no_layer_names_comes_first(layered) -> None:
    bench = layered()
    spec = bench.context.project.spec
    assert [(layer.name, layer.entities) for layer in layers_of(spec)] == [
        ("master", ("account",)),
        ("people", ("contact",)),
    ]
    rest = spec.model_copy(update={"layers": spec.layers[1:]})
    assert [layer.name for layer in layers_of(rest)] == ["first", "people"]
    assert [layer.entities for layer in layers_of(spec.model_copy(update={"layers": ()}))] == [("account", "contact")]
