"""The state of every phase, derived from the journal's facts alone (promise 5: nothing is done on no evidence)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rollout.govern.sequence import DECISIONS, Outline, Phase, Step, gates_of, gates_seen, requirements, steps
from rollout.govern.states import SETTLED, Code, GateState, State, StepState, Told, next_step, worst
from rollout.model.progress import (
    Decision,
    Facts,
    Judgement,
    PlanFact,
    RunFact,
    Seen,
    latest_judgement,
    overrides_of,
)
from rollout.model.verdict import Verdict

OPERATING = ("health", "sync", "sync_check", "monthly_report")
"""Recurring jobs of operation, as the journal calls their runs."""


def derive(project: Outline, facts: Facts) -> tuple[StepState, ...]:
    """The state of every phase, in order."""
    return _Derivation(project, facts).run()


def seen_now(project: Outline, facts: Facts, step: Step) -> dict[str, Seen]:
    """The judgements that a decision about a step would rest on now."""
    found = {gate: latest_judgement(facts.judgements, gate) for gate in gates_seen(project, step)}
    return {
        gate: Seen(seq=judged.seq if judged else None, verdict=judged.verdict if judged else None)
        for gate, judged in found.items()
    }


class _Derivation:
    """One walk through the phases of a project."""

    def __init__(self, project: Outline, facts: Facts) -> None:
        self._project = project
        self._facts = facts
        self._states: dict[Step, StepState] = {}
        self._cleansed = self._run("cleanse", "completed")

    def run(self) -> tuple[StepState, ...]:
        derivers: dict[Phase, Callable[[Step], StepState]] = {
            Phase.PREPARE: self._prepare,
            Phase.ASSESS: self._preparation,
            Phase.CLEANSE: self._preparation,
            Phase.PLAN: self._plan,
            Phase.LOAD: self._load,
            Phase.VERIFY: self._verify,
            Phase.INTEGRATE: self._measured,
            Phase.LOADTEST: self._measured,
            Phase.UNDO: self._measured,
            Phase.PILOT: self._decided,
            Phase.GOLIVE: self._decided,
            Phase.OPERATE: self._operate,
        }
        for step in steps(self._project):
            own = derivers[step.phase](step) if self._project.is_needed(step) else self._not_needed(step)
            blocker = next_step(tuple(self._states.values()))
            if own.state is State.NOT_STARTED and blocker is not None:
                told = Told(code="blocked", step=blocker.step)
                own = own.model_copy(update={"state": State.BLOCKED, "waiting_for": told})
            self._states[step] = own
        return tuple(self._states.values())

    # What the journal says

    def _run(self, phase: str, *states: str, wave: str | None = None) -> RunFact | None:
        fitting = [
            run
            for run in self._facts.runs
            if run.phase == phase and (not states or run.state in states) and wave in {None, run.wave}
        ]
        return max(fitting, key=lambda run: run.seq, default=None)

    def _latest_plan(self, wave: str | None) -> PlanFact | None:
        return next((plan for plan in self._facts.plans if plan.wave == wave), None)

    def _decision(self, step: Step) -> Decision | None:
        about = [d for d in self._facts.decisions if (d.phase, d.wave) == (step.phase.value, step.journal_wave)]
        return max(about, key=lambda decision: decision.seq, default=None)

    def _in_force(self, step: Step) -> Decision | None:
        """The latest decision, unless one of the gates it was made on has been judged since."""
        decision = self._decision(step)
        return decision if decision and decision.gates == seen_now(self._project, self._facts, step) else None

    def _accepted(self, step: Step) -> bool:
        """Whether a step's judgements as they stand carry a decision: PASS, or overridden by name.

        Stale data do not count here: a decision that was taken outlives the cleansing of later corrections.
        """
        decision = self._in_force(step)
        if decision is not None and not decision.is_go:
            return False
        if decision is not None and decision.is_override:
            return not self._stopped_since(step, decision)
        if step.phase in DECISIONS:
            return decision is not None and all(map(self._accepted, requirements(self._project, step)))
        judged = [latest_judgement(self._facts.judgements, gate) for gate in gates_of(step)]
        return all(found is not None and found.verdict is Verdict.PASS for found in judged)

    def _stopped_since(self, step: Step, decision: Decision) -> bool:
        """Whether somebody said no-go to what a decision rests on, after it: an override is of what was known then."""
        about = [self._in_force(found) for found in requirements(self._project, step)]
        return any(found is not None and not found.is_go and found.seq > decision.seq for found in about)

    def _gates(self, step: Step) -> tuple[GateState, ...]:
        found = []
        for gate in gates_seen(self._project, step):
            judged = latest_judgement(self._facts.judgements, gate)
            name, _, wave = gate.partition("/")
            verdict, at = (judged.verdict, judged.judged_at) if judged else (None, None)
            overrides = overrides_of(gate, self._facts.decisions, self._facts.judgements)
            found.append(GateState(gate=name, wave=wave or None, verdict=verdict, judged_at=at, overrides=overrides))
        return tuple(found)

    # Phases one by one

    def _not_needed(self, step: Step) -> StepState:
        code: Code = "single_wave" if step.phase is Phase.PILOT else "not_measured"
        return StepState(step=step, state=State.NOT_NEEDED, remarks=(Told(code=code, step=step),))

    def _attempt(self, step: Step) -> StepState:
        """The state of a step without any result that counts: its latest run, if there is one."""
        run = self._run(step.phase.value, wave=step.wave)
        if run is None or run.state == "completed":
            return StepState(step=step, state=State.NOT_STARTED, waiting_for=self._told("run", step))
        if run.state == "running":
            return self._running(step, run)
        told = self._told("failed" if run.state == "failed" else "interrupted", step, error=run.error)
        return StepState(
            step=step,
            state=State.FAILED,
            since=run.ended_at or run.started_at,
            waiting_for=told,
            gates=self._gates(step),
        )

    def _running(self, step: Step, run: RunFact) -> StepState:
        told = self._told("running", step)
        return StepState(
            step=step, state=State.RUNNING, since=run.started_at, waiting_for=told, gates=self._gates(step)
        )

    def _under_way(self, step: Step) -> StepState | None:
        run = self._run(step.phase.value, wave=step.wave)
        return self._running(step, run) if run and run.state == "running" else None

    def _told(self, code: Code, step: Step, **values: str) -> Told:
        return Told(code=code, step=step, values={"command": self.command(step), **values})

    def command(self, step: Step) -> str:
        """What to type for a step."""
        if step.phase is Phase.UNDO:
            return f"rollout undo --wave {self._project.waves[0]} --rehearse"
        wave = f" --wave {step.wave}" if step.wave and self._project.has_pilot else ""
        return f"rollout {step.phase.value}{wave}"

    def _decide_command(self, step: Step, options: str) -> str:
        wave = f" --wave {step.wave}" if step.wave and self._project.has_pilot else ""
        return f"rollout decide {step.phase.value}{wave} {options} --by NAME --reason TEXT"

    def _prepare(self, step: Step) -> StepState:
        run = self._run("prepare", "completed")
        if (found := self._under_way(step)) or run is None:
            return found or self._attempt(step)
        if run.errors:
            told = self._told("prepare_errors", step, errors=str(run.errors))
            return StepState(step=step, state=State.FAILED, since=run.ended_at, waiting_for=told)
        if not self._facts.people:
            return StepState(step=step, state=State.WAITING, since=run.ended_at, waiting_for=Told(code="people"))
        return StepState(step=step, state=State.DONE, since=run.ended_at)

    def _preparation(self, step: Step) -> StepState:
        run = self._run(step.phase.value, "completed")
        if (found := self._under_way(step)) or run is None:
            return found or self._attempt(step)
        if self._facts.sources_changed and not self._begun_since_cleansing(run):
            told = self._told("sources_changed", step)
            return StepState(step=step, state=State.OUTDATED, since=run.ended_at, waiting_for=told)
        return StepState(step=step, state=State.DONE, since=run.ended_at)

    def _begun_since_cleansing(self, run: RunFact) -> bool:
        """Whether an assessment is newer than the cleansing that is no longer of what there is: it saw the change."""
        return self._cleansed is not None and run.seq > self._cleansed.seq

    def _plan(self, step: Step) -> StepState:
        plan = self._latest_plan(step.wave)
        if (found := self._under_way(step)) or plan is None:
            return found or self._attempt(step)
        state, told = State.DONE, None
        if plan.is_taken_back:
            state, told = State.OUTDATED, self._told("taken_back", step, plan=plan.plan_id)
        elif plan.state == "superseded":
            state, told = State.OUTDATED, self._told("superseded", step, plan=plan.plan_id)
        elif self._cleansed is not None and self._cleansed.inputs != plan.inputs:
            state, told = State.OUTDATED, self._told("cleansed_anew", step)
        elif plan.state == "proposed":
            command = f"rollout approve --plan {plan.plan_id} --by NAME --reason TEXT"
            state, told = State.WAITING, Told(code="approval", values={"plan": plan.plan_id, "command": command})
        return StepState(
            step=step,
            state=state,
            plan_id=plan.plan_id,
            since=plan.approved_at or plan.created_at,
            waiting_for=told,
            decided_by=plan.approved_by,
        )

    def _load(self, step: Step) -> StepState:
        if found := self._under_way(step):
            return found
        plan, planned = self._latest_plan(step.wave), self._states[Step(phase=Phase.PLAN, wave=step.wave)]
        if plan is None or planned.state is not State.DONE:
            if plan is not None and plan.is_begun:
                told = self._told("planned_anew", planned.step)
                return StepState(step=step, state=State.OUTDATED, since=plan.created_at, waiting_for=told)
            return StepState(step=step, state=State.NOT_STARTED, waiting_for=self._told("run", step))
        run = self._run("load", wave=step.wave)
        at = run.ended_at or run.started_at if run else None
        if plan.state == "applied":
            return StepState(step=step, state=State.DONE, since=at)
        if run is not None and run.started_at >= plan.created_at and run.state != "completed":
            return self._attempt(step)
        if plan.state == "loading":
            return StepState(step=step, state=State.FAILED, since=at, waiting_for=self._told("rows_open", step))
        return StepState(step=step, state=State.NOT_STARTED, waiting_for=self._told("run", step))

    def _verify(self, step: Step) -> StepState:
        if found := self._under_way(step):
            return found
        loaded = self._states[Step(phase=Phase.LOAD, wave=step.wave)]
        judged = [latest_judgement(self._facts.judgements, gate) for gate in gates_of(step)]
        if loaded.state is not State.DONE:
            if any(judged):
                return self._outdated(step, judged)
            return StepState(step=step, state=State.NOT_STARTED, waiting_for=self._told("run", step))
        load = self._run("load", wave=step.wave)  # one that was killed at its very end changed the target, too
        current = [found for found in judged if found and (load is None or found.run_seq > load.seq)]
        if len(current) == len(judged):
            return self._judged(step, current)
        attempt = self._attempt(step)
        if any(judged) and attempt.state is State.NOT_STARTED:
            return self._outdated(step, judged)
        return attempt

    def _outdated(self, step: Step, judged: Iterable[Judgement | None]) -> StepState:
        since = max((found.judged_at for found in judged if found), default=None)
        told = self._told("loaded_anew", step)
        return StepState(step=step, state=State.OUTDATED, since=since, waiting_for=told, gates=self._gates(step))

    def _measured(self, step: Step) -> StepState:
        if found := self._under_way(step):
            return found
        judged = latest_judgement(self._facts.judgements, step.phase.value)
        if judged is None:
            attempt = self._attempt(step)
            decision = self._in_force(step)
            counts = decision is not None and (decision.is_override or not decision.is_go)
            return self._by_decision(step, decision, None) if decision and counts else attempt
        return self._judged(step, [judged])

    def _judged(self, step: Step, judged: list[Judgement]) -> StepState:
        """A step whose gates have been judged on what is there now."""
        verdict = worst(found.verdict for found in judged)
        if (decision := self._in_force(step)) is not None and (decision.is_override or not decision.is_go):
            return self._by_decision(step, decision, verdict)
        override = self._decide_command(step, "--go --override")
        gates = ", ".join(sorted(found.gate for found in judged if found.verdict is not Verdict.PASS))
        state, told = {
            Verdict.PASS: (State.DONE, None),
            Verdict.FAIL: (State.FAILED, self._told("gate_failed", step, gates=gates, override=override)),
            Verdict.INCONCLUSIVE: (State.WAITING, self._told("gate_open", step, gates=gates, override=override)),
        }[verdict]
        return StepState(
            step=step,
            state=state,
            verdict=verdict,
            waiting_for=told,
            since=max(found.judged_at for found in judged),
            gates=self._gates(step),
        )

    def _by_decision(self, step: Step, decision: Decision, verdict: Verdict | None) -> StepState:
        options = "--go --override" if step.phase not in DECISIONS else "--go"
        again = self._decide_command(step, options)
        refused = Told(
            code="no_go", step=step, values={"person": decision.person, "reason": decision.reason, "command": again}
        )
        return StepState(
            step=step,
            state=State.DONE if decision.is_go else State.NO_GO,
            verdict=verdict,
            waiting_for=None if decision.is_go else refused,
            remarks=self._unmeasured(step),
            since=decision.at,
            gates=self._gates(step),
            decided_by=decision.person,
            is_override=decision.is_override,
            reason=decision.reason,
        )

    def _decided(self, step: Step) -> StepState:
        """Pilot and go-live: a person's decision on the judgements they saw."""
        asked = requirements(self._project, step)
        decision = self._in_force(step)
        if decision is not None and (not decision.is_go or self._accepted(step)):
            return self._by_decision(step, decision, self._verdict(step))
        missing = next((found for found in asked if self._states[found].state not in SETTLED), None)
        told = Told(code="decision", step=step, values={"command": self._decide_command(step, "--go|--no-go")})
        if missing is not None:
            told = Told(code="blocked", step=missing)
        elif (earlier := self._decision(step)) is not None:
            told = told.model_copy(
                update={"code": "decision_outdated", "values": {**told.values, "person": earlier.person}}
            )
        return StepState(
            step=step,
            state=State.BLOCKED if missing else State.WAITING,
            verdict=self._verdict(step),
            waiting_for=told,
            remarks=self._unmeasured(step),
            gates=self._gates(step),
        )

    def _verdict(self, step: Step) -> Verdict | None:
        """Of all gates that a decision rests on; None while one of them was never judged."""
        verdicts = [gate.verdict for gate in self._gates(step)]
        known = [verdict for verdict in verdicts if verdict is not None]
        return worst(known) if known and len(known) == len(verdicts) else None

    def _unmeasured(self, step: Step) -> tuple[Told, ...]:
        """What a decision was or will be taken without: nobody may think that it was measured."""
        if step.phase not in DECISIONS:
            return ()
        measured = (Step(phase=Phase.INTEGRATE), Step(phase=Phase.LOADTEST))
        return tuple(Told(code="not_measured", step=found) for found in measured if not self._project.is_needed(found))

    def _operate(self, step: Step) -> StepState:
        live = self._states[Step(phase=Phase.GOLIVE)]
        if live.state is not State.DONE:
            return StepState(step=step, state=State.NOT_STARTED)
        runs = [run for run in self._facts.runs if run.phase in OPERATING]
        if not runs:
            return StepState(step=step, state=State.NOT_STARTED, waiting_for=Told(code="operate"))
        nightly = latest_judgement(self._facts.judgements, "sync_check")
        latest = max(runs, key=lambda run: run.seq)
        return StepState(
            step=step,
            state=State.RUNNING,
            verdict=nightly.verdict if nightly else None,
            waiting_for=Told(code="operating"),
            since=latest.ended_at or latest.started_at,
        )
