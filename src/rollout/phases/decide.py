"""`decide`: go or no-go by name, with a personal code and a reason, bound to the judgements as they are now."""

from __future__ import annotations

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError
from rollout.govern.derive import derive, seen_now
from rollout.govern.sequence import DECISIONS, GATED, Outline, Phase, Step, outline, requirements
from rollout.govern.states import SETTLED, State, StepState
from rollout.journal import decisions, people
from rollout.model.base import Frozen
from rollout.model.progress import Seen
from rollout.model.verdict import Verdict
from rollout.phases.acceptance import print_overrides
from rollout.phases.automation import still_off
from rollout.phases.context import PhaseContext
from rollout.phases.integrate import print_integration
from rollout.phases.loadtest_report import print_loadtest
from rollout.phases.status import gathered, rollout_status
from rollout.report.status import PhaseStatus

DECIDABLE = (*GATED, *DECISIONS)
"""Phases that people may decide; those with a gate of their own only against it."""


class DecisionSummary(Frozen):
    """A decision, and where the phase is after it."""

    phase: str
    wave: str | None
    go: bool
    override: bool = Field(description="Something it needs is not PASS.")
    person: str
    reason: str
    gates: dict[str, Seen] = Field(description="What it rests on: a newer judgement of one of them ends it.")
    reports: tuple[str, ...] = Field(description="Documents that were printed anew, for they show these gates.")
    still_off: tuple[str, ...] = Field(
        default=(), description="Of pilot and go-live: rules of the CRM that were switched off and are not on again."
    )
    status: PhaseStatus
    next: PhaseStatus | None


def decide(
    context: PhaseContext,
    *,
    phase: str,
    go: bool,
    person: str,
    code: str,
    reason: str,
    wave: str | None = None,
    override: bool = False,
) -> DecisionSummary:
    """Record a decision.

    Args:
        context: The phase's context.
        phase: One of :data:`DECIDABLE`.
        go: Go, or no-go.
        person: Who decides.
        code: Their personal code.
        reason: Why; it is printed with the decision.
        wave: For verify, where there are several waves.
        override: Go although something it needs is not PASS.

    Raises:
        ApprovalError: Wrong code, no reason, or a go that the judgements do not carry.
        ConfigError: There is nothing to decide about that phase.
    """
    project = outline(context.project.spec)
    step = _step(project, phase, wave)
    if override and not go:
        raise ConfigError("a no-go overrides nothing", hint="leave --override out")
    people.sign(context.journal, person, code, reason)
    known = gathered(context)
    states = {found.step: found for found in derive(project, known)}
    if step.phase is Phase.VERIFY and states[step].verdict is None:
        told = f"{step} has judged nothing yet of what is loaded now: there is nothing to decide"
        raise ConfigError(told, hint=f"run `rollout {phase}` first")
    gates = seen_now(project, known, step)
    lacking = _lacking(project, step, states, gates)
    if go:
        _refuse_unfounded(step, lacking, override=override)
    decisions.record(
        context.journal,
        phase=step.phase.value,
        wave=step.journal_wave,
        is_go=go,
        is_override=go and bool(lacking),
        person=person,
        reason=reason,
        gates=gates,
    )
    status = rollout_status(context)
    return DecisionSummary(
        phase=step.phase.value,
        wave=step.wave,
        go=go,
        override=go and bool(lacking),
        person=person,
        reason=reason,
        gates=gates,
        reports=tuple(path for gate in gates for path in _printed_anew(context, gate)),
        still_off=still_off(context, context.target("load")[0]) if step.phase in DECISIONS else (),
        status=next(found for found in status.phases if (found.phase, found.wave) == (step.phase.value, step.wave)),
        next=status.next,
    )


def _step(project: Outline, phase: str, wave: str | None) -> Step:
    if phase not in {found.value for found in DECIDABLE}:
        known = ", ".join(found.value for found in DECIDABLE)
        raise ConfigError(f"nobody decides about the phase '{phase}'", hint=f"decisions are taken about: {known}")
    waves = project.waves if phase == Phase.VERIFY else ()
    if waves and wave is None and len(waves) == 1:
        wave = waves[0]
    if (waves and wave not in waves) or (wave and not waves):
        told = f"phase '{phase}' has no wave '{wave}'" if wave else f"phase '{phase}' is decided wave by wave"
        raise ConfigError(told, hint=f"--wave {' | '.join(waves)}" if waves else "leave --wave out")
    step = Step(phase=Phase(phase), wave=wave)
    if not project.is_needed(step):
        raise ConfigError(
            f"this project has no phase '{phase}'",
            hint="a pilot needs several `waves`; integrate and loadtest need `integration` and `loadtest` sections",
        )
    return step


def _lacking(project: Outline, step: Step, states: dict[Step, StepState], gates: dict[str, Seen]) -> list[str]:
    """What a go needs and does not have, in words."""
    if step.phase in GATED:
        return [f"{name} {_verdict(seen)}" for name, seen in gates.items() if seen.verdict is not Verdict.PASS]
    asked = [states[found] for found in requirements(project, step)]
    return [f"{found.step} is {_where(found)}" for found in asked if found.state not in SETTLED]


def _where(found: StepState) -> str:
    """A verdict that holds a phase up, or the phase's state: gates that pass are not what keeps it from being done."""
    judged = found.step.phase in GATED and found.verdict not in {None, Verdict.PASS} and found.state is not State.NO_GO
    return str(found.verdict) if judged else found.state.value.replace("_", " ")


def _refuse_unfounded(step: Step, lacking: list[str], *, override: bool) -> None:
    if not lacking and step.phase in GATED:
        raise ConfigError(f"{step} needs no decision: its gates pass", hint="see `rollout status`")
    if lacking and not override:
        raise ApprovalError(
            f"{step} cannot be decided go: {'; '.join(lacking)}",
            hint="repair the cause and judge again; or go by name all the same with --override",
        )


def _printed_anew(context: PhaseContext, gate: str) -> tuple[str, ...]:
    """Write the documents that show a gate (`gate` or `gate/wave`) anew; answers their paths."""
    name, _, wave = gate.partition("/")
    if name == Phase.VERIFY:
        return print_overrides(context, wave)
    if name == Phase.LOADTEST:
        return print_loadtest(context)
    return print_integration(context) if name == Phase.INTEGRATE else ()


def _verdict(seen: Seen) -> str:
    return f"is {seen.verdict.value}" if seen.verdict else "was never judged"
