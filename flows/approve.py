"""Approve a plan: a decision of a named person, as a form. Twin: ``rollout approve``.

Prefect stores the parameters of every run. The first thing this flow does is therefore to take the personal code out of
its own; from sending the form until the worker starts the run (a few seconds) Prefect's database holds it.
"""

from __future__ import annotations

from typing import Any

from prefect import State, flow, runtime
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.states import Completed
from pydantic import Field, SecretStr

from flows._common import ProjectOptions, phase_task
from flows._states import failed
from rollout.phases.approve import ApprovalSummary, approve
from rollout.phases.context import PhaseContext


class ApproveOptions(ProjectOptions):
    """Who approves what, and why."""

    plan_id: str = Field(
        min_length=1,
        max_length=64,
        title="计划 · Plan",
        description="计划编号，见 plan 运行的产物。The plan's id, as the plan run's artifact shows it.",
    )
    person: str = Field(
        min_length=1,
        max_length=100,
        title="姓名 · Person",
        description="批准人，见 rollout people。Known to `rollout people`.",
    )
    code: SecretStr = Field(
        min_length=1,
        max_length=100,
        title="个人代码 · Personal code",
        description="只用于本次核对，不会保留在运行记录中。Checked once; taken out of the run's record.",
    )
    reason: str = Field(
        min_length=3, max_length=500, title="理由 · Reason", description="会写入审计记录。Kept in the audit trail."
    )
    go_on: bool = Field(
        default=True,
        title="继续导入 · Go on",
        description="批准后立即导入并核对。Import and verify as soon as the plan is approved.",
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


def forget_code(options: ApproveOptions) -> None:
    """Overwrite this run's stored parameters by those without the code."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, parameters={"options": options.model_dump(mode="json")})


@flow(name="approve", flow_run_name="approve · {options.label}")
def approve_plan(options: ApproveOptions) -> State[Any]:
    """Approve a plan by name, and start the rollout again where it stopped."""
    forget_code(options)
    state = record_approval(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    message = f"plan {options.plan_id} approved by {options.person}"
    if options.go_on:
        shared = {"project": options.project, "environment": options.environment, "plan_id": options.plan_id}
        run = run_deployment("rollout/rollout", parameters={"options": shared}, timeout=0, as_subflow=False)
        message += f"; going on as '{run.name}'"
    return Completed(name="Approved", message=message)
