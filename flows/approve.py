"""Approve a plan, of an import or of an undo: a decision of a named person, as a form. Twin: ``rollout approve``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed
from pydantic import Field

from flows._decisions import DecisionOptions, forget_code, go_on_with
from flows._states import failed
from flows._tasks import phase_task
from rollout.phases.approve import ApprovalSummary, approve
from rollout.phases.context import PhaseContext


class ApproveOptions(DecisionOptions):
    """Who approves what, and why."""

    plan_id: str = Field(
        min_length=1,
        max_length=64,
        title="计划 · Plan",
        description="计划编号，见 plan、delta 或 undo (plan) 运行的产物。"
        "The plan's id, as the artifact of the run of plan, delta or undo (plan) shows it.",
    )
    go_on: bool = Field(
        default=True,
        title="继续 · Go on",
        description="批准后立即执行：导入计划继续上线流程，撤销计划立即撤销。"
        "Start at once what applies it: the flow `rollout` goes on, or the undo begins.",
    )

    @property
    def label(self) -> str:
        """What the run's name says."""
        return f"plan {self.plan_id} · {self.person}"


@phase_task("approve")
def record_approval(context: PhaseContext, options: ApproveOptions) -> ApprovalSummary:
    """Check the code and record the approval."""
    code = options.code.get_secret_value()
    return approve(context, person=options.person, code=code, reason=options.reason, plan_id=options.plan_id)


@flow(name="approve", flow_run_name="approve · {options.label}")
def approve_plan(options: ApproveOptions) -> State[Any]:
    """Approve a plan by name, and start what applies it."""
    forget_code(options)
    state = record_approval(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    kind = state.result().kind
    message = f"plan {options.plan_id} approved by {options.person}"
    if kind == "unmerge":
        message += "; apply it with `rollout unmerge`"
    elif options.go_on:
        message += go_on_with(options, "undo", plan_id=options.plan_id) if kind == "undo" else go_on_with(options)
    return Completed(name="Approved", message=message)
