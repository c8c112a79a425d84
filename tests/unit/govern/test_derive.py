"""The state of every phase, from facts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.govern.derive import derive, seen_now
from rollout.govern.sequence import Outline, Phase, Step, gates_seen, requirements, steps
from rollout.govern.states import State, StepState, next_step
from rollout.model.progress import Decision, Facts, Judgement, PlanFact, RunFact, Seen, latest_judgement
from rollout.model.verdict import Verdict

TWO = Outline(waves=("east", "rest"))
ONE = Outline(waves=("all",), has_integration=False, has_loadtest=False)
INPUTS = {"sources": {"a": {"a.csv": "1"}}, "rules": {"account": "r"}}
PILOT, GOLIVE = Step(phase=Phase.PILOT), Step(phase=Phase.GOLIVE)


class Diary:
    """Facts as a rollout would leave them, one event after the other."""

    def __init__(self, project: Outline = TWO) -> None:
        self.project = project
        self.facts = Facts(people=1)
        self.at = datetime(2026, 1, 5, tzinfo=UTC)
        self.seq = 0

    def _next(self) -> int:
        self.seq += 1
        self.at += timedelta(minutes=1)
        return self.seq

    def _with(self, **changes: object) -> None:
        self.facts = self.facts.model_copy(update=changes)

    def run(self, phase: str, wave: str = "all", state: str = "completed", **values: object) -> int:
        seq = self._next()
        run = RunFact(seq=seq, phase=phase, wave=wave, state=state, started_at=self.at, ended_at=self.at, **values)
        kept = [old for old in self.facts.runs if (old.phase, old.wave, old.state) != (phase, wave, state)]
        self._with(runs=(*kept, run))
        return seq

    def begin(self, inputs: dict = INPUTS) -> None:
        self.run("prepare")
        self.run("assess")
        self.run("cleanse", inputs=inputs)

    def plan(self, wave: str, state: str = "proposed", inputs: dict = INPUTS) -> None:
        self.run("plan", wave)
        plan = PlanFact(
            plan_id=f"p{self.seq}", wave=wave, state=state, created_at=self.at, is_begun=False, inputs=inputs
        )
        self._with(plans=(*(old for old in self.facts.plans if old.wave != wave), plan))

    def _move(self, wave: str, **changes: object) -> None:
        self._with(plans=tuple(p.model_copy(update=changes) if p.wave == wave else p for p in self.facts.plans))

    def approve(self, wave: str) -> None:
        self._next()
        self._move(wave, state="approved", approved_by="boss", approved_at=self.at)

    def load(self, wave: str, state: str = "applied") -> None:
        self.run("load", wave)
        self._move(wave, state=state, is_begun=True)

    def judge(self, gate: str, verdict: Verdict, wave: str = "all", *, run_seq: int | None = None) -> None:
        seq = self._next()
        judged = Judgement(
            seq=seq,
            gate=gate,
            wave=wave,
            verdict=verdict,
            judged_at=self.at,
            run_seq=run_seq or seq,
        )
        self._with(judgements=(*(j for j in self.facts.judgements if (j.gate, j.wave) != (gate, wave)), judged))

    def verify(self, wave: str, verdict: Verdict = Verdict.PASS) -> None:
        seq = self.run("verify", wave)
        self.judge("load", Verdict.PASS, wave, run_seq=seq)
        self.judge("verify", verdict, wave, run_seq=seq)

    def measure(self, gate: str, verdict: Verdict = Verdict.PASS) -> None:
        self.judge(gate, verdict, run_seq=self.run(gate))

    def decide(self, step: Step, *, go: bool = True, override: bool = False, gates: dict | None = None) -> None:
        seen = seen_now(self.project, self.facts, step) if gates is None else gates
        decision = Decision(
            seq=self._next(),
            phase=step.phase.value,
            wave=step.journal_wave,
            is_go=go,
            is_override=override,
            person="boss",
            reason="because",
            gates=seen,
            at=self.at,
        )
        self._with(decisions=(*self.facts.decisions, decision))

    def wave(self, name: str) -> None:
        self.plan(name)
        self.approve(name)
        self.load(name)
        self.verify(name)

    def piloted(self) -> None:
        self.begin()
        self.wave("east")
        self.measure("integrate")
        self.measure("loadtest")

    def states(self) -> tuple[StepState, ...]:
        return derive(self.project, self.facts)

    def of(self, phase: str, wave: str | None = None) -> StepState:
        return next(found for found in self.states() if found.step == Step(phase=Phase(phase), wave=wave))

    def next(self) -> str:
        due = next_step(self.states())
        return f"{due.step} {due.state.value}" if due else "–"


def test_the_order_of_phases():
    assert [str(step) for step in steps(TWO)] == [
        "prepare", "assess", "cleanse", "plan (east)", "load (east)", "verify (east)", "integrate", "loadtest", "pilot",
        "plan (rest)", "load (rest)", "verify (rest)", "golive", "operate",
    ]  # fmt: skip


def test_a_rollout_from_nothing_to_operation_names_at_every_point_who_is_next():
    diary = Diary()
    seen = [diary.next()]
    acts = [
        diary.begin,
        lambda: diary.plan("east"),
        lambda: diary.approve("east"),
        lambda: diary.load("east"),
        lambda: diary.verify("east"),
        lambda: diary.measure("integrate"),
        lambda: diary.measure("loadtest"),
        lambda: diary.decide(PILOT),
        lambda: diary.wave("rest"),
        lambda: diary.decide(GOLIVE),
        lambda: diary.run("health"),
    ]
    for act in acts:
        act()
        seen.append(diary.next())
    assert seen == [
        "prepare not_started",
        "plan (east) not_started",
        "plan (east) waiting",
        "load (east) not_started",
        "verify (east) not_started",
        "integrate not_started",
        "loadtest not_started",
        "pilot waiting",
        "plan (rest) not_started",
        "golive waiting",
        "operate not_started",
        "operate running",
    ]
    assert diary.of("plan", "east").decided_by == "boss"


def test_without_people_nobody_can_decide_and_that_is_said_first():
    diary = Diary()
    diary.begin()
    diary._with(people=0)
    assert (diary.of("prepare").state, diary.of("prepare").waiting_for.code) == (State.WAITING, "people")
    assert diary.of("plan", "east").state is State.BLOCKED


def test_errors_of_the_preparation_fail_it():
    diary = Diary()
    diary.run("prepare", errors=2)
    assert (diary.of("prepare").state, diary.of("prepare").waiting_for.values["errors"]) == (State.FAILED, "2")


def test_one_wave_needs_no_pilot_and_what_the_project_does_not_ask_for_is_said_not_to_be_measured():
    diary = Diary(ONE)
    diary.begin()
    diary.wave("all")
    assert [diary.of(phase).state for phase in ("integrate", "loadtest", "pilot")] == [State.NOT_NEEDED] * 3
    golive = diary.of("golive")
    assert golive.state is State.WAITING
    assert [(told.code, told.step.phase.value) for told in golive.remarks] == [
        ("not_measured", "integrate"),
        ("not_measured", "loadtest"),
    ]
    diary.decide(GOLIVE)
    assert diary.of("golive").state is State.DONE
    assert len(diary.of("golive").remarks) == 2


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Verdict.FAIL, State.FAILED), (Verdict.INCONCLUSIVE, State.WAITING), (Verdict.PASS, State.DONE)],
)
def test_only_pass_promotes(verdict, state):
    diary = Diary()
    diary.begin()
    diary.wave("east")
    diary.verify("east", verdict)
    verify = diary.of("verify", "east")
    assert (verify.state, verify.verdict) == (state, verdict)
    assert diary.of("integrate").state is (State.NOT_STARTED if verdict is Verdict.PASS else State.BLOCKED)
    if verdict is not Verdict.PASS:
        assert verify.waiting_for.values["gates"] == "verify"
        assert "--wave east --go --override" in verify.waiting_for.values["override"]


def test_an_override_promotes_by_name_until_the_gate_is_judged_anew():
    diary = Diary()
    diary.begin()
    diary.wave("east")
    diary.verify("east", Verdict.FAIL)
    step = Step(phase=Phase.VERIFY, wave="east")
    diary.decide(step, override=True)
    verify = diary.of("verify", "east")
    assert (verify.state, verify.verdict, verify.decided_by, verify.is_override) == (
        State.DONE, Verdict.FAIL, "boss", True,
    )  # fmt: skip
    assert [override.holds for gate in verify.gates if gate.gate == "verify" for override in gate.overrides] == [True]
    diary.verify("east", Verdict.FAIL)
    verify = diary.of("verify", "east")
    assert (verify.state, verify.decided_by) == (State.FAILED, None)
    assert [override.holds for gate in verify.gates if gate.gate == "verify" for override in gate.overrides] == [False]


def test_a_go_without_override_does_not_lift_a_failed_gate():
    diary = Diary()
    diary.piloted()
    diary.measure("loadtest", Verdict.INCONCLUSIVE)
    diary.decide(Step(phase=Phase.LOADTEST))
    diary.decide(PILOT)
    assert diary.of("loadtest").state is State.WAITING
    assert (diary.of("pilot").state, diary.of("pilot").waiting_for.code) == (State.BLOCKED, "blocked")


def test_a_go_on_a_gate_that_was_never_judged_counts_only_as_override():
    diary = Diary()
    diary.begin()
    diary.decide(Step(phase=Phase.LOADTEST))
    assert diary.of("loadtest").state is State.BLOCKED
    diary.decide(Step(phase=Phase.LOADTEST), override=True)
    assert diary.of("loadtest").state is State.DONE
    diary.measure("loadtest", Verdict.FAIL)
    assert diary.of("loadtest").state is State.FAILED


def test_a_no_go_blocks_and_says_who_and_why():
    diary = Diary()
    diary.piloted()
    diary.decide(PILOT, go=False)
    pilot = diary.of("pilot")
    assert (pilot.state, pilot.decided_by) == (State.NO_GO, "boss")
    assert pilot.waiting_for.values["reason"] == "because"
    assert diary.of("plan", "rest").state is State.BLOCKED
    diary.decide(PILOT)
    assert diary.of("pilot").state is State.DONE


def test_a_newer_judgement_asks_for_a_new_decision():
    diary = Diary()
    diary.piloted()
    diary.decide(PILOT)
    assert diary.of("plan", "rest").state is State.NOT_STARTED
    diary.measure("loadtest")
    assert (diary.of("pilot").state, diary.of("pilot").waiting_for.code) == (State.WAITING, "decision_outdated")
    assert diary.of("plan", "rest").state is State.BLOCKED


def test_an_override_of_the_pilot_opens_the_next_wave_in_spite_of_what_failed_before():
    diary = Diary()
    diary.piloted()
    diary.measure("integrate", Verdict.FAIL)
    diary.decide(PILOT, override=True)
    assert diary.next() == "plan (rest) not_started"
    diary.wave("rest")
    assert diary.next() == "integrate failed"  # go-live rests on it again


@pytest.mark.parametrize("override", [True, False])
def test_a_later_no_go_to_what_a_go_rests_on_ends_it(override):
    diary = Diary()
    diary.piloted()
    if override:
        diary.measure("integrate", Verdict.FAIL)
    diary.decide(PILOT, override=override)
    diary.wave("rest")
    diary.decide(GOLIVE, override=override)
    assert (diary.of("pilot").state, diary.of("golive").state) == (State.DONE, State.DONE)
    diary.decide(Step(phase=Phase.INTEGRATE), go=False)
    assert (diary.of("pilot").state, diary.of("golive").state) == (State.BLOCKED, State.BLOCKED)
    assert diary.next() == "integrate no_go"
    diary.decide(PILOT, override=True)  # known then
    assert (diary.of("pilot").state, diary.of("golive").state) == (State.DONE, State.BLOCKED)


def test_a_newer_cleansing_makes_plan_load_and_verification_stale_but_not_a_decision_that_was_taken():
    diary = Diary()
    diary.piloted()
    diary.decide(PILOT)
    diary.run("cleanse", inputs={**INPUTS, "rules": {"account": "other"}})
    assert [diary.of(phase, "east").state for phase in ("plan", "load", "verify")] == [State.OUTDATED] * 3
    assert diary.of("pilot").state is State.DONE
    assert diary.next() == "plan (rest) not_started"
    diary.run("cleanse", inputs=INPUTS)
    assert diary.of("verify", "east").state is State.DONE


def test_changed_sources_come_before_everything_else():
    diary = Diary()
    diary.piloted()
    diary.decide(PILOT)
    diary._with(sources_changed=True)
    assert diary.next() == "assess outdated"
    diary.run("assess")
    assert diary.next() == "cleanse outdated"


def test_a_verification_of_an_earlier_load_is_stale():
    diary = Diary()
    diary.begin()
    diary.wave("east")
    diary.plan("east")
    assert diary.of("verify", "east").state is State.OUTDATED
    diary.approve("east")
    diary.load("east")
    assert diary.of("verify", "east").state is State.OUTDATED
    diary.verify("east")
    assert diary.of("verify", "east").state is State.DONE
    diary.run("load", "east")  # rows that an entity's load left out
    assert diary.of("verify", "east").state is State.OUTDATED


def test_a_load_with_open_rows_and_runs_that_failed_or_were_interrupted_are_to_be_run_again():
    diary = Diary()
    diary.begin()
    diary.plan("east")
    diary.approve("east")
    diary.run("load", "east", "failed", error="the CRM is down")
    assert diary.of("load", "east").waiting_for.values["error"] == "the CRM is down"
    diary.load("east", "loading")
    assert (diary.of("load", "east").state, diary.of("load", "east").waiting_for.code) == (State.FAILED, "rows_open")
    diary.run("load", "east", "interrupted")
    assert diary.of("load", "east").waiting_for.code == "interrupted"
    diary.run("load", "east", "running")
    assert diary.of("load", "east").state is State.RUNNING


def test_a_plan_that_another_took_the_place_of_is_stale():
    diary = Diary()
    diary.begin()
    diary.plan("east", "superseded")
    assert (diary.of("plan", "east").state, diary.of("plan", "east").waiting_for.code) == (State.OUTDATED, "superseded")


def test_a_load_that_was_taken_back_is_not_done():
    diary = Diary()
    diary.begin()
    diary.plan("east")
    diary.approve("east")
    diary.load("east", "applied")
    assert diary.of("load", "east").state is State.DONE
    diary._move("east", is_taken_back=True, state="superseded")  # as the undo of a whole wave leaves it
    assert (diary.of("plan", "east").state, diary.of("plan", "east").waiting_for.code) == (State.OUTDATED, "taken_back")
    assert diary.of("load", "east").state is State.OUTDATED


def test_what_was_taken_back_after_a_go_is_due_again():
    diary = Diary()
    diary.piloted()
    diary.decide(Step(phase=Phase.PILOT))
    diary.wave("rest")
    diary.decide(Step(phase=Phase.GOLIVE))
    assert diary.next().startswith("operate")
    diary._move("rest", is_taken_back=True, state="superseded")
    assert diary.next() == "plan (rest) outdated"


STEPS = [step for step in steps(TWO) if requirements(TWO, step)]
VERDICTS = st.sampled_from(Verdict)
EVENTS = st.one_of(
    st.tuples(st.just("wave"), st.sampled_from(TWO.waves)),
    st.tuples(st.just("replan"), st.sampled_from(TWO.waves)),
    st.tuples(st.just("verify"), st.sampled_from(TWO.waves), VERDICTS),
    st.tuples(st.just("measure"), st.sampled_from(["integrate", "loadtest"]), VERDICTS),
    st.tuples(st.just("decide"), st.sampled_from(STEPS), st.booleans(), st.booleans(), st.booleans()),
    st.tuples(st.just("cleanse"), st.sampled_from(["r", "s"])),
)


def act(diary: Diary, event: tuple) -> None:
    what, *values = event
    if what == "wave":
        diary.wave(values[0])
    elif what == "replan":
        diary.plan(values[0])
    elif what == "verify":
        if any(plan.wave == values[0] for plan in diary.facts.plans):
            diary.verify(*values)
    elif what == "measure":
        diary.measure(*values)
    elif what == "cleanse":
        diary.run("cleanse", inputs={**INPUTS, "rules": {"account": values[0]}})
    else:
        step, go, override, is_honest = values
        invented = {gate: Seen(seq=None, verdict=None) for gate in gates_seen(TWO, step)}
        diary.decide(step, go=go, override=override, gates=None if is_honest else invented)


def is_carried(facts: Facts, gate: str) -> bool:
    """PASS, or a go by override that saw exactly this judgement and came after it."""
    judged = latest_judgement(facts.judgements, gate)
    if judged is not None and judged.verdict is Verdict.PASS:
        return True
    seq = judged.seq if judged else None
    return any(
        d.is_go and d.is_override and gate in d.gates and d.gates[gate].seq == seq and d.seq > (seq or 0)
        for d in facts.decisions
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=25), st.booleans())
def test_nothing_is_done_on_judgements_that_do_not_carry_it_and_no_wave_opens_without_the_pilot(events, is_ready):
    diary = Diary()
    diary.begin()
    if is_ready:
        diary.piloted()
        diary.wave("rest")
        diary.decide(PILOT)
        diary.decide(GOLIVE)
        assert diary.of("golive").state is State.DONE
    for event in events:
        act(diary, event)
        for found in diary.states():
            if found.state is State.DONE and requirements(TWO, found.step):
                for gate in gates_seen(TWO, found.step):
                    assert is_carried(diary.facts, gate), f"{found.step} is done, and {gate} does not carry it"
            if found.step.phase in {Phase.PILOT, Phase.GOLIVE} and found.state is State.DONE:
                latest = [d for d in diary.facts.decisions if d.phase == found.step.phase.value][-1]
                assert latest.is_go
                assert latest.gates == seen_now(TWO, diary.facts, found.step)
                for step in requirements(TWO, found.step):
                    about = [d for d in diary.facts.decisions if (d.phase, d.wave) == (step.phase, step.journal_wave)]
                    stopped = about and not about[-1].is_go and about[-1].gates == seen_now(TWO, diary.facts, step)
                    assert not (stopped and about[-1].seq > latest.seq), f"{found.step} is done after a no-go to {step}"
        assert diary.of("operate").state is State.BLOCKED or diary.of("golive").state is State.DONE


def test_a_load_that_was_killed_at_its_very_end_is_not_vouched_for_by_an_earlier_verification():
    diary = Diary()
    diary.begin()
    diary.wave("east")
    diary.plan("east")
    diary.approve("east")
    diary.run("load", "east", "interrupted")
    diary._move("east", state="applied", is_begun=True)
    assert (diary.of("load", "east").state, diary.of("verify", "east").state) == (State.DONE, State.OUTDATED)
    diary.verify("east")
    assert diary.of("verify", "east").state is State.DONE


# A rehearsed undo, where go-live asks for one

REHEARSED = Outline(waves=("all",), has_integration=False, has_loadtest=False, has_rehearsal=True)
UNDO = Step(phase=Phase.UNDO)


def test_only_a_project_that_asks_for_it_rehearses_the_undo():
    assert UNDO not in steps(ONE)
    assert UNDO not in requirements(ONE, GOLIVE)
    assert UNDO in steps(REHEARSED)
    assert "undo" in gates_seen(REHEARSED, GOLIVE)


def test_a_rehearsal_that_was_not_done_is_asked_for_by_name_and_holds_up_the_go_live():
    found = {state.step: state for state in derive(REHEARSED, Facts())}
    assert found[UNDO].state is State.BLOCKED
    judged = Judgement(
        seq=1, gate="undo", wave="all", verdict=Verdict.FAIL, judged_at=datetime(2026, 1, 5, tzinfo=UTC), run_seq=1
    )
    failed = {state.step: state for state in derive(REHEARSED, Facts(judgements=(judged,)))}[UNDO]
    assert failed.state is State.FAILED
    assert failed.waiting_for is not None
    assert failed.waiting_for.values["command"] == "rollout undo --wave all --rehearse"
