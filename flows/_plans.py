"""What people see of a plan in the Prefect UI before they approve it."""

from __future__ import annotations

from flows._artifacts import publish_link, publish_text
from rollout.phases.context import PhaseContext
from rollout.phases.plan import PlanSummary
from rollout.report.markdown import markdown_table

APPROVE = (
    "批准：运行部署 **approve-plan**，填写上面的计划编号。\n\n"
    "To approve it, run the deployment **approve-plan** with the plan id above.\n"
)
COUNTED = {
    "create": "新建 create",
    "update": "修改 update",
    "adopt": "沿用 adopt",
    "unchanged": "不变 unchanged",
    "skip": "跳过 skip",
    "conflict": "冲突 conflict",
}


def publish_plan(context: PhaseContext, summary: PlanSummary) -> None:
    """What a plan would do, what taking it back would need, and how to approve it."""
    called = context.project.spec.entities
    rows = [
        [f"{called[name].label} {name}", *(f"{getattr(plan, figure):,}" for figure in COUNTED)]
        for name, plan in summary.entities.items()
    ]
    remarks = "".join(f"- ✗ {told}\n" for told in summary.limits)
    if beside := summary.compared:
        remarks += (
            f"- 与 {beside.other_target} 的计划相比 · beside plan `{beside.other_plan_id}` of {beside.other_target}: "
            f"相同 same {beside.same:,}, 不同 different {beside.differing:,}\n"
        )
    publish_text(
        context,
        ("plan",) if summary.kind == "load" else ("plan", summary.kind, summary.wave),
        f"计划 · Plan {summary.plan_id} · {summary.wave}",
        f"## 计划 · Plan `{summary.plan_id}` · 批次 wave {summary.wave}\n\n"
        f"{markdown_table(['', *COUNTED.values()], rows)}\n{remarks}"
        f"哈希 hash `{summary.plan_hash}` · 目标 target `{summary.target}` · "
        f"约 about {summary.estimate_s:,.0f} s, {summary.calls:,} calls · "
        f"撤销 undo {summary.undo_estimate_s:,.0f} s, {summary.undo_calls:,} calls\n\n{APPROVE}",
    )
    publish_link(context, ("plan", "file"), summary.file)
