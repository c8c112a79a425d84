"""What there is to say about a phase: its state, what it waits for, and which phase is next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from rollout.govern.sequence import DECISIONS, PREPARATION, Step
from rollout.model.base import Frozen
from rollout.model.progress import Override
from rollout.model.verdict import Verdict


class State(StrEnum):
    """Where a phase is."""

    NOT_STARTED = "not_started"
    BLOCKED = "blocked"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    NO_GO = "no_go"
    OUTDATED = "outdated"
    DONE = "done"
    NOT_NEEDED = "not_needed"


SETTLED = (State.DONE, State.NOT_NEEDED)
"""States after which the next phase may begin."""

Code = Literal[
    "approval",
    "blocked",
    "cleansed_anew",
    "decision",
    "decision_outdated",
    "failed",
    "gate_failed",
    "gate_open",
    "interrupted",
    "loaded_anew",
    "no_go",
    "not_measured",
    "operate",
    "operating",
    "people",
    "planned_anew",
    "prepare_errors",
    "rows_open",
    "run",
    "running",
    "single_wave",
    "sources_changed",
    "superseded",
    "taken_back",
]
"""What there is to tell; `told.<code>` in the message catalogue."""


class Told(Frozen):
    """Something to tell people: a key of the message catalogue, and what fills its places."""

    code: Code
    values: dict[str, str] = Field(default_factory=dict)
    step: Step | None = Field(default=None, description="The phase that the sentence names.")


class GateState(Frozen):
    """A gate of a phase as it stands."""

    gate: str
    wave: str | None
    verdict: Verdict | None = Field(description="None: never judged.")
    judged_at: datetime | None
    overrides: tuple[Override, ...] = ()


class StepState(Frozen):
    """Where one phase is, and what it waits for."""

    step: Step
    state: State
    verdict: Verdict | None = None
    waiting_for: Told | None = None
    remarks: tuple[Told, ...] = ()
    since: datetime | None = None
    plan_id: str | None = Field(default=None, description="Of a plan: which one.")
    gates: tuple[GateState, ...] = ()
    decided_by: str | None = None
    is_override: bool = False
    reason: str = ""


def next_step(states: Sequence[StepState]) -> StepState | None:
    """The first phase that is neither done nor unneeded; None when there is none.

    A go is a person's word that what came before is good enough: what lies before the last one is only looked at again
    by the next decision that rests on it. What was taken back since is nobody's word any more, and comes first. The
    preparation always does, for it makes what everything else uses.
    """
    unsettled = [found for found in states if found.state not in SETTLED]
    went = max((at for at, found in enumerate(states) if _is_go(found)), default=-1)
    due = [found for found in states[went + 1 :] if found.state not in SETTLED]
    if unsettled and (unsettled[0].step.phase in PREPARATION or _lacks_something(due)):
        return unsettled[0]
    taken_back = [found for found in unsettled if found.waiting_for and found.waiting_for.code == "taken_back"]
    return next(iter(taken_back + due), None)


def _is_go(found: StepState) -> bool:
    return found.step.phase in DECISIONS and found.state is State.DONE


def _lacks_something(due: Sequence[StepState]) -> bool:
    """Whether the next phase is a decision that cannot be taken yet."""
    return bool(due) and due[0].step.phase in DECISIONS and due[0].state is State.BLOCKED


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """FAIL before INCONCLUSIVE before PASS; of nothing: INCONCLUSIVE."""
    found = set(verdicts)
    if Verdict.FAIL in found:
        return Verdict.FAIL
    return Verdict.PASS if found == {Verdict.PASS} else Verdict.INCONCLUSIVE
