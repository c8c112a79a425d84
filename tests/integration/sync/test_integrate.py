"""Every scenario passes on systems in order, and each seeded defect turns its cell, and the gate, away from PASS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.connectors.base import Op, RowResult, WriteRow
from rollout.connectors.crm_testbed import TestbedConnector
from rollout.errors import ConfigError, OutcomeUnknown, UnsupportedOperation
from rollout.integrate.upsert import Upsert
from rollout.journal import people
from rollout.model.integration import Cell
from rollout.model.verdict import Verdict
from rollout.phases.decide import decide
from rollout.phases.integrate import IntegrateSummary, run_integrate
from rollout.project.spec import ProjectSpec
from rollout.testbed.fault_kinds import Fault

ALL = ["lead_won", "complaint_escalated", "order_arrives", "message_once", "erp_refuses", "answer_lost"]


def integrate(bench) -> IntegrateSummary:
    return run_integrate(bench.context)


def cell(summary: IntegrateSummary, scenario: str) -> Cell:
    return next(found for found in summary.cells if found.scenario == scenario)


def changed(bench, change: Callable[[dict], None]) -> ProjectSpec:
    spec = bench.context.project.spec.model_dump()
    change(spec)
    return ProjectSpec.model_validate(spec)


def leftovers(bench) -> list[str]:
    """Test records that any system still holds."""
    crm = bench.context.connector("crm")
    entities = ("account", "lead", "opportunity", "ticket", "todo", "notification", "order", "message")
    return [
        f"{entity} {record.values}"
        for entity in entities
        for record in crm.read_all(entity)
        if "DRILL-" in str(record.values) or "DRILL-" in str(record.migration_key) or entity in ("todo", "notification")
    ]


@contextmanager
def rule_off(bench, name: str):
    with bench.testbed.client("admin") as client:
        client.put(f"/api/admin/rules/{name}", json={"enabled": False}).raise_for_status()
        try:
            yield
        finally:
            client.put(f"/api/admin/rules/{name}", json={"enabled": True}).raise_for_status()


def test_everything_passes_and_nothing_is_left_behind(bench):
    summary = integrate(bench)
    assert [(found.scenario, found.verdict) for found in summary.cells] == [(name, "PASS") for name in ALL], [
        found.observed for found in summary.cells
    ]
    assert summary.verdict is Verdict.PASS
    assert [(drill.put, drill.found, drill.missing, drill.extra) for drill in summary.drills] == [
        (6, 6, 0, 0),
        (12, 12, 0, 0),
    ]
    assert cell(summary, "answer_lost").facts["lost"] == 2
    assert {event.event for event in summary.events} >= {"interrupted", "stopped", "healed", "answer_lost", "compared"}
    assert summary.findings == {}
    assert leftovers(bench) == []
    with bench.context.journal.database.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sync_record").scalar_one() == 0
    run = bench.context.journal.latest_run("integrate")
    assert run is not None
    assert run.summary["verdict"] == "PASS"
    assert bench.context.journal.latest_gate("integrate").verdict is Verdict.PASS
    zh, en = (Path(path).read_text("utf-8") for path in summary.reports)
    assert "系统集成测试报告" in zh
    assert "集成矩阵" in zh
    assert "Integration matrix" in en
    assert 'class="c cell PASS"' in en


@pytest.mark.attack
@pytest.mark.parametrize("rule", ["lead_won", "complaint_escalation"])
def test_a_linkage_rule_that_is_switched_off_fails_its_cell(bench, rule):
    with rule_off(bench, rule):
        summary = integrate(bench)
    scenario = "complaint_escalated" if rule == "complaint_escalation" else rule
    assert cell(summary, scenario).verdict is Verdict.FAIL
    assert [found.scenario for found in summary.cells if found.verdict is not Verdict.PASS] == [scenario]
    assert summary.verdict is Verdict.FAIL
    assert "FAIL" in Path(summary.reports[0]).read_text("utf-8")
    assert leftovers(bench) == []


@pytest.mark.attack
def test_an_amount_that_is_altered_on_the_way_fails(bench, monkeypatch):
    honest = TestbedConnector.write

    def altering(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        if entity == "order":
            rows = [replace(row, values={**row.values, "amount": "1"}) for row in rows]
        return honest(self, entity, rows)

    monkeypatch.setattr(TestbedConnector, "write", altering)
    summary = integrate(bench)
    found = cell(summary, "order_arrives")
    assert (found.verdict, found.outcome) == (Verdict.FAIL, "wrong_value")
    assert found.observed == 'order.amount is "1", it should be "12850.5".'
    assert summary.verdict is Verdict.FAIL


@pytest.mark.attack
def test_a_sync_that_drops_the_product_fails(bench, make_bench):
    spec = changed(bench, lambda spec: spec["integration"]["syncs"]["orders"]["fields"].pop("product"))
    summary = integrate(make_bench(spec))
    assert cell(summary, "order_arrives").facts["field"] == "order.product"
    assert cell(summary, "order_arrives").verdict is Verdict.FAIL


@pytest.mark.attack
def test_a_message_that_is_doubled_fails(bench, monkeypatch):
    """A sync that makes a new key at every delivery."""
    honest = TestbedConnector.write
    count = [0]

    def doubling(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        if entity != "message":
            return honest(self, entity, rows)
        count[0] += 1
        keys = {f"{row.migration_key}#{count[0]}": row for row in rows}
        results = honest(self, entity, [replace(row, migration_key=key) for key, row in keys.items()])
        return [replace(result, migration_key=keys[result.migration_key].migration_key) for result in results]

    monkeypatch.setattr(TestbedConnector, "write", doubling)
    found = cell(integrate(bench), "message_once")
    assert (found.verdict, found.outcome, found.facts["found"]) == (Verdict.FAIL, "wrong_count", 2)

    code = people.add(bench.context.journal, "boss")
    given = {"go": True, "override": True, "person": "boss", "code": code, "reason": "messages are to come later"}
    decided = decide(bench.context, phase="integrate", **given)
    assert {Path(path).name for path in decided.reports} == {"integration.zh.html", "integration.en.html"}
    assert all("messages are to come later" in Path(path).read_text(encoding="utf-8") for path in decided.reports)


def test_a_sync_that_does_not_look_before_it_sends_again_shows_as_extra_in_the_drill(bench, monkeypatch):
    """The mutant takes a lost answer for a lost call, and sends the records once more under new keys."""

    def blind(self: Upsert, rows, first, done):
        try:
            answers = self._target.write(self._entity, rows)
        except OutcomeUnknown:
            again = {f"{row.migration_key}#2": row for row in rows}
            sent = [replace(row, migration_key=key) for key, row in again.items()]
            answers = [
                replace(answer, migration_key=again[answer.migration_key].migration_key)
                for answer in self._target.write(self._entity, sent)
            ]
        from rollout.integrate.upsert import Fate, Landed

        done.update({a.migration_key: Landed(a.migration_key, Fate.CREATED, a.target_id or "") for a in answers})
        return {}

    monkeypatch.setattr(Upsert, "_send", blind)
    summary = integrate(bench)
    assert cell(summary, "answer_lost").verdict is Verdict.FAIL
    assert summary.drills[-1].extra > 0
    criteria = {result.metric: result for result in summary.gates[0].criteria}
    assert criteria["drill_extra"].verdict is Verdict.FAIL


@pytest.mark.attack
def test_a_sync_that_takes_a_lost_answer_for_a_success_that_never_was_shows_as_missing(bench, monkeypatch):
    """The mutant never sends the second batch at all, and goes on."""
    from rollout.integrate.upsert import Fate, Landed

    honest = Upsert._send

    def forgetful(self: Upsert, rows, first, done):
        if any("-207" in row.migration_key for row in rows):
            done.update({row.migration_key: Landed(row.migration_key, Fate.CREATED, "O-0") for row in rows})
            return {}
        return honest(self, rows, first, done)

    monkeypatch.setattr(Upsert, "_send", forgetful)
    summary = integrate(bench)
    assert cell(summary, "answer_lost").verdict is not Verdict.PASS
    assert summary.verdict is not Verdict.PASS


def test_a_system_that_is_down_leaves_its_cells_open(bench):
    bench.testbed.inject("erp/orders", Fault.UNAVAILABLE, times=500)
    bench.testbed.inject("erp/admin/orders", Fault.UNAVAILABLE, times=500)
    try:
        summary = integrate(bench)
    finally:
        with bench.testbed.client() as client:
            client.delete("/api/admin/faults").raise_for_status()
    verdicts = {found.scenario: found.verdict for found in summary.cells}
    assert verdicts["order_arrives"] == verdicts["answer_lost"] == Verdict.INCONCLUSIVE
    assert verdicts["lead_won"] == verdicts["message_once"] == Verdict.PASS
    assert summary.verdict is Verdict.INCONCLUSIVE


@pytest.mark.attack
def test_a_system_without_a_script_says_what_to_do_by_hand(bench, make_bench):
    spec = changed(bench, lambda spec: spec["systems"]["wecom"]["options"].update(simulated=False))
    summary = integrate(make_bench(spec))
    found = cell(summary, "message_once")
    assert (found.verdict, found.outcome) == (Verdict.INCONCLUSIVE, "by_hand")
    assert "have a person enter one" in found.observed
    assert summary.verdict is Verdict.INCONCLUSIVE


@pytest.mark.attack
def test_without_a_loaded_customer_nothing_is_claimed_of_orders(make_bench):
    summary = integrate(make_bench())
    assert cell(summary, "order_arrives").outcome == "no_customer"
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert summary.drills == ()


@pytest.mark.attack
def test_what_cannot_be_removed_is_a_finding_and_the_next_run_removes_it(bench, monkeypatch):
    honest = TestbedConnector.delete

    def refusing(self, entity: str, target_ids: Sequence[str]) -> None:
        if entity == "lead" and target_ids:
            raise UnsupportedOperation("no")
        honest(self, entity, target_ids)

    with monkeypatch.context() as patched:
        patched.setattr(TestbedConnector, "delete", refusing)
        summary = integrate(bench)
    assert summary.findings == {"warning": 1}
    assert leftovers(bench)
    assert integrate(bench).findings == {}
    assert leftovers(bench) == []


@pytest.mark.attack
def test_a_company_s_own_records_that_look_alike_stay(bench):
    """Their numbers and names begin as the test's do, without its mark."""
    numbers = ["DRILL-100", "DRILL-2026-001"]
    bench.erp.put("orders", [replace(bench.order(1), values=bench.order(1).values | {"order_no": n}) for n in numbers])
    crm = bench.context.connector("crm")
    values = {"name": "DRILL-100 钻井设备有限公司", "region": "华东", "owner": "li.na", "legacy_no": "HD-9"}
    (made,) = crm.write("account", [WriteRow(f"k-{bench.tag}", Op.CREATE, values)])
    bench.sync("orders")
    try:
        assert integrate(bench).verdict is Verdict.PASS
        assert {f"erp:{number}" for number in numbers} <= {record.migration_key for record in crm.read_all("order")}
        with bench.testbed.client() as client:
            told = client.get("/erp/orders", headers={"Authorization": f"Bearer {bench.testbed.password}"}).json()
        assert {order["order_no"] for order in told["orders"]} == set(numbers)
        assert any(record.target_id == made.target_id for record in crm.read_all("account"))
    finally:
        crm.delete("order", [r.target_id for n in numbers for r in crm.read_by_key_prefix("order", f"erp:{n}")])
        crm.delete("account", [made.target_id])


