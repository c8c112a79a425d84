"""What people see of a plan in the Prefect UI before they approve it, and of what an undo left."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from prefect.artifacts import create_markdown_artifact

from flows._artifacts import key, publish_link
from rollout.phases.context import PhaseContext
from rollout.phases.plan import PlanSummary
from rollout.phases.undo import UndoSummary
from rollout.phases.undo_make import UndoPlanSummary
from rollout.phases.undo_report import LeftRecord
from rollout.report.markdown import markdown_table

LISTED = 50
"""Records that an artifact lists; the file it links to has all of them."""
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
TAKEN_BACK = {"delete": "删除 delete", "restore": "还原 restore", "release": "归还 release", "keep": "保留 keep"}


def publish_plan(context: PhaseContext, summary: PlanSummary) -> None:
    """What a plan would do, what taking it back would need, and how to approve it."""
    rows = [[name, *(f"{getattr(plan, figure):,}" for figure in COUNTED)] for name, plan in summary.entities.items()]
    remarks = "".join(f"- ✗ {told}\n" for told in summary.limits)
    if beside := summary.compared:
        remarks += (
            f"- 与 {beside.other_target} 的计划相比 · beside plan `{beside.other_plan_id}` of {beside.other_target}: "
            f"相同 same {beside.same:,}, 不同 different {beside.differing:,}\n"
        )
    _publish(
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


def publish_undo_plan(context: PhaseContext, summary: UndoPlanSummary) -> None:
    """What an undo would take back, what stays with the reason (masked, as in its file), and how to approve it."""
    rows = [[name, *(f"{plan.get(action, 0):,}" for action in TAKEN_BACK)] for name, plan in summary.entities.items()]
    until = f" · 期限 possible until {summary.window_ends_at:%Y-%m-%d %H:%M} UTC" if summary.window_ends_at else ""
    stays = _stays(context, summary.file)
    _publish(
        context,
        ("undo", "plan"),
        f"撤销计划 · Undo plan {summary.plan_id} · {summary.wave}",
        f"## 撤销计划 · Undo plan `{summary.plan_id}` · 批次 wave {summary.wave}\n\n"
        f"{markdown_table(['', *TAKEN_BACK.values()], rows)}\n"
        f"保留 kept {summary.kept:,} · 冲突 conflicts {summary.conflicts:,} · 撤销的计划 takes back "
        f"{', '.join(f'`{plan}`' for plan in summary.plans)}{until}\n\n"
        f"哈希 hash `{summary.plan_hash}` · 目标 target `{summary.target}` · "
        f"约 about {summary.estimate_s:,.0f} s, {summary.calls:,} calls\n\n"
        + _listed("保留的记录 · Records that stay", ("entity", "key", "reason"), stays[:LISTED], summary.kept)
        + APPROVE,
    )
    publish_link(context, ("undo", "plan", "file"), summary.file)


def publish_undo(context: PhaseContext, summary: UndoSummary) -> None:
    """What an undo took back, and every record that it left, with the fields and the reason; titles masked."""
    figures = {
        "删除 deleted": summary.deleted,
        "还原 restored": summary.restored,
        "归还 released": summary.released,
        "保留 kept": summary.kept,
        "冲突 conflicts": summary.conflicts,
        "未知 unknown": summary.unknown,
        "未完成 open": summary.open,
    }
    _publish(
        context,
        ("undo",),
        f"撤销 · Undo {summary.plan_id} · {summary.wave}",
        f"## 撤销 · Undo `{summary.plan_id}` · 批次 wave {summary.wave}\n\n"
        f"{markdown_table([*figures], [[f'{count:,}' for count in figures.values()]])}\n"
        + _left("保留的记录 · Records that stay", summary.kept_records, summary.kept)
        + _left("冲突 · Conflicts: people's values stay", summary.conflict_records, summary.conflicts),
    )
    publish_link(context, ("undo", "left"), summary.file)


def _left(title: str, records: Iterable[LeftRecord], total: int) -> str:
    rows = [[one.entity, one.key, one.title, ", ".join(one.fields), one.reason] for one in records]
    return _listed(title, ("entity", "key", "title", "fields", "reason"), rows[:LISTED], total)


def _stays(context: PhaseContext, file: str) -> list[list[str]]:
    """The lines of an undo's plan file about records that stay: entity, key and reason."""
    with (context.project.workspace.root / file).open(encoding="utf-8-sig", newline="") as lines:
        return [
            [line["entity"], line["key"], line["reason"]]
            for line in csv.DictReader(lines)
            if line["action"] in ("keep", "restore") and line["reason"] and not line["field"]
        ]


def _listed(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    if not rows:
        return ""
    more = f"\n… 共 {total:,} 条，见文件 · {total:,} in all, see the file\n" if total > len(rows) else ""
    return f"### {title}\n\n{markdown_table(head, rows)}{more}\n"


def _publish(context: PhaseContext, words: tuple[str, ...], description: str, text: str) -> None:
    create_markdown_artifact(text, key=key(context.project.spec.project.id, *words), description=description)
