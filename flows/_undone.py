"""What people see in the Prefect UI of an undo: what it would take back, what it left and why. Masked."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from flows._artifacts import publish_link, publish_text
from flows._plans import APPROVE
from rollout.phases.context import PhaseContext
from rollout.phases.undo import UndoSummary
from rollout.phases.undo_make import UndoPlanSummary
from rollout.phases.undo_report import LeftRecord
from rollout.report.markdown import markdown_table

LISTED = 50
"""Records that an artifact lists; the file it links to has all of them."""
TAKEN_BACK = {"delete": "删除 delete", "restore": "还原 restore", "release": "归还 release", "keep": "保留 keep"}


def publish_undo_plan(context: PhaseContext, summary: UndoPlanSummary) -> None:
    """What an undo would take back, what stays with the reason (masked, as in its file), and how to approve it."""
    rows = [[name, *(f"{plan.get(action, 0):,}" for action in TAKEN_BACK)] for name, plan in summary.entities.items()]
    until = f" · 期限 possible until {summary.window_ends_at:%Y-%m-%d %H:%M} UTC" if summary.window_ends_at else ""
    stays = _stays(context, summary.file)
    publish_text(
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
    publish_text(
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
