"""Gates never turn green on no evidence, and no entity hides behind another."""

from __future__ import annotations

import pytest

from rollout.model.entity import FieldSpec, FieldType
from rollout.model.outcome import Accounting
from rollout.model.target import TargetRecord
from rollout.model.verdict import Verdict, judge_gate
from rollout.project.gates import DEFAULT_CRITERIA, METRICS
from rollout.verify.control_totals import measured as control_totals
from rollout.verify.gates import load_measurements, verify_measurements
from rollout.verify.people import people_measurements
from rollout.verify.recheck import Expectation, wrong_fields
from rollout.verify.reconcile import Orphans, Reconciliation
from rollout.verify.results import ExpectationOutcome, SuiteResult
from rollout.verify.sample import bound

ACCOUNT = Accounting(entity="account", source=1000, created=900, merged=60, quarantined=30, skipped=10)
CONTACT = Accounting(entity="contact", source=100, created=98, rejected=1, quarantined=1)
ENTITIES = ("account", "contact")


def measured(table, entities=ENTITIES):
    return {item.metric: item for item in load_measurements(table, entities)}


def test_load_figures():
    found = measured([ACCOUNT, CONTACT])
    assert found["load_success"].value == pytest.approx(98 / 99)
    assert found["load_success"].evidence == 999
    assert found["coverage"].value == pytest.approx(900 / 930)
    assert (found["accounted"].value, found["open_rows"].value) == (1, 0)


def test_the_worst_entity_is_judged():
    large = ACCOUNT.model_copy(update={"source": 100_090, "created": 99_990})
    poor = Accounting(entity="contact", source=10, created=5, rejected=5)
    assert measured([large, poor])["load_success"].value == 0.5


@pytest.mark.parametrize("bucket", ["unknown", "waiting", "not_loaded", "conflict", "rejected"])
def test_what_is_not_there_as_planned_counts_against_success(bucket):
    line = Accounting(entity="account", source=10, created=9).model_copy(update={bucket: 1})
    assert measured([line], ["account"])["load_success"].value == 0.9


@pytest.mark.parametrize("bucket", ["unknown", "waiting", "not_loaded"])
def test_open_rows_are_counted(bucket):
    line = Accounting(entity="account", source=10, created=9).model_copy(update={bucket: 1})
    assert measured([line], ["account"])["open_rows"].value == 1


def test_quarantine_buys_no_green_gate():
    line = Accounting(entity="account", source=100, created=50, quarantined=50)
    found = measured([line], ["account"])
    assert (found["load_success"].value, found["coverage"].value) == (1.0, 0.5)
    result = judge_gate("load", list(DEFAULT_CRITERIA["load"]), list(found.values()))
    assert result.verdict is Verdict.FAIL


def test_a_row_without_a_place_is_seen():
    line = ACCOUNT.model_copy(update={"source": 1001})
    assert measured([line, CONTACT])["accounted"].value == 0


@pytest.mark.parametrize(
    "table",
    [
        [],
        [ACCOUNT],
        [ACCOUNT, Accounting(entity="contact", source=0)],
        [ACCOUNT, Accounting(entity="contact", source=5, quarantined=5)],
    ],
)
def test_an_entity_without_rows_leaves_the_load_gate_open(table):
    result = judge_gate("load", list(DEFAULT_CRITERIA["load"]), load_measurements(table, ENTITIES))
    assert result.verdict in {Verdict.INCONCLUSIVE, Verdict.FAIL}
    success = next(item for item in result.criteria if item.metric == "load_success")
    assert success.verdict is Verdict.INCONCLUSIVE


def reconciliation(entity, **figures):
    base = dict.fromkeys(
        ("missing", "duplicate", "extra", "different", "relations_broken", "held", "other_waves", "other", "kept"), 0
    ) | {"expected": 500, "observed": 500, "ok": 500, "relations": 500 if entity == "contact" else 0}
    return Reconciliation(entity=entity, wrong_fields={}, rows_path="", fields_path="", **(base | figures))


def suite(**values):
    outcome = ExpectationOutcome(
        **({"check": "values_to_be_unique:k", "severity": "critical", "success": True, "evidence": 5} | values)
    )
    return SuiteResult(suite="account", rows=5, declared=1, outcomes=(outcome,))


def lost_references(orphans):
    return Orphans(entity="contact", references=500, orphans=orphans, examples=dict.fromkeys(orphans, ("T1",)))


def verify_gate(account=None, contact=None, *, counted=None, samples=None, suites=None, orphans=None):
    reconciled = {
        "account": account or reconciliation("account"),
        "contact": contact or reconciliation("contact"),
    }
    found = verify_measurements(
        reconciled,
        counted or {name: result.observed for name, result in reconciled.items()},
        samples or {name: bound(500, 500, 0, confidence=0.95) for name in reconciled},
        [suite()] if suites is None else suites,
        [lost_references(orphans or {})],
    )
    found += load_measurements([ACCOUNT, CONTACT], ENTITIES)
    criteria = [*DEFAULT_CRITERIA["verify"]]
    result = judge_gate("verify", criteria, found)
    return result.verdict, {item.metric for item in result.criteria if item.verdict is not Verdict.PASS}


