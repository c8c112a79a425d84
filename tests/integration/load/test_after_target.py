"""The test target before production: what production waits for, and how its plan stands beside the one of the trial."""

from __future__ import annotations

import csv
import json

import pytest
from sqlalchemy import text

from rollout.cli.app import run
from rollout.connectors import memory
from rollout.connectors.memory import MemoryConnector, MemoryFault
from rollout.errors import ApprovalError, ConfigError, Retryable
from rollout.journal import people
from rollout.journal.plans import Plans
from rollout.journal.store import Journal
from rollout.load import sending
from rollout.model.verdict import GateResult, Verdict
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.compare_plans import compare_plans
from rollout.phases.context import PhaseContext
from rollout.phases.decide import decide
from rollout.phases.delta import run_delta
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo
from rollout.phases.verify import run_verify
from rollout.project.database import database_url
from rollout.project.keys import key_ring
from rollout.project.loader import load_project

PROJECT = """
version: 1
project: {{id: trial, name: 试装}}
systems:
  legacy: {{connector: files, options: {{root: legacy}}}}
  crm_test: {{connector: memory, options: {{store: "{store}/test", entities: {{account: {fields}}}}}}}
  crm_prod: {{connector: memory, options: {{store: "{store}/prod", entities: {{account: {fields}}}}}}}
targets:
  test: {{system: crm_test}}
  prod: {{system: crm_prod, after: test, phases: [], max_conflict_share: 1}}
entities:
  account:
    label: 客户
    title_field: name
    adopt_by: [[phone]]
    fields: {fields}
    sources: [{{name: accounts, system: legacy, path: accounts.csv, row_key: [k], mapping: account.yaml}}]
verify: {{share: 1}}
environments:
  prod:
    targets:
      test: {{phases: []}}
      prod: {{phases: [plan, load, verify, integrate, loadtest, operate]}}
"""
ACCOUNT = """
entity: account
source: accounts
fields: [{target: name, source: name}, {target: phone, source: phone}, {target: note, source: note}]
"""
ROWS = [[f"{n}", f"公司{n}", f"1380000{n:04}", ""] for n in range(12)]


