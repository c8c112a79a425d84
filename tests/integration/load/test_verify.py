"""Verification after a real load: a flawless one passes, and every injected defect is found with the right count."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.connectors.memory import MemoryConnector
from rollout.errors import ConfigError, DriftError
from rollout.journal import crosswalk
from rollout.model.target import Op, TargetRecord, WriteRow
from rollout.model.verdict import Verdict
from rollout.phases.verify import run_verify
from rollout.project.spec import VerifySample

ACCOUNTS = {f"s:{n}": {"name": f"示例公司{n}", "phone": f"+86210000{n:04}"} for n in range(40)}
CONTACTS = {f"c:{n}": {"name": f"示例人{n}", "account": f"s:{n % 40}"} for n in range(60)}


@pytest.fixture
def bench(bench):
    """With a sample of everything, so that what it finds does not hang on the keys that were drawn."""
    project = bench.context.project
    spec = project.spec.model_copy(update={"verify": VerifySample(share=1)})
    bench.context = replace(bench.context, project=replace(project, spec=spec))
    return bench


@pytest.fixture
def loaded(bench):
    bench.golden(ACCOUNTS, CONTACTS, merged={"s:dup": "s:1"})
    bench.plan_and_load()
    return bench


def observed(summary):
    return {result.metric: result.observed for result in summary.criteria}


def failing(summary):
    return {result.metric for result in summary.criteria if result.verdict is not Verdict.PASS}


def contact(bench, number):
    return bench.records("contact")[f"示例人{number}"]


def account(bench, number):
    return bench.records()[f"示例公司{number}"]


def test_a_flawless_load_passes(loaded):
    summary = run_verify(loaded.context)
    assert (summary.verdict, failing(summary)) == (Verdict.PASS, set())
    figures = summary.entities["account"].reconciliation
    assert (figures.expected, figures.observed, figures.ok) == (40, 40, 40)
    assert summary.entities["contact"].reconciliation.relations == 60
    assert summary.sample.bound <= 0.01
    assert (summary.sample.size, summary.sample.wrong) == (100, 0)
    assert summary.findings["error"] == 0
    journal, workspace = loaded.context.journal, loaded.context.project.workspace
    assert journal.latest_gate("verify").verdict is Verdict.PASS
    assert journal.latest_gate("load").verdict is Verdict.PASS
    assert journal.latest_run("verify").summary["verdict"] == "PASS"
    assert [path.rpartition("/")[2] for path in summary.reports] == ["acceptance.zh.html", "acceptance.en.html"]
    for path in summary.reports:
        assert "PASS" in (workspace.reports / path).read_text(encoding="utf-8")
    assert list(workspace.stages.rglob("observed-*")) == []  # what was read back does not stay


def swap(bench):
    one, two = account(bench, 1), account(bench, 2)
    for record, other in ((one, two), (two, one)):
        bench.crm.edit("account", record.target_id, {"phone": other.values["phone"]}, user="x")


def blank(bench):
    for number in (3, 4, 5):
        bench.crm.edit("account", account(bench, number).target_id, {"phone": None}, user="x")


def drop(bench):
    for number in (7, 8):
        bench.crm.remove("contact", contact(bench, number).target_id)


def misdirect(bench):
    bench.crm.edit("contact", contact(bench, 9).target_id, {"account": account(bench, 1).target_id}, user="x")


def orphan(bench):
    bench.crm.edit("contact", contact(bench, 11).target_id, {"account": None}, user="x")


def dangle(bench):
    bench.crm.edit("contact", contact(bench, 12).target_id, {"account": "no such id"}, user="x")


def duplicate(bench):
    record = account(bench, 6)
    store = bench.crm._store.table("account")
    bench.crm._insert(store, record.migration_key, dict(record.values), "x")


def extra(bench):
    bench.crm.write("account", [WriteRow("never-made", Op.CREATE, {"name": "陌生公司"})])


def lose_parent(bench):
    bench.crm.remove("account", account(bench, 10).target_id)


def several(*mutations):
    def mutate(bench):
        for mutation in mutations:
            mutation(bench)

    return mutate


MUTANTS = {
    "fields": (several(swap, blank), {"reconcile_different": 5}, 5),
    "records": (
        several(drop, duplicate, extra),
        {"reconcile_missing": 2, "reconcile_duplicate": 1, "reconcile_extra": 1},
        3,  # a record under a key that nobody loaded cannot be drawn
    ),
    "relations": (several(misdirect, orphan, dangle), {"reconcile_different": 3, "relations_broken": 3}, 3),
    # Its two contacts are broken by the reconciliation's measure; the sample compares ids and sees the account only.
    "parent": (lose_parent, {"reconcile_missing": 1, "reconcile_different": 2, "relations_broken": 2}, 1),
}


@pytest.mark.parametrize(("mutate", "metrics", "sampled"), MUTANTS.values(), ids=MUTANTS)
def test_an_injected_defect_is_found(loaded, mutate, metrics, sampled):
    mutate(loaded)
    summary = run_verify(loaded.context)
    assert summary.verdict is Verdict.FAIL
    found = observed(summary)
    counted = {metric: value for metric, value in found.items() if metric.startswith(("reconcile", "rel")) and value}
    assert counted == metrics
    assert found["gx_failed"] >= 1
    assert summary.sample.wrong == sampled
    assert ("sample_wrong_bound" in failing(summary)) == (sampled > 0)
    assert summary.findings["error"] >= 1
    assert loaded.context.journal.latest_gate("verify").verdict is Verdict.FAIL


def test_findings_name_rows_and_no_values(loaded):
    blank(loaded)
    drop(loaded)
    summary = run_verify(loaded.context)
    findings = {(finding.id, finding.where): finding for finding in loaded.context.journal.findings(summary.run_id)}
    keys = {row["golden_key"] for row in findings["verify.field_differs", "account.phone"].detail["rows"]}
    assert keys == {"s:3", "s:4", "s:5"}
    assert {row["golden_key"] for row in findings["verify.missing", "contact"].detail["rows"]} == {"c:7", "c:8"}
    told = json.dumps([finding.model_dump(mode="json") for finding in findings.values()], ensure_ascii=False)
    assert "+8621" not in told
    assert "示例人" not in told


def test_records_that_people_made_are_told_apart(loaded):
    loaded.crm.add("account", {"name": "手工录入"}, user="li.na")
    summary = run_verify(loaded.context)
    assert summary.verdict is Verdict.PASS
    assert summary.entities["account"].reconciliation.other == 1


def test_a_target_that_hides_records_fails(loaded, monkeypatch):
    monkeypatch.setattr(MemoryConnector, "count", lambda self, entity: 41 if entity == "account" else 60)
    summary = run_verify(loaded.context)
    assert failing(summary) == {"count_difference"}


def test_a_bulk_read_that_lies_is_caught_by_the_sample(loaded, monkeypatch):
    """The two ways to the target are independent: what the bulk read hides, reading by key shows."""
    honest = MemoryConnector.read_by_keys

    def read(self, entity, keys):
        found = honest(self, entity, keys)
        return {
            key: [TargetRecord(r.entity, r.migration_key, r.target_id, {**r.values, "name": "?"}) for r in records]
            for key, records in found.items()
        }

    monkeypatch.setattr(MemoryConnector, "read_by_keys", read)
    summary = run_verify(loaded.context)
    assert failing(summary) == {"sample_wrong_bound"}
    assert summary.sample.wrong == 100


def test_a_rejected_row_is_not_expected_and_its_absence_is_no_defect(bench):
    bench.golden({**ACCOUNTS, "s:long": {"name": "示例公司长", "note": "x" * 21}}, CONTACTS)
    summary = bench.plan_and_load()
    assert summary.entities["account"].rejected == 1
    summary = run_verify(bench.context)
    assert summary.entities["account"].reconciliation.expected == 40
    assert failing(summary) == {"load_success"}  # 40 of 41


def test_a_rejected_row_that_is_there_is_found(bench):
    bench.golden({**ACCOUNTS, "s:long": {"name": "示例公司长", "note": "x" * 21}}, CONTACTS)
    bench.plan_and_load()
    with bench.context.journal.transaction() as connection:
        key = crosswalk.keys(connection, "tiny", "account", ["s:long"])["s:long"]
    bench.crm.write("account", [WriteRow(key, Op.CREATE, {"name": "示例公司长"})])
    summary = run_verify(bench.context)
    assert observed(summary)["reconcile_extra"] == 1
    (finding,) = [item for item in bench.context.journal.findings(summary.run_id) if item.id == "verify.extra"]
    assert finding.detail["rows"] == [{"golden_key": "s:long", "migration_key": key, "reason": "rejected"}]


def test_what_people_changed_after_the_load_fails_until_a_plan_leaves_it_to_them(loaded):
    loaded.edit("示例公司3", phone="+862100009999")
    assert observed(run_verify(loaded.context))["reconcile_different"] == 1
    loaded.plan_and_load()  # the source did not change: theirs stays, says the plan
    summary = run_verify(loaded.context)
    assert summary.verdict is Verdict.PASS
    assert summary.entities["account"].reconciliation.kept == 1


def test_rows_of_an_earlier_load_whose_source_is_gone_are_held(loaded):
    loaded.golden(ACCOUNTS, {key: row for key, row in CONTACTS.items() if key != "c:59"})
    loaded.plan_and_load()
    summary = run_verify(loaded.context)
    assert summary.verdict is Verdict.PASS
    assert summary.entities["contact"].reconciliation.held == 1


def test_one_entity_alone_is_judged_under_a_name_of_its_own(loaded):
    drop(loaded)
    summary = run_verify(loaded.context, entities=["account"])
    assert list(summary.entities) == ["account"]
    assert {gate.gate for gate in summary.gates} == {"load:account", "verify:account"}
    assert summary.reports == ()
    assert loaded.context.journal.latest_gate("verify") is None
    assert run_verify(loaded.context, entities=["contact"]).verdict is Verdict.FAIL


def test_an_entity_without_rows_is_never_a_pass(bench):
    bench.golden(ACCOUNTS, {})
    bench.plan_and_load()
    summary = run_verify(bench.context)
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert {"reconcile_missing", "sample_wrong_bound", "gx_failed", "load_success"} <= failing(summary)
    assert summary.sample.bound is None


def test_nothing_at_all_is_never_a_pass(bench):
    bench.golden({}, {})
    bench.plan_and_load()
    assert run_verify(bench.context).verdict is Verdict.INCONCLUSIVE


def test_an_emptied_target_fails(loaded):
    for entity in ("contact", "account"):
        for record in list(loaded.crm.read_all(entity)):
            loaded.crm.remove(entity, record.target_id)
    summary = run_verify(loaded.context)
    assert summary.verdict is Verdict.FAIL
    assert observed(summary)["reconcile_missing"] == 100


def test_before_any_load_there_is_nothing_to_verify(bench):
    bench.golden(ACCOUNTS, CONTACTS)
    with pytest.raises(ConfigError, match="nothing was loaded"):
        run_verify(bench.context)


def test_data_cleansed_anew_cannot_be_verified_against(loaded):
    loaded.touch_source()
    loaded.golden(ACCOUNTS, CONTACTS)
    with pytest.raises(DriftError, match="cleansed anew"):
        run_verify(loaded.context)


def test_an_unknown_entity_is_named(loaded):
    with pytest.raises(ConfigError, match="unknown entity: deal"):
        run_verify(loaded.context, entities=["deal"])


def test_a_golden_stage_altered_after_the_load_is_found(loaded):
    """The stage is what the reconciliation believes: changing it must show as differences, never pass."""
    run = loaded.context.journal.latest_run("cleanse")
    path = loaded.context.project.workspace.stages / run.summary["entities"]["account"]["golden_file"]
    table = pq.read_table(path)
    names = ["改名", *table["name"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.column_names.index("name"), "name", pa.array(names)), path)
    assert observed(run_verify(loaded.context))["reconcile_different"] == 1
