"""Plan: what would be created and changed in the CRM, field by field, for approval. Twin: ``rollout plan``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows._artifacts import key, publish_findings, publish_link
from flows._common import WaveOptions, phase_task
from flows._states import failed
from rollout.phases.context import PhaseContext
from rollout.phases.plan import PlanSummary, run_plan


class PlanOptions(WaveOptions):
    """What to plan."""


def publish_plan(context: PhaseContext, summary: PlanSummary) -> None:
    """What a plan would do, and how to approve it."""
    lines = [
        f"| {name} | {plan.create:,} | {plan.update:,} | {plan.unchanged:,} | {plan.conflict:,} |"
        for name, plan in summary.entities.items()
    ]
    create_markdown_artifact(
        f"## 计划 · Plan `{summary.plan_id}` · 批次 wave {summary.wave}\n\n"
        "| | 新建 create | 修改 update | 不变 unchanged | 冲突 conflict |\n|---|---:|---:|---:|---:|\n"
        + "\n".join(lines)
        + f"\n\n哈希 hash `{summary.plan_hash}` · 目标 target `{summary.target}` · "
        f"约 about {summary.estimate_s:,.0f} s, {summary.calls:,} calls\n\n"
        "批准：运行部署 **approve-plan**，填写上面的计划编号。\n\n"
        "To approve it, run the deployment **approve-plan** with the plan id above.\n",
        key=key(context.project.spec.project.id, "plan"),
        description=f"计划 · Plan {summary.plan_id} · {summary.wave}",
    )
    publish_link(context, ("plan", "file"), summary.file)


@phase_task("plan")
def plan_load(context: PhaseContext, options: PlanOptions) -> PlanSummary:
    """Compare with what the CRM holds and publish what would change."""
    summary = run_plan(context, wave=options.wave or None)
    publish_plan(context, summary)
    publish_findings(context, "plan")
    return summary


DEFAULTS = PlanOptions()


@flow(name="plan", flow_run_name="plan · {options.label}")
def plan(options: PlanOptions = DEFAULTS) -> State[Any]:
    """Plan the load; a named person approves it before anything runs."""
    state = plan_load(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary = state.result()
    return Completed(message=f"plan {summary.plan_id} of wave {summary.wave} waits for approval", data=summary)
