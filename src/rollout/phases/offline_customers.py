"""`export offline-customers`: a readable copy of the customers and their contacts, for a day without the CRM."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.workbook.child import INVALID_TITLE_REGEX
from openpyxl.worksheet._write_only import WriteOnlyWorksheet
from pydantic import Field

from rollout.connectors.base import TargetRecord
from rollout.journal import people
from rollout.model.base import Frozen
from rollout.model.entity import FieldType
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.project.spec import EntitySpec
from rollout.project.spec_around import TEST_KEY_PREFIXES

PHASE = "export"
SHEET_ROWS = 1_000_000
"""Records a sheet; xlsx holds 1,048,576 rows."""
_WIDTH = 18
_TITLE_CHARACTERS = 31
_LISTED = (FieldType.PHONE, FieldType.EMAIL)
"""What of a child is told beside its parent, after its title."""


class OfflineSummary(Frozen):
    """A continuity copy."""

    run_id: str
    target: str
    file: str = Field(description="Below the workspace; readable by its owner alone. It holds personal data in clear.")
    entities: dict[str, int] = Field(description="Records in the copy.")


def export_offline_customers(context: PhaseContext, *, person: str, code: str, reason: str) -> OfflineSummary:
    """Copy what the CRM holds of the project's entities into a workbook that people can read and search.

    A sheet an entity, with the fields' labels, sorted by title; references show the title of their record, and each
    parent tells its children (a customer its contacts with their numbers). Test records are left out.

    Raises:
        ApprovalError: Wrong code, or no reason: personal data leave the systems by name only.
        Retryable: The target or the database cannot be reached.
    """
    people.sign(context.journal, person, code, reason)
    target_name, _, target = context.target("operate")
    with context.journal.running(PHASE) as run:
        now = context.clock()
        copy = {name: _read(context, target, name) for name in context.project.spec.load_order}
        path = context.project.workspace.reports / f"offline-customers-{now:%Y%m%d-%H%M%S}.xlsx"
        _write(path, context, copy, now)
        summary = OfflineSummary(
            run_id=run.run_id,
            target=target_name,
            file=str(path.relative_to(context.project.workspace.root)),
            entities={name: len(records) for name, records in copy.items()},
        )
        run.summary = summary.model_dump(mode="json")
        detail = {"reason": reason, "file": summary.file, "records": summary.entities}
        context.journal.audit(person, "export.offline_customers", target_name, detail)
    return summary


def _read(context: PhaseContext, target: TargetConnector, entity: str) -> list[TargetRecord]:
    title = context.project.spec.entities[entity].title_field
    with shown(context.progress, f"read {entity}", target.count(entity), "records") as progress:
        records = []
        for record in target.read_all(entity):
            progress.advance(1)
            if not (record.migration_key or "").startswith(TEST_KEY_PREFIXES):
                records.append(record)
    return sorted(records, key=lambda record: record.values.get(title) or "")


def _write(path: Path, context: PhaseContext, copy: Mapping[str, Sequence[TargetRecord]], now: datetime) -> None:
    spec = context.project.spec
    zone = ZoneInfo(spec.project.time_zone)
    taken = f"{spec.report.company or spec.project.name} · {now.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"
    titles = {
        name: {record.target_id: record.values.get(spec.entities[name].title_field) or "" for record in records}
        for name, records in copy.items()
    }
    book = Workbook(write_only=True)
    for name, records in copy.items():
        entity = spec.entities[name]
        children = {child: _children(spec.entities[child], name, copy[child]) for child in copy if child != name}
        told = {child: found for child, found in children.items() if found}
        labels = [field.label or field_name for field_name, field in entity.fields.items()]
        label = INVALID_TITLE_REGEX.sub("-", entity.label or name)
        labels += [spec.entities[child].label for child in told]
        for part in range(0, max(len(records), 1), SHEET_ROWS):
            number = f" {part // SHEET_ROWS + 1}" if part else ""
            sheet = book.create_sheet(f"{label[: _TITLE_CHARACTERS - len(number)]}{number}")
            sheet.freeze_panes = "B3"
            for at in range(1, len(labels) + 1):
                sheet.column_dimensions[get_column_letter(at)].width = _WIDTH
            sheet.append([_text(sheet, taken, bold=False)])
            sheet.append([_text(sheet, label, bold=True) for label in labels])
            for record in records[part : part + SHEET_ROWS]:
                row = [*_values(entity, record, titles), *(found.get(record.target_id, "") for found in told.values())]
                sheet.append([_text(sheet, value, bold=False) for value in row])
    draft = path.with_suffix(".tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        book.save(file)
    draft.replace(path)


def _values(entity: EntitySpec, record: TargetRecord, titles: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A record's fields as people read them."""
    for name, field in entity.fields.items():
        value = record.values.get(name) or ""
        if field.references:
            value = titles.get(field.references, {}).get(value, value)
        elif field.type is FieldType.BOOLEAN:
            value = {"true": "✓", "false": ""}.get(value, value)
        yield value


def _children(entity: EntitySpec, parent: str, records: Sequence[TargetRecord]) -> dict[str, str]:
    """By parent the children's titles, with the numbers and addresses they are reached by."""
    reference = next((name for name, to in entity.references.items() if to == parent), None)
    if reference is None:
        return {}
    reached = [name for name, field in entity.fields.items() if field.type in _LISTED]
    found: dict[str, list[str]] = {}
    for record in records:
        if (held := record.values.get(reference)) is not None:
            told = [record.values.get(entity.title_field), *(record.values.get(name) for name in reached)]
            found.setdefault(held, []).append(" ".join(filter(None, told)))
    return {held: "; ".join(told) for held, told in found.items()}


def _text(sheet: WriteOnlyWorksheet, value: str, *, bold: bool) -> Cell:
    """A cell that is text whatever it begins with."""
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", value))
    cell.data_type = "s"
    cell.quotePrefix = True
    if bold:
        cell.font = Font(bold=True)
    return cell
