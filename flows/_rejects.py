"""What people see of the queue of rejects in the Prefect UI."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from flows._artifacts import key
from rollout.phases.context import PhaseContext
from rollout.phases.rejects import list_rejects
from rollout.project.spec import Language
from rollout.report.markdown import markdown_table
from rollout.report.messages import messages

LISTED = 50
"""Rows that the artifact lists one by one; `rollout rejects export` writes all of them."""
COLUMNS = ("entity", "key", "title", "state", "reason", "hint")


def publish_rejects(context: PhaseContext, wave: str | None) -> int:
    """The rows of a wave that wait for people, with what to do about them, masked; answers how many."""
    queue = list_rejects(context, wave=wave, limit=LISTED)

    def table(language: Language) -> str:
        t = messages(language)
        rows = [
            [
                row.entity,
                row.key,
                row.title,
                t.word("reject.state", row.state),
                t.word("reason", row.reason_code),
                t.word("reason_hint", row.reason_code if f"reason_hint.{row.reason_code}" in t.texts else "other"),
            ]
            for row in queue.listed
        ]
        return markdown_table([t(f"reject.column.{name}") for name in COLUMNS], rows)

    project = context.project.spec.project
    create_markdown_artifact(
        "\n\n".join(table(language) for language in project.languages)
        + f"\n{queue.decided:,} / {queue.rows:,} 已决定 decided\n\n"
        "修复：`rollout rejects export FILE.xlsx`，填写后 `rollout rejects import FILE.xlsx`。\n\n"
        "To repair them: `rollout rejects export FILE.xlsx`, fill it in, `rollout rejects import FILE.xlsx`.\n",
        key=key(project.id, "rejects"),
        description=f"待处理的行 · Rows that wait for people: {queue.rows:,} ({queue.wave})",
    )
    return queue.rows
