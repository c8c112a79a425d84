"""Phases, decisions and the pilot's guard on a real journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.cli import tables
from rollout.connectors import memory
from rollout.errors import ApprovalError, ConfigError
from rollout.journal import audit_trail, people
from rollout.journal.crypto import KeyRing
from rollout.journal.facts import overrides
from rollout.journal.plans import Plans
from rollout.journal.store import Journal
from rollout.model.verdict import Comparison, Criterion, GateResult, Measurement, judge_gate
from rollout.phases.approve import approve
from rollout.phases.context import PhaseContext
from rollout.phases.decide import decide
from rollout.phases.drift import source_inputs
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.phases.prepare import run_prepare
from rollout.phases.status import require, rollout_status
from rollout.project.loader import Project
from rollout.project.spec import ProjectSpec
from rollout.project.workspace import Workspace
from rollout.report import markdown
from rollout.report.status import PhaseStatus

FIELDS = {"name": {"required": True}, "region": {}}


def spec(store: str) -> ProjectSpec:
    source = {"name": "accounts", "system": "legacy", "path": "*.csv", "row_key": ["k"], "mapping": "a.yaml"}
    crm = {"store": store, "entities": {"account": FIELDS}}
    return ProjectSpec.model_validate(
        {
            "project": {"id": "tiny", "name": "Tiny"},
            "systems": {
                "legacy": {"connector": "files", "options": {"root": "legacy"}},
                "crm": {"connector": "memory", "options": crm},
            },
            "targets": {"test": {"system": "crm"}},
            "entities": {"account": {"label": "客户", "title_field": "name", "fields": FIELDS, "sources": [source]}},
            "waves": [{"name": "east", "where": {"account": {"region": ["华东"]}}}, {"name": "rest"}],
            "integration": {},
            "loadtest": {"hosts": ["http://127.0.0.1:9"], "username": "u", "password": "p"},
        }
    )


class Bench:
    """A journal, and what phases would have left in it."""

    def __init__(self, context: PhaseContext) -> None:
        self.context = context
        self.journal = context.journal
        self.codes = {name: people.add(self.journal, name) for name in ("王经理", "li")}

    def judge(self, phase: str, value: float | None, wave: str = "all", gates: tuple[str, ...] = ()) -> None:
        """A run that judges its gates: 1 passes, 0 fails, None is inconclusive; the first gates of several pass."""
        criterion = Criterion(metric="m", comparison=Comparison.AT_LEAST, threshold=1)
        with self.journal.running(phase, wave=wave) as run:
            for gate in gates or (phase,):
                found = Measurement(metric="m", value=value if gate == phase else 1.0, evidence=5)
                self.journal.record_gate(run.run_id, judge_gate(gate, [criterion], [found]), wave=wave)
            run.summary = {"plan_id": "p"}

    def plan(self, wave: str) -> str:
        """A plan of a wave, approved; without rows, for none are looked at here."""
        plans = Plans(self.journal.project_id)
        with self.journal.transaction() as connection:
            key = self.journal.new_data_key().key_id
            plan_id = plans.create(connection, target="test", wave=wave, key_id=key)
            inputs = {**source_inputs(self.context), "order": ["account"], "wave": wave}
            plans.seal(connection, plan_id, plan_hash="h", inputs=inputs, counts={}, estimate={})
        approve(self.context, person="li", code=self.codes["li"], reason="as agreed", plan_id=plan_id)
        return plan_id

    def load(self, wave: str) -> None:
        """A plan of a wave, approved and applied."""
        plans, plan_id = Plans(self.journal.project_id), self.plan(wave)
        with self.journal.running("load", wave=wave), self.journal.transaction() as connection:
            plans.move(connection, plan_id, "loading", before=("approved",))
            plans.move(connection, plan_id, "applied", before=("loading",))

    def verify(self, wave: str, value: float | None = 1.0) -> None:
        self.judge("verify", value, wave, ("load", "verify"))

    def piloted(self) -> None:
        run_prepare(self.context)
        self.judge("assess", 1.0)
        with self.journal.running("cleanse") as run:
            run.summary = {"inputs": source_inputs(self.context), "entities": {}}
        self.load("east")
        self.verify("east")
        self.judge("integrate", 1.0)
        self.judge("loadtest", 1.0)

    def decide(self, phase: str, *, go: bool = True, **values: object):
        given = {"person": "王经理", "code": self.codes["王经理"], "reason": "as agreed", **values}
        return decide(self.context, phase=phase, go=go, **given)

    def of(self, phase: str, wave: str | None = None) -> PhaseStatus:
        status = rollout_status(self.context)
        return next(found for found in status.phases if (found.phase, found.wave) == (phase, wave))

    def gate(self, name: str, wave: str | None = None) -> GateResult:
        found = self.journal.latest_gate(name, wave=wave)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path, pg_url: str):
    (tmp_path / "legacy").mkdir()
    (tmp_path / "legacy" / "accounts.csv").write_text("k,name\n1,a\n")
    project = Project(spec(str(tmp_path)), tmp_path / "rollout.yaml", tmp_path, {}, Workspace(tmp_path / ".rollout"))
    keys = KeyRing.parse(KeyRing.generate())
    with PhaseContext(project=project, journal=Journal.open(pg_url, project_id="tiny", keys=keys)) as context:
        yield Bench(context)
    memory.forget_store(str(tmp_path))


@pytest.fixture
def piloted(bench: Bench) -> Bench:
    bench.piloted()
    return bench


def test_a_fresh_journal_says_what_comes_first(bench: Bench) -> None:
    status = rollout_status(bench.context)
    assert [phase.state for phase in status.phases] == ["not_started", *["blocked"] * (len(status.phases) - 1)]
    assert status.next is not None
    assert "rollout prepare" in (status.next.waiting_for or "")
    assert "rollout prepare" in (status.next.waiting_for_zh or "")


def test_preparation_is_what_the_systems_answered(bench: Bench, monkeypatch) -> None:
    assert run_prepare(bench.context).errors == 0
    assert bench.of("prepare").state == "done"
    monkeypatch.setattr(memory.MemoryConnector, "check", _down)
    assert run_prepare(bench.context).errors == 1
    assert (bench.of("prepare").state, rollout_status(bench.context).next.phase) == ("failed", "prepare")


def _down(_self):
    from rollout.errors import Retryable

    raise Retryable("no answer")


def test_the_pilot_s_go_opens_the_next_wave_and_a_newer_judgement_closes_it_again(piloted: Bench) -> None:
    context = piloted.context
    require(context, "plan", "east")
    piloted.plan("rest")
    for refused in (lambda: run_plan(context, wave="rest"), lambda: run_load(context, wave="rest")):
        with pytest.raises(ApprovalError) as told:
            refused()
        assert "pilot" in str(told.value)
        assert "rollout decide pilot --go" in str(told.value)
    summary = piloted.decide("pilot")
    assert (summary.status.state, summary.status.decided_by, summary.override) == ("done", "王经理", False)
    assert (summary.next.phase, summary.next.wave) == ("load", "rest")
    require(context, "plan", "rest")
    piloted.judge("integrate", 1.0)
    assert piloted.of("pilot").state == "waiting"
    assert "王经理" in piloted.of("pilot").waiting_for
    with pytest.raises(ApprovalError):
        run_plan(context, wave="rest")


def test_a_no_go_keeps_the_next_wave_closed_by_name(piloted: Bench) -> None:
    piloted.decide("pilot", go=False, reason="the sales team is not trained")
    assert piloted.of("pilot").state == "no_go"
    with pytest.raises(ApprovalError, match="the sales team is not trained"):
        require(piloted.context, "plan", "rest")
    with pytest.raises(ApprovalError, match=r"; pilot is no go → "):  # not "is PASS", as its gates are
        piloted.decide("golive")


def test_a_wrong_code_a_stranger_or_no_reason_decide_nothing(piloted: Bench) -> None:
    wrong = ({"code": "wrong"}, {"person": "nobody"}, {"reason": "  "}, {"reason": "a\0b"}, {"reason": "\udcff"})
    for values in (*wrong, {"person": "\0"}, {"code": "\udcff"}):
        with pytest.raises(ApprovalError):
            piloted.decide("pilot", **values)
    assert piloted.of("pilot").state == "waiting"
    with piloted.journal.transaction() as connection:
        assert not list(connection.exec_driver_sql("SELECT 1 FROM decision"))


def test_go_live_needs_every_gate_or_an_override_and_both_are_in_the_audit_trail(piloted: Bench) -> None:
    piloted.decide("pilot")
    with pytest.raises(ApprovalError, match=r"verify \(rest\) is blocked|verify \(rest\) is not_started"):
        piloted.decide("golive")
    piloted.load("rest")
    piloted.verify("rest", None)
    with pytest.raises(ApprovalError, match=r"verify \(rest\) is INCONCLUSIVE"):
        piloted.decide("golive")
    piloted.decide("golive", override=True, reason="the season begins")
    golive = piloted.of("golive")
    assert (golive.state, golive.verdict, golive.is_override) == ("done", "INCONCLUSIVE", True)
    piloted.verify("rest")
    assert piloted.of("golive").state == "waiting"
    assert not piloted.decide("golive", override=True).override  # nothing was lacking
    with piloted.journal.transaction() as connection:
        found = list(connection.exec_driver_sql("SELECT who, subject, detail->>'override' FROM audit ORDER BY seq"))
        assert audit_trail.broken_at(connection, "tiny") is None
    assert [tuple(row) for row in found if row[1] in {"pilot", "golive"}] == [
        ("王经理", "pilot", "false"),
        ("王经理", "golive", "true"),
        ("王经理", "golive", "false"),
    ]


def test_an_override_is_printed_wherever_the_gate_is_shown_until_it_is_judged_anew(piloted: Bench) -> None:
    piloted.verify("east", 0.0)
    assert piloted.of("verify", "east").state == "failed"
    piloted.decide("verify", wave="east", override=True, reason="three records are known | <b>")
    status = rollout_status(piloted.context)
    gate, found = piloted.gate("verify", "east"), overrides(piloted.journal, "verify", "east")
    assert [override.holds for override in found] == [True]
    for language, word in (("zh", "破例放行"), ("en", "Overridden by")):
        for shown in (
            markdown.gate_table(gate, language, overrides=found),
            markdown.status_table(status, language),
        ):
            assert word in shown
            assert "王经理" in shown
            assert r"three records are known \| \<b\>" in shown
    assert "overridden by 王经理 (verify" in tables.gate(gate, found)
    assert overrides(piloted.journal, "load", "east") == ()  # that one passed
    piloted.verify("east", 0.0)
    found = overrides(piloted.journal, "verify", "east")
    assert [override.holds for override in found] == [False]
    assert "no longer counts" in tables.gate(gate, found)


@pytest.mark.parametrize(
    ("phase", "values", "told"),
    [
        ("plan", {}, "nobody decides"),
        ("verify", {}, "wave by wave"),
        ("verify", {"wave": "west"}, "no wave 'west'"),
        ("pilot", {"wave": "east"}, "no wave 'east'"),
        ("verify", {"wave": "rest", "override": True}, "judged nothing"),
        ("integrate", {"override": True}, "needs no decision"),
        ("pilot", {"go": False, "override": True}, "overrides nothing"),
    ],
)
def test_what_cannot_be_decided_is_refused_in_words(piloted: Bench, phase: str, values: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        piloted.decide(phase, **values)


def test_a_verification_that_broke_off_leaves_nothing_to_override(piloted: Bench) -> None:
    piloted.verify("east", 0.0)
    piloted.load("east")
    with pytest.raises(RuntimeError), piloted.journal.running("verify", wave="east"):
        raise RuntimeError
    assert piloted.of("verify", "east").state == "failed"
    with pytest.raises(ConfigError, match="judged nothing yet of what is loaded now"):
        piloted.decide("verify", wave="east", override=True)


def test_changed_sources_are_seen_when_they_are_looked_at(piloted: Bench) -> None:
    file = piloted.context.project.root / "legacy" / "accounts.csv"
    assert rollout_status(piloted.context, look_at_sources=True).next.phase == "pilot"
    file.write_text("k,name\n1,b\n")
    assert rollout_status(piloted.context).next.phase == "pilot"
    assert rollout_status(piloted.context, look_at_sources=True).next.phase == "assess"


def test_a_run_whose_process_is_gone_does_not_run_for_ever(bench: Bench) -> None:
    run_id = bench.journal.start_run("prepare")
    assert bench.of("prepare").state == "running"
    with bench.journal.transaction() as connection:
        connection.exec_driver_sql("UPDATE run SET pid = 4194304 WHERE run_id = %s", (run_id,))
    assert bench.of("prepare").state == "failed"
    assert "interrupted" in bench.of("prepare").waiting_for
