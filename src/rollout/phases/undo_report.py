"""The records that an undo left as they are, or put back only in part, with the reason: for people to look at."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from rollout.journal.crypto import Sealer
from rollout.journal.history import UndoLine, left_lines
from rollout.journal.plans import PlanRecord
from rollout.load.machine import RowState
from rollout.load.plan import Action, PlannedRow
from rollout.load.work import row_place
from rollout.model import masking
from rollout.model.base import Frozen
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.plan_file import BYTE_ORDER_MARK, safe_cell
from rollout.phases.undo_draft import parts
from rollout.report.files import write_document

LISTED = 200
"""Records that a summary lists; the file has all of them."""
COLUMNS = ("outcome", "entity", "key", "id", "title", "fields", "reason", "message")

Outcome = Literal["kept", "conflict", "open"]


class LeftRecord(Frozen):
    """A record that an undo did not take back, or not wholly. Field names, and never a value but the masked title."""

    outcome: Outcome
    entity: str
    key: str
    target_id: str | None
    title: str
    fields: tuple[str, ...]
    reason: str
    message: str


def left_records(context: PhaseContext, plan: PlanRecord, target: TargetConnector) -> list[LeftRecord]:
    """All of them, by entity and key; as far as the lines tell once what the plan kept sealed is destroyed."""
    sealer = context.journal.sealer_if_kept(plan.key_id)
    with context.journal.transaction() as connection:
        lines = list(left_lines(connection, plan.plan_id))
    titles = _titles(context, lines, target)
    found = []
    for line in lines:
        told = _told(plan, line, sealer)
        found.append(_left(line, told, titles.get((line.entity, told.target_id or line.target_id or ""), "")))
    return found


def _told(plan: PlanRecord, line: UndoLine, sealer: Sealer | None) -> PlannedRow:
    """What was planned; without its sealed part as far as the line tells."""
    key, golden = line.migration_key, line.golden_key
    if sealer is None:
        return PlannedRow(key, golden, Action(line.action), target_id=line.target_id, message=line.message or "")
    payload = sealer.open(line.payload, row_place(plan.plan_id, line.entity, key))
    return PlannedRow.from_payload(key, golden, line.action, line.planned, payload)


def write_left(context: PhaseContext, plan: PlanRecord, records: Sequence[LeftRecord]) -> str:
    """Write them to ``reports/undo-{id}.csv``; answers its path relative to the workspace."""
    text = io.StringIO()
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for record in records:
        cells = (
            record.outcome,
            record.entity,
            record.key,
            record.target_id or "",
            record.title,
            ", ".join(record.fields),
            record.reason,
            record.message,
        )
        writer.writerow([safe_cell(cell) for cell in cells])
    reports = context.project.workspace.reports
    path = write_document(reports, f"undo-{plan.plan_id}.csv", text.getvalue())
    return f"{reports.name}/{path.name}"


def _left(line: UndoLine, row: PlannedRow, title: str) -> LeftRecord:
    is_planned = line.reason is None or (line.state == RowState.UNDONE and line.reason != "partly_undone")
    message = (row.message if is_planned else line.message) or ""
    return LeftRecord(
        outcome=_outcome(line),
        entity=line.entity,
        key=line.golden_key,
        target_id=line.target_id or row.target_id,
        title=title,
        fields=_named(message),
        reason=(line.planned if is_planned else line.reason) or "",
        message=message,
    )


def _outcome(line: UndoLine) -> Outcome:
    if line.state == RowState.KEPT or (line.state == RowState.UNDONE and line.planned is not None):
        return "kept"
    return "conflict" if line.state in (RowState.CONFLICT, RowState.UNDONE) else "open"


def _named(message: str) -> tuple[str, ...]:
    """The fields or entities that a message lists behind its colon."""
    _, colon, names = message.partition(": ")
    return tuple(names.split(", ")) if colon else ()


def _titles(context: PhaseContext, lines: Sequence[UndoLine], target: TargetConnector) -> Mapping[tuple[str, str], str]:
    """What people call the records, by entity and id, masked where it is personal; those that are gone are absent."""
    entities = context.project.spec.entities
    ids: dict[str, list[str]] = {}
    for line in lines:
        if line.entity in entities and line.target_id:
            ids.setdefault(line.entity, []).append(line.target_id)
    titles = {}
    for entity, record in _read(target, ids):
        spec = entities[entity]
        field, value = spec.fields[spec.title_field], record.values.get(spec.title_field)
        shown = masking.mask_field(field, value) if context.project.spec.privacy.mask else value
        titles[entity, record.target_id] = shown or ""
    return titles


def _read(target: TargetConnector, ids: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, TargetRecord]]:
    for entity, wanted in ids.items():
        for part in parts(wanted, target.capabilities.max_read_keys):
            for record in target.read_by_ids(entity, part).values():
                yield entity, record
