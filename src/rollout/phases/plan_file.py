"""The plan as a file for the person who approves it: one line a field that changes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rollout.load.plan import Action, PlannedRow
from rollout.model import masking
from rollout.project.loader import Project

COLUMNS = ("entity", "key", "action", "field", "old", "new", "reason")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class PlanFile:
    """Writes ``reports/plan-{id}.csv`` (UTF-8 with BOM, which spreadsheets expect); it appears when it is whole.

    Personal fields are masked. Cells that a spreadsheet would take for a formula get an apostrophe in front.
    Unchanged rows are counted in the plan's summary and not listed.
    """

    def __init__(self, project: Project, plan_id: str) -> None:
        self._spec = project.spec
        self._path = project.workspace.reports / f"plan-{plan_id}.csv"
        self._draft = self._path.with_suffix(".tmp")
        self._file: IO[str] | None = None
        self.relative = f"{self._path.parent.name}/{self._path.name}"

    def __enter__(self) -> Self:
        self._file = self._draft.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        if error is None:
            self._draft.replace(self._path)
        else:
            Path(self._draft).unlink(missing_ok=True)

    def add(self, entity: str, rows: Sequence[PlannedRow]) -> None:
        """Add the rows that change something or are in conflict."""
        for row in rows:
            if row.action is Action.CONFLICT:
                self._write(entity, row, "", None, None)
            elif row.action is not Action.UNCHANGED:
                for name, value in row.new.items():
                    self._write(entity, row, name, row.old.get(name), value)
                for name, reference in row.references.items():
                    self._write(entity, row, name, row.old.get(name), reference.migration_key)

    def _write(self, entity: str, row: PlannedRow, name: str, old: str | None, new: str | None) -> None:
        cells = (
            entity,
            row.golden_key,
            row.action.value,
            name,
            self._shown(entity, name, old),
            self._shown(entity, name, new),
            row.message,
        )
        self._writer.writerow(["'" + cell if cell.startswith(_FORMULA) else cell for cell in cells])

    def _shown(self, entity: str, name: str, value: str | None) -> str:
        if value is None:
            return ""
        field = self._spec.entities[entity].fields[name]
        return masking.mask_field(field, value) or "" if self._spec.privacy.mask else value
