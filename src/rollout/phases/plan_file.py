"""The plan as a file for the person who approves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

import pyarrow as pa
from pyarrow import csv

from rollout.load.plan import Action, PlannedRow
from rollout.model import masking
from rollout.model.entity import FieldSpec, Values
from rollout.project.loader import Project

COLUMNS = ("entity", "key", "action", "field", "old", "new", "reason")
BYTE_ORDER_MARK = "\ufeff"
_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
_Mask = Callable[[str | None], str]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class PlanFile:
    """Writes ``reports/plan-{id}.csv`` (UTF-8 with BOM, which spreadsheets expect); it appears when it is whole.

    A line for each field that is changed, filled or put back, and for each in which people's value stays; one line for
    a record that is created, with all its fields; one for a record that is deleted, kept, left out or in conflict,
    with the reason. Unchanged rows are counted in the plan's summary and not listed. Personal fields are masked. Cells
    that a spreadsheet would take for a formula get an apostrophe in front.
    """

    def __init__(self, project: Project, plan_id: str) -> None:
        self._spec = project.spec
        self._path = project.workspace.reports / f"plan-{plan_id}.csv"
        self._draft = self._path.with_suffix(".tmp")
        self._masks = {
            name: {field: self._mask(declared) for field, declared in entity.fields.items()}
            for name, entity in project.spec.entities.items()
        }
        self._files = ExitStack()
        self._writer: csv.CSVWriter | None = None
        self.relative = f"{self._path.parent.name}/{self._path.name}"

    def __enter__(self) -> Self:
        with ExitStack() as files:
            file = files.enter_context(self._draft.open("wb"))
            file.write(BYTE_ORDER_MARK.encode())
            self._writer = files.enter_context(csv.CSVWriter(file, _SCHEMA))
            self._files = files.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()
        if error is None:
            self._draft.chmod(0o600)
            self._draft.replace(self._path)
        else:
            self._draft.unlink(missing_ok=True)

    def add(self, entity: str, rows: Sequence[PlannedRow]) -> None:
        """Add the rows that change something or are in conflict."""
        masks = self._masks.get(entity, {})  # what a sync carried is of an entity that the project may not have
        lines = [line for row in rows for line in _lines(entity, row, masks)]
        assert self._writer is not None
        if lines:
            columns = [pa.array(column, pa.string()) for column in zip(*lines, strict=True)]
            self._writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))

    def _mask(self, field: FieldSpec) -> _Mask:
        return partial(_masked, masking.masker(field)) if field.personal and self._spec.privacy.mask else _as_it_is


def _lines(entity: str, row: PlannedRow, masks: Mapping[str, _Mask]) -> list[tuple[str, ...]]:
    key = safe_cell(row.golden_key)
    if row.action is Action.CREATE:
        told = "; ".join(
            [
                f"{name}: {value if (mask := masks[name]) is _as_it_is and value else mask(value)}"
                for name, value in _set(row).items()
            ]
        )
        return [(entity, key, "create", "*", "", safe_cell(told), "")]
    if row.action is Action.UNCHANGED and not row.kept:
        return []
    lines: list[tuple[str, ...]] = [
        (
            entity,
            key,
            row.action.value,
            name,
            safe_cell(masks[name](row.old.get(name))),
            safe_cell(masks[name](value)),
            _remark(row, name),
        )
        for name, value in _set(row).items()
        if name in masks
    ]
    if row.action in _TOLD or row.reason_code or (row.action is Action.ADOPT and not lines):
        told = safe_cell(f"{row.reason_code}: {row.message}" if row.reason_code else row.message)
        lines.insert(0, (entity, key, row.action.value, "", "", "", told))
    return lines + [(entity, key, "kept", name, "", "", "the value that people typed stays") for name in row.kept]


_TOLD = (Action.CONFLICT, Action.SKIP, Action.KEEP, Action.DELETE)
"""Actions that have a line for the record as a whole."""


def _set(row: PlannedRow) -> Values:
    """The fields that a row sets; of references the parent's migration key."""
    references = {**row.references, **row.deferred} if row.deferred else row.references
    if not references:
        return row.new
    return {**row.new, **{name: reference.migration_key for name, reference in references.items()}}


def _remark(row: PlannedRow, name: str) -> str:
    if name in row.clashing:
        return "changed on both sides: a person decides"
    if name in row.overwrites:
        return "overwrites what people typed"
    return "in a second step" if name in row.deferred else ""


def _as_it_is(value: str | None) -> str:
    return value or ""


def _masked(mask: Callable[[str], str], value: str | None) -> str:
    return mask(value) if value else ""


def safe_cell(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + cell if cell.startswith(_FORMULA) else cell