def test_what_a_rule_made_goes_also_when_its_lead_is_gone_already(bench):
    """A clearing was cut off between the two."""
    crm = bench.context.connector("crm")
    tag = "DRILL-0123abcd"
    lead = {"name": f"{tag} 线索", "company": f"{tag} 虚构客户", "region": "华东", "status": "已成交", "owner": "li.na"}
    (made,) = crm.write("lead", [WriteRow(f"drill:{tag}:lead", Op.CREATE, lead)])
    crm.delete("lead", [made.target_id])
    assert len([text for text in leftovers(bench) if tag in text]) == 2
    integrate(bench)
    assert leftovers(bench) == []


def test_a_missing_section_and_a_missing_salesperson_say_what_to_write(bench, make_bench):
    with pytest.raises(ConfigError) as error:
        integrate(make_bench(changed(bench, lambda spec: spec.update(integration=None))))
    assert "integration:" in error.value.hint
    with pytest.raises(ConfigError, match="nobody is named") as error:
        integrate(make_bench(changed(bench, lambda spec: spec["integration"].update(salesperson=None))))
    assert error.value.where == "integration.salesperson"


@pytest.mark.attack
def test_a_write_that_pretends_to_store_does_not_pass(bench):
    bench.testbed.inject("order/batch", Fault.PRETEND, times=500)
    try:
        summary = integrate(bench)
    finally:
        with bench.testbed.client() as client:
            client.delete("/api/admin/faults").raise_for_status()
    assert cell(summary, "order_arrives").verdict is Verdict.FAIL
    assert summary.drills[-1].missing == 12
