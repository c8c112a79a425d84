"""Facts of a rollout's progress, as the journal keeps them: runs, judgements, plans, decisions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.verdict import Verdict

RunState = Literal["running", "completed", "failed", "interrupted"]
"""`interrupted`: it says that it is running, and its process is gone."""


class RunFact(Frozen):
    """The newest run of a phase and wave in one state."""

    seq: int = Field(description="Runs are numbered in the order they began.")
    phase: str
    wave: str
    state: RunState
    started_at: datetime
    ended_at: datetime | None = None
    error: str = ""
    errors: int = Field(default=0, description="Findings that a check ended with.")
    inputs: dict[str, Any] | None = Field(default=None, description="What a cleansing rested on.")


class Judgement(Frozen):
    """The newest judgement of a gate and wave."""

    seq: int
    gate: str
    wave: str
    verdict: Verdict
    judged_at: datetime
    run_seq: int


class PlanFact(Frozen):
    """The newest plan of a wave."""

    plan_id: str
    wave: str
    state: str = Field(description="proposed | approved | loading | applied | superseded")
    created_at: datetime
    is_begun: bool
    is_taken_back: bool = Field(default=False, description="An undo of it, or of a part, has begun since.")
    inputs: dict[str, Any] = Field(description="The sources and rules it rests on, as a cleansing's `inputs`.")
    approved_by: str | None = None
    approved_at: datetime | None = None


class Seen(Frozen):
    """A gate as a person saw it when they decided."""

    seq: int | None = Field(description="None: it had never been judged.")
    verdict: Verdict | None


class Decision(Frozen):
    """Go or no-go, by name. Holds only as long as each of its gates' newest judgement is the one that was seen."""

    seq: int
    phase: str
    wave: str
    is_go: bool
    is_override: bool = Field(description="Go although something it needs was not PASS.")
    person: str
    reason: str
    gates: dict[str, Seen] = Field(description="By gate, or `gate/wave`.")
    at: datetime


class Facts(Frozen):
    """Everything that a rollout's state follows from."""

    people: int = Field(default=0, description="People who may decide.")
    runs: tuple[RunFact, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    plans: tuple[PlanFact, ...] = ()
    decisions: tuple[Decision, ...] = Field(default=(), description="All of them, oldest first.")
    sources_changed: bool = Field(default=False, description="Sources or rules are no longer what was cleansed.")


class Override(Frozen):
    """A go on a gate that was not PASS; printed wherever the gate is shown."""

    phase: str
    person: str
    reason: str
    at: datetime
    holds: bool = Field(description="False: the gate was judged anew since, and the override no longer counts.")


def latest_judgement(judgements: Iterable[Judgement], gate: str) -> Judgement | None:
    """The newest judgement of `gate` (of any wave) or `gate/wave`."""
    name, _, wave = gate.partition("/")
    fitting = [judged for judged in judgements if judged.gate == name and wave in {"", judged.wave}]
    return max(fitting, key=lambda judged: judged.seq, default=None)


def rests_on_latest(decision: Decision, judgements: Iterable[Judgement]) -> bool:
    """Whether no gate of a decision has been judged since it was taken."""
    known = list(judgements)
    found = {gate: latest_judgement(known, gate) for gate in decision.gates}
    return all(seen.seq == (judged.seq if (judged := found[gate]) else None) for gate, seen in decision.gates.items())


def overrides_of(gate: str, decisions: Iterable[Decision], judgements: Iterable[Judgement]) -> tuple[Override, ...]:
    """The overrides of a gate (`gate` or `gate/wave`), the newest decision of each phase, newest first."""
    newest = {(found.phase, found.wave): found for found in sorted(decisions, key=lambda found: found.seq)}
    known = list(judgements)
    return tuple(
        Override(
            phase=found.phase,
            person=found.person,
            reason=found.reason,
            at=found.at,
            holds=rests_on_latest(found, known),
        )
        for found in sorted(newest.values(), key=lambda found: -found.seq)
        if found.is_go and found.is_override and gate in found.gates and found.gates[gate].verdict is not Verdict.PASS
    )