class Trial:
    """A rollout with a test target and production, and the steps that people take in either."""

    def __init__(self, root, journal, code) -> None:
        self.root, self.code = root, code
        self.contexts = {
            env: PhaseContext(project=load_project(root / "rollout.yaml", env=env, environ={}), journal=journal)
            for env in (None, "prod")
        }
        self.test, self.prod = self.contexts[None], self.contexts["prod"]
        (root / "legacy").mkdir()
        self.write(ROWS)

    def write(self, rows) -> None:
        """Put the legacy file in place, and cleanse it."""
        with (self.root / "legacy" / "accounts.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([["k", "name", "phone", "note"], *rows])
        run_cleanse(self.test)

    def load(self, context):
        approve(context, person="tester", code=self.code, reason="as agreed in the test")
        return run_load(context)

    def roll_out(self, context):
        """Plan, approve and load; the verification finds everything in order."""
        run_plan(context)
        assert self.load(context).state == "applied"
        self.judge(context, Verdict.PASS)

    def judge(self, context, verdict) -> None:
        """What a verification leaves in the journal; the real one takes its time, and one test has it."""
        journal, target = context.journal, context.target("verify")[0]
        with journal.transaction() as connection:
            plan = Plans(journal.project_id).latest_begun(connection, target)
        with journal.running("verify") as run:
            for gate in ("load", "verify"):
                found = verdict if gate == "verify" else Verdict.PASS
                journal.record_gate(run.run_id, GateResult(gate=gate, verdict=found, criteria=()))
            run.summary = {"target": target, "plan_id": plan.plan_id}

    def crm(self, context) -> MemoryConnector:
        connector = context.connector("crm_test" if context is self.test else "crm_prod")
        assert isinstance(connector, MemoryConnector)
        return connector

    def undo(self, context, **options):
        plan_undo(context, wave="all", **options)
        approve(context, person="tester", code=self.code, reason="as agreed in the test")
        return run_undo(context)

    def overrule(self, *, go: bool) -> None:
        decide(
            self.test, phase="verify", go=go, person="tester", code=self.code, reason="known in the test", override=go
        )


@pytest.fixture
def trial(tmp_path, pg_url, monkeypatch):
    (tmp_path / "rollout.yaml").write_text(
        PROJECT.format(store=tmp_path, fields="{name: {required: true}, phone: {}, note: {}}"), encoding="utf-8"
    )
    (tmp_path / "account.yaml").write_text(ACCOUNT, encoding="utf-8")
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    project = load_project(tmp_path / "rollout.yaml", environ={})
    journal = Journal.open(database_url(project, database="journal"), project_id="trial", keys=key_ring(project))
    trial = Trial(tmp_path, journal, people.add(journal, "tester"))
    yield trial
    for context in trial.contexts.values():
        context.close()
    for name in ("test", "prod"):
        memory.forget_store(f"{tmp_path}/{name}")


def refused(trial, told: str) -> None:
    with pytest.raises(ApprovalError, match=told) as refusal:
        run_plan(trial.prod)
    assert (refusal.value.where, "--env" in refusal.value.hint) == ("targets.prod.after", True)


def test_production_waits_until_the_wave_is_loaded_and_verified_in_the_test_target(trial):
    refused(trial, "it was not loaded into 'test'")
    run_plan(trial.test)
    refused(trial, "it was not loaded into 'test'")
    trial.load(trial.test)
    refused(trial, "it was not verified in 'test' since it was loaded")
    assert run_verify(trial.test).verdict is Verdict.PASS
    plan = run_plan(trial.prod)
    assert (plan.target, plan.entities["account"].create) == ("prod", len(ROWS))
    assert (plan.compared.same, plan.compared.differing, plan.compared.file) == (len(ROWS), 0, None)
    assert trial.load(trial.prod).state == "applied"
    # Verified in production says nothing about the test target, and takes nothing away from it.
    assert run_verify(trial.prod).target == "prod"
    run_plan(trial.prod)


def test_the_target_that_comes_first_waits_for_nothing(trial):
    assert run_plan(trial.test).compared is None


def test_other_sources_or_rules_must_be_tried_first(trial):
    trial.roll_out(trial.test)
    run_plan(trial.prod)
    trial.write([*ROWS, ["new", "新公司", "13900000000", ""]])
    refused(trial, "what 'test' holds of it is from other sources →")
    delta = run_delta(trial.test)
    assert [plan.entities["account"].create for plan in delta.plans] == [1]
    refused(trial, "from other sources →")
    trial.load(trial.test)
    refused(trial, "not verified in 'test' since")
    trial.judge(trial.test, Verdict.PASS)
    plan = run_plan(trial.prod)
    assert plan.entities["account"].create == len(ROWS) + 1
    # Beside the load of the trial, which is of a like kind, not the delta over it.
    assert (plan.compared.other_kind, plan.compared.same_inputs) == ("load", False)
    assert plan.compared.entities["account"].only_here == 1


def test_a_gate_that_is_not_green_must_be_overridden_by_name_and_a_later_no_go_counts(trial):
    run_plan(trial.test)
    trial.load(trial.test)
    trial.judge(trial.test, Verdict.FAIL)
    refused(trial, r"a gate in 'test' does not carry it: verify \(FAIL\)")
    trial.overrule(go=True)
    run_plan(trial.prod)
    trial.overrule(go=False)
    refused(trial, "does not carry it")
    trial.overrule(go=True)
    run_plan(trial.prod)
    trial.judge(trial.test, Verdict.FAIL)  # anew: what was overridden is no longer the latest
    refused(trial, "does not carry it")


def test_what_was_taken_back_is_not_there_unless_that_was_a_rehearsal(trial):
    trial.roll_out(trial.test)
    assert trial.undo(trial.test, rehearse=True).deleted == len(ROWS)
    run_plan(trial.prod)
    trial.roll_out(trial.test)
    trial.undo(trial.test)
    refused(trial, "it was taken back from 'test'")


def test_an_approved_plan_waits_as_well_and_one_that_has_begun_is_finished(trial):
    trial.roll_out(trial.test)
    run_plan(trial.prod)
    trial.judge(trial.test, Verdict.INCONCLUSIVE)
    with pytest.raises(ApprovalError, match="does not carry it"):
        trial.load(trial.prod)
    assert list(trial.crm(trial.prod).read_all("account")) == []
    with trial.prod.journal.transaction() as connection:  # as if it had been killed right after it began
        plans = Plans(trial.prod.journal.project_id)
        plan = plans.latest(connection, "prod", ("approved",))
        plans.move(connection, plan.plan_id, "loading", before=("approved",))
    assert run_load(trial.prod).state == "applied"


def test_what_is_written_after_the_verification_must_be_verified_as_well(trial):
    run_plan(trial.test)
    trial.crm(trial.test).fail_next(*[MemoryFault.BUSY] * 5)
    with pytest.raises(Retryable):
        trial.load(trial.test)
    trial.judge(trial.test, Verdict.PASS)
    refused(trial, "its load into 'test' is not finished")
    assert run_load(trial.test).state == "applied"
    refused(trial, "it was not verified in 'test' since it was loaded")
    trial.judge(trial.test, Verdict.PASS)
    run_plan(trial.prod)


def test_a_verification_that_broke_off_proves_nothing(trial):
    trial.roll_out(trial.test)
    journal = trial.test.journal
    run_id = journal.start_run("verify")  # killed before it said of which target it was
    journal.record_gate(run_id, GateResult(gate="verify", verdict=Verdict.FAIL, criteria=()))
    refused(trial, "not verified in 'test'")


def test_the_command_line_tells_and_compares(trial, capsys):
    options = ("--project", str(trial.root), "--env", "prod")
    assert run([*options, "compare-plans", "--json"]) == 2
    assert "no plan for target 'prod'" in json.loads(capsys.readouterr().out)["error"]["message"]
    trial.roll_out(trial.test)
    run_plan(trial.prod)
    assert run([*options, "compare-plans"]) == 0
    assert "12 records the same, 0 not" in capsys.readouterr().out
    trial.crm(trial.prod).add("account", {"name": "公司3", "phone": ROWS[3][2]}, user="sales")
    assert run([*options, "plan"]) == 0
    assert "of 'test': 11 records the same, 1 not" in capsys.readouterr().out
    assert run([*options, "compare-plans", "--with", "test", "--wave", "all", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["differing"], told["entities"]["account"]["other_action"]) == (11, 1, 1)
    assert run([*options, "compare-plans"]) == 1
    assert "account: 1 × adopt / create ('prod' / 'test')" in capsys.readouterr().out


def compare(trial):
    return compare_plans(trial.prod, other="test")


def test_two_plans_that_do_the_same_are_the_same(trial):
    run_plan(trial.test)
    with pytest.raises(ConfigError, match="no plan for target 'prod'"):
        compare(trial)
    trial.load(trial.test)
    trial.judge(trial.test, Verdict.PASS)
    run_plan(trial.prod)
    found = compare(trial)
    assert (found.same, found.differing, found.is_same, found.same_inputs, found.file) == (12, 0, True, True, None)
    again = run_plan(trial.test)  # newer, and all is there: what was tried is what was loaded
    assert again.entities["account"].unchanged == len(ROWS)
    assert compare(trial) == found


def test_a_record_that_production_has_already_and_other_values_are_seen(trial):
    trial.roll_out(trial.test)
    crm = trial.crm(trial.prod)
    crm.add("account", {"name": "公司3", "phone": ROWS[3][2]}, user="sales")
    plan = run_plan(trial.prod)
    assert plan.entities["account"].adopt == 1
    found = plan.compared
    assert (found.same, found.differing, found.is_same) == (len(ROWS) - 1, 1, False)
    account = found.entities["account"]
    assert (account.other_action, account.actions) == (1, {"adopt / create": 1})
    listed = (trial.root / ".rollout" / found.file).read_text(encoding="utf-8-sig").splitlines()
    assert listed == ["entity,key,difference,here,there,fields", "account,accounts:3,other_action,adopt,create,"]
    assert compare(trial) == found


def test_other_values_and_records_of_one_side_are_counted_without_a_value(trial):
    trial.roll_out(trial.test)
    changed = [[*ROWS[0][:1], "改名公司", *ROWS[0][2:]], *ROWS[1:11], ["n", "=新公司", "13900000000", "备注"]]
    trial.write(changed)
    run_plan(trial.test)  # proposed only: the load of the trial stays what production is compared with
    found = _plan_unguarded(trial).compared
    account = found.entities["account"]
    assert (account.other_values, account.fields, found.same_inputs) == (1, {"name": 1}, False)
    assert (account.only_here, account.only_there, account.same) == (1, 1, 10)
    told = (trial.root / ".rollout" / found.file).read_text(encoding="utf-8-sig")
    assert "account,accounts:0,other_values,create,create,name" in told
    assert "account,accounts:n,only_here,create,," in told
    assert "account,accounts:11,only_there,,create," in told
    assert "公司" not in told


def _plan_unguarded(trial):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rollout.phases.plan.refuse_before_other", lambda *_: None)
        return run_plan(trial.prod)


def test_where_values_are_destroyed_actions_are_compared_and_it_is_said(trial):
    trial.roll_out(trial.test)
    run_plan(trial.prod)
    with trial.test.journal.transaction() as connection:
        connection.execute(
            text("UPDATE data_key SET wrapped = NULL, destroyed_at = now() WHERE key_id IN"
                 " (SELECT key_id FROM plan WHERE target = 'test')")
        )  # fmt: skip
    found = compare(trial)
    assert (found.same, found.differing, found.values_known, found.is_same) == (12, 0, False, False)


@pytest.mark.parametrize("other", ["prod", "staging"])
def test_a_target_to_compare_with_must_be_another_one(trial, other):
    with pytest.raises(ConfigError, match=f"no other target '{other}'"):
        compare_plans(trial.prod, other=other)
    with pytest.raises(ConfigError, match="no target to compare with"):
        compare_plans(trial.test)
    with pytest.raises(ConfigError, match="unknown wave"):
        compare_plans(trial.prod, wave="pilots")