def test_flawless_figures_pass():
    assert verify_gate() == (Verdict.PASS, set())


@pytest.mark.parametrize(
    ("field", "metric"),
    [
        ("missing", "reconcile_missing"),
        ("extra", "reconcile_extra"),
        ("duplicate", "reconcile_duplicate"),
        ("different", "reconcile_different"),
        ("relations_broken", "relations_broken"),
    ],
)
def test_one_wrong_row_of_the_smaller_entity_fails(field, metric):
    assert verify_gate(contact=reconciliation("contact", **{field: 1})) == (Verdict.FAIL, {metric})


def test_one_reference_that_leads_nowhere_fails_whoever_made_the_record():
    assert verify_gate(orphans={"account": 1}) == (Verdict.FAIL, {"orphans"})


def test_a_target_that_counts_otherwise_fails():
    assert verify_gate(counted={"account": 501, "contact": 500}) == (Verdict.FAIL, {"count_difference"})


def test_an_entity_nothing_was_expected_of_is_inconclusive():
    verdict, metrics = verify_gate(contact=reconciliation("contact", expected=0, observed=0, ok=0, relations=0))
    assert verdict is Verdict.INCONCLUSIVE
    assert {"reconcile_missing", "reconcile_different", "relations_broken"} <= metrics


@pytest.mark.parametrize(
    "suites",
    [
        [],
        [SuiteResult(suite="account", rows=0, declared=3)],
        [SuiteResult(suite="account", rows=5, declared=0)],
        [suite(success=None)],
        [suite(evidence=0)],
        [suite(), SuiteResult(suite="contact", rows=0, declared=3)],
    ],
)
def test_suites_without_an_answer_are_inconclusive(suites):
    assert verify_gate(suites=suites) == (Verdict.INCONCLUSIVE, {"gx_failed"})


def test_a_failed_expectation_fails_even_beside_an_inconclusive_suite():
    suites = [suite(success=False), SuiteResult(suite="contact", rows=0, declared=3)]
    assert verify_gate(suites=suites) == (Verdict.FAIL, {"gx_failed"})


def test_a_broken_warning_is_shown_and_does_not_fail():
    assert verify_gate(suites=[suite(success=False, severity="warning")]) == (Verdict.PASS, set())


@pytest.mark.parametrize("wrong", [0, 1])
def test_sample_bound_is_the_weakest(wrong):
    samples = {
        "account": bound(500, 196, wrong, confidence=0.95),
        "contact": bound(100, 100, 0, confidence=0.95),
    }
    found = {item.metric: item for item in verify_measurements({}, {}, samples, [])}["sample_wrong_bound"]
    assert (found.value <= 0.01) == (wrong == 0)
    assert found.evidence == 296


def test_a_sample_of_nothing_proves_nothing():
    samples = {"account": bound(500, 196, 0, confidence=0.95), "contact": bound(0, 0, 0, confidence=0.95)}
    found = {item.metric: item for item in verify_measurements({}, {}, samples, [])}["sample_wrong_bound"]
    assert (found.value, found.evidence) == (None, 0)


def test_every_metric_that_can_be_asked_for_is_measured():
    found = [
        *load_measurements([ACCOUNT], ["account"]),
        *verify_measurements({}, {}, {}, []),
        *people_measurements([], limit=0.05),
        control_totals([]),
    ]
    ours = ("load", "verify", "layer")
    others = {item.metric for name, gate in DEFAULT_CRITERIA.items() if name not in ours for item in gate}
    others.add("undo_hours")  # asked for wherever the project says how long its undo window is
    assert {item.metric for item in found} == set(METRICS) - others
    assert {item.metric for gate in DEFAULT_CRITERIA.values() for item in gate} <= set(METRICS)


FIELDS = {
    "name": FieldSpec(),
    "account": FieldSpec(type=FieldType.REFERENCE, references="account"),
    "remark": FieldSpec(verify=False),
}
ROW = Expectation("K1", "src:1", {"name": "甲", "remark": "x"}, {"account": "T1"}, derived={"name": "甲"})


def record(**values):
    return TargetRecord("contact", "K1", "T9", {"name": "甲", "account": "T1", "remark": None} | values)


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        ([record()], ()),
        ([], ("*",)),
        ([record(), record()], ("*",)),
        ([record(name="乙")], ("name",)),
        ([record(name=None)], ("name",)),
        ([record(account="T2")], ("account",)),
        ([record(account=None)], ("account",)),
    ],
)
def test_a_sampled_row_is_looked_at_field_by_field(records, wrong):
    assert wrong_fields(ROW, records, FIELDS) == wrong


def test_a_stage_that_lies_is_found_by_deriving_anew():
    row = Expectation("K1", "src:1", {"name": "乙"}, {"account": "T1"}, derived={"name": "甲"})
    assert wrong_fields(row, [record(name="乙")], FIELDS) == ("name",)


def test_a_field_left_to_people_is_not_judged_in_the_sample():
    row = Expectation("K1", "src:1", {"name": "甲"}, {"account": "T1"}, kept=frozenset({"name"}))
    assert wrong_fields(row, [record(name="丙")], FIELDS) == ()
