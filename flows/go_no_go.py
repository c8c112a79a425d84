"""Go or no-go about a phase: a decision of a named person, as a form. Twin: ``rollout decide``."""

from __future__ import annotations

from typing import Any, Literal

from prefect import State, flow
from prefect.states import Completed
from pydantic import Field

from flows._decisions import DecisionOptions, forget_code, go_on_with
from flows._states import failed
from flows._tables import publish_gates
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.decide import DecisionSummary, decide


class GoNoGoOptions(DecisionOptions):
    """Who decides what, and why."""

    phase: Literal["verify", "integrate", "loadtest", "undo", "pilot", "golive"] = Field(
        title="阶段 · Phase",
        description="pilot 试点、golive 上线；其余仅用于破例放行或叫停。"
        "pilot and golive wait for a decision; the others need one only against their gate.",
    )
    decision: Literal["go", "no-go"] = Field(
        title="决定 · Decision",
        description="go 通过；no-go 不通过，之后的阶段不会开始。After a no-go the later phases do not begin.",
    )
    wave: str = Field(
        default="",
        max_length=64,
        title="批次 · Wave",
        description="仅 verify 需要：rollout.yaml 中 waves 的名称。Only for verify: a name under `waves:`.",
    )
    override: bool = Field(
        default=False,
        title="破例放行 · Override",
        description="门禁未通过仍然放行，会在每处门禁旁注明姓名和理由。"
        "Go although a gate is not PASS; name and reason are printed wherever the gate is shown.",
    )

    @property
    def label(self) -> str:
        """What the run's name says."""
        wave = f" {self.wave}" if self.wave else ""
        return f"{self.phase}{wave} · {self.decision} · {self.person}"


@phase_task("decide")
def record_decision(context: PhaseContext, options: GoNoGoOptions) -> DecisionSummary:
    """Check the code, record the decision, and publish the gates with it."""
    summary = decide(
        context,
        phase=options.phase,
        go=options.decision == "go",
        person=options.person,
        code=options.code.get_secret_value(),
        reason=options.reason,
        wave=options.wave or None,
        override=options.override,
    )
    for name in summary.gates:
        gate, _, wave = name.partition("/")
        judged = context.journal.latest_gate(gate, wave=wave or None)
        publish_gates(context, [judged] if judged else [], wave=wave or None)
    return summary


@flow(name="go-no-go", flow_run_name="go / no-go · {options.label}")
def go_no_go(options: GoNoGoOptions) -> State[Any]:
    """Record go or no-go by name; after a go the rollout is started again where it stopped."""
    forget_code(options)
    state = record_decision(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: DecisionSummary = state.result()
    word = "go (override)" if summary.override else options.decision
    message = f"{word} about {options.phase} by {options.person}: {options.reason}"
    if not summary.go:
        return Completed(name="NoGo", message=message)
    if options.go_on:
        message += go_on_with(options)
    return Completed(name="Go", message=message)
