"""What a CRM does by itself: seen before the load, switched by a checked list, and counted around the load."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rollout.connectors.memory import MemoryField
from rollout.errors import ApprovalError, ConfigError, Fatal, UnsupportedOperation
from rollout.model.entity import FieldSpec
from rollout.phases.automation import automation_status, still_off, switch_off, switch_on
from rollout.phases.preflight import run_preflight

from ._automated import AutomatedCrm

ACCOUNTS = {"A1": {"name": "North", "seen": "2026-01-01"}, "A2": {"name": "South", "seen": "2026-03-01"}}
WHY = "the load is tonight"


@pytest.fixture
def quiet(make_bench):
    """A bench whose CRM has rules, and whose accounts say when somebody last saw to them."""

    def make(*, suppresses: bool = False, clock_field: bool = True):
        bench = make_bench()
        context = bench.context
        spec = context.project.spec
        account = spec.entities["account"]
        if clock_field:
            fields = {**account.fields, "seen": FieldSpec.model_validate({"type": "date"})}
            account = account.model_copy(update={"fields": fields})
            spec = spec.model_copy(update={"entities": {**spec.entities, "account": account}})
        options = {**spec.systems["crm"].options}
        seen = MemoryField.model_validate({"type": "date"}).model_dump()
        options["entities"] = {**options["entities"], "account": {**options["entities"]["account"], "seen": seen}}
        crm = AutomatedCrm(options, suppresses=suppresses)
        bench.context = replace(
            context,
            project=replace(context.project, spec=spec),
            clock=lambda: datetime(2026, 3, 10, tzinfo=UTC),
            _connectors={"crm": crm},
        )
        bench.golden(ACCOUNTS)
        return bench, crm

    return make


def found(summary) -> dict[str, object]:
    return {finding.id: finding for finding in summary.findings}


def test_rules_that_would_act_on_the_load_are_errors(quiet) -> None:
    bench, _ = quiet()
    summary = run_preflight(bench.context)
    findings = found(summary)
    assert set(findings) == {"preflight.recycled", "preflight.set_off", "preflight.sla"}
    recycled = findings["preflight.recycled"]
    assert recycled.count == 1  # North, last seen more than 30 days ago
    assert "1 of 2" in recycled.message
    assert (summary.errors, summary.warnings) == (3, 1)  # recycling, assignment, notification; the clock
    assert summary.rules_on == ("assign", "clock", "notify", "pool")
    assert bench.context.journal.latest_run("preflight").run_id == summary.run_id


def test_a_target_that_suppresses_what_calls_set_off_still_recycles(quiet) -> None:
    bench, _ = quiet(suppresses=True)
    summary = run_preflight(bench.context)
    assert set(found(summary)) == {"preflight.recycled", "preflight.quieted", "preflight.sla"}
    assert summary.errors == 1


def test_a_recycling_clock_that_nobody_writes_takes_everything(quiet) -> None:
    bench, _ = quiet(clock_field=False)
    finding = found(run_preflight(bench.context))["preflight.clock_unwritten"]
    assert finding.count == 2


def test_people_who_would_hold_more_than_they_may_are_counted(quiet) -> None:
    bench, crm = quiet()
    limit = {"entity": "account", "owner_field": "phone", "max_per_owner": "1"}
    crm.rules["pool"] = replace(crm.rules["pool"], settings=limit)
    bench.golden({f"A{n}": {"name": f"N{n}", "phone": "a" if n < 4 else "b"} for n in range(5)})
    finding = found(run_preflight(bench.context))["preflight.holding_limit"]
    assert (finding.count, finding.detail["owners"]) == (3, {"a": 4})


def test_a_crm_that_does_not_tell_its_rules_is_to_be_looked_at_by_hand(bench) -> None:
    bench.golden({"A1": {"name": "North"}})
    assert set(found(run_preflight(bench.context))) == {"preflight.unseen"}
    with pytest.raises(UnsupportedOperation):
        automation_status(bench.context)


def test_nothing_is_left_to_say_once_all_rules_are_off(quiet) -> None:
    bench, crm = quiet()
    switch_off(bench.context, person="tester", code=bench.code, reason=WHY)
    assert not any(rule.is_on for rule in crm.rules.values())
    summary = run_preflight(bench.context)
    assert (summary.findings, summary.rules_on) == ((), ())


def test_what_was_switched_off_is_switched_on_again_and_nothing_else(quiet) -> None:
    bench, crm = quiet()
    off = switch_off(bench.context, person="tester", code=bench.code, reason=WHY, rules=["pool", "notify"])
    assert (off.switched, off.still_off) == (("notify", "pool"), ("notify", "pool"))
    assert off.never_touched == ("old",)
    status = {rule.name: rule for rule in automation_status(bench.context).rules}
    assert (status["pool"].off_by, status["pool"].off_reason, status["assign"].off_by) == ("tester", WHY, None)
    part = switch_on(bench.context, person="tester", code=bench.code, reason="people are in", rules=["pool"])
    assert (part.switched, part.still_off) == (("pool",), ("notify",))
    rest = switch_on(bench.context, person="tester", code=bench.code, reason="people are in")
    assert (rest.switched, rest.still_off) == (("notify",), ())
    assert {name: rule.is_on for name, rule in crm.rules.items()} == {
        "pool": True,
        "assign": True,
        "notify": True,
        "clock": True,
        "old": False,
    }


def test_a_rule_that_could_not_be_switched_stays_on_the_list(quiet) -> None:
    bench, crm = quiet()
    switch_off(bench.context, person="tester", code=bench.code, reason=WHY)
    crm.forbidden = {"notify"}
    with pytest.raises(Fatal):
        switch_on(bench.context, person="tester", code=bench.code, reason="people are in")
    assert "notify" in still_off(bench.context, "test")
    assert "assign" not in still_off(bench.context, "test")
    crm.forbidden = set()
    assert switch_on(bench.context, person="tester", code=bench.code, reason="people are in").still_off == ()


def test_a_crash_between_list_and_switch_forgets_no_rule(quiet) -> None:
    bench, crm = quiet()
    crm.forbidden = {"pool"}  # the last of them
    with pytest.raises(Fatal):
        switch_off(bench.context, person="tester", code=bench.code, reason=WHY)
    assert set(still_off(bench.context, "test")) == {"assign", "clock", "notify", "pool"}


def test_nobody_switches_without_name_reason_and_rule(quiet) -> None:
    bench, _ = quiet()
    with pytest.raises(ApprovalError):
        switch_off(bench.context, person="tester", code="wrong", reason=WHY)
    with pytest.raises(ApprovalError):
        switch_off(bench.context, person="tester", code=bench.code, reason=" ")
    with pytest.raises(ConfigError, match="unknown rule: pol"):
        switch_off(bench.context, person="tester", code=bench.code, reason=WHY, rules=["pol"])
    assert still_off(bench.context, "test") == ()


@pytest.mark.parametrize("suppresses", [True, False])
def test_the_load_proves_whether_it_stayed_quiet(quiet, suppresses) -> None:
    bench, _ = quiet(suppresses=suppresses)
    proof = bench.plan_and_load().quiet
    assert proof.before == {"workflow_runs": 7, "todos": 0, "notifications": 3, "messages": 0}
    assert proof.difference["notifications"] == (0 if suppresses else 2)
    assert proof.quiet is suppresses
    assert proof.rules_on == ("assign", "clock", "notify", "pool")


def test_a_crm_that_does_not_tell_its_counts_is_no_proof_and_no_hindrance(quiet) -> None:
    bench, crm = quiet()
    crm.is_silent = True
    summary = bench.plan_and_load()
    assert summary.closed
    assert summary.quiet.quiet is None
    assert "not counted before" in summary.quiet.detail


def test_a_crm_without_rules_gives_no_proof(bench) -> None:
    bench.golden({"A1": {"name": "North"}})
    assert bench.plan_and_load().quiet is None
