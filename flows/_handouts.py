"""What people see of workbooks in the Prefect UI: who has one, what came back, what could not be taken. Masked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from prefect.artifacts import create_markdown_artifact

from flows._artifacts import key
from rollout.journal.handouts import Handout, handed_out
from rollout.phases.context import PhaseContext
from rollout.phases.quarantine_import import RowResult
from rollout.report.markdown import markdown_table
from rollout.report.quarantine_workbook import told_outcome

LISTED = 50
"""Lines that an artifact lists one by one."""
COLUMNS = (
    "收件人 recipient",
    "文件 file",
    "对象 entity",
    "行数 rows",
    "已答 answered",
    "截止 due",
    "交回 returned",
    "经办 by",
)
TROUBLE = ("行 line", "对象 about", "问题 what is wrong")
RETURN = (
    "交回：把填好的工作簿放回原文件夹，运行部署 **take-in**。\n\n"
    "To bring them back: put the filled-in workbooks where they were and run the deployment **take-in**.\n"
)


class Trouble(NamedTuple):
    """A line of a workbook that was not taken as it stands."""

    line: str
    about: str
    what: str


class Taken(NamedTuple):
    """What became of workbooks that came back; refused: nothing at all was recorded."""

    told: str
    trouble: Sequence[Trouble]
    is_refused: bool


def returned_file(folder: Path, kind: str, file: str) -> Path:
    """A name as the list of workbooks has it is one of its kind's own folder."""
    own = folder / kind / file
    return own if own.exists() else folder / file


def publish_handouts(context: PhaseContext, kind: str) -> Sequence[Handout]:
    """Whoever has a workbook of this kind, with rows, deadline and what came back; answers the newest of each."""
    journal, project = context.journal, context.project.spec.project
    with journal.transaction() as connection:
        handed = handed_out(connection, journal.project_id, kind=kind)
    newest = list({(one.recipient, one.entity): one for one in handed}.values())
    zone = ZoneInfo(project.time_zone)
    rows = [
        [
            one.recipient,
            one.file,
            one.entity or "–",
            f"{one.rows:,}",
            f"{one.answered:,}",
            f"{one.due_on or '–'}",
            f"{one.returned_at.astimezone(zone):%Y-%m-%d %H:%M}" if one.returned_at else "–",
            one.returned_by or "–",
        ]
        for one in newest
    ]
    returned = sum(one.returned_at is not None for one in newest)
    create_markdown_artifact(
        f"{markdown_table(COLUMNS, rows)}\n{RETURN}",
        key=key(project.id, "handouts", kind),
        description=f"工作簿 · Workbooks ({kind}): {returned} / {len(newest)} 已交回 returned",
    )
    return newest


def in_words(context: PhaseContext, row: RowResult) -> str:
    """What became of the answers about a row to repair, in the project's languages."""
    spec = context.project.spec
    labels = {"zh": {name: one.label for name, one in spec.entities[row.entity].fields.items()}, "en": {}}
    told = [told_outcome(row.outcome, row.problems, labels[language], language) for language in spec.project.languages]
    return " · ".join(told)


def publish_trouble(context: PhaseContext, kind: str, found: Sequence[Trouble]) -> None:
    """The lines of workbooks that were not taken as they stand; an empty table where all were."""
    more = f"\n… 共 {len(found):,} 行 · {len(found):,} in all\n" if len(found) > LISTED else ""
    create_markdown_artifact(
        f"{markdown_table(TROUBLE, found[:LISTED])}{more}",
        key=key(context.project.spec.project.id, "take-in", kind),
        description=f"未能接受的行 · Lines not taken ({kind}): {len(found):,}",
    )
