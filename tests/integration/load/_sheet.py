"""The queue of rejects as a person handles it in Excel."""

from __future__ import annotations

import random
from pathlib import Path

from openpyxl import load_workbook

from rollout.report.messages import messages


class Sheet:
    """An exported workbook that a person fills in."""

    def __init__(self, path: Path, *, language: str = "zh") -> None:
        self._path = path
        self._book = load_workbook(path)
        self.sheet = self._book.worksheets[0]
        titles = {messages(language)(f"reject.column.{name}"): name for name in _NAMES}
        self.places = {titles[cell.value]: cell.column for cell in self.sheet[1]}

    @property
    def lines(self) -> list[dict[str, str]]:
        return [
            {name: self.sheet.cell(at, column).value or "" for name, column in self.places.items()}
            for at in range(2, self.sheet.max_row + 1)
        ]

    def fill(self, key: str, field: str | None = None, **cells: object) -> None:
        """Write into the line of a key (and field)."""
        done = 0
        for at in range(2, self.sheet.max_row + 1):
            if self.sheet.cell(at, self.places["key"]).value != key:
                continue
            if field is not None and self.sheet.cell(at, self.places["field"]).value != field:
                continue
            for name, value in cells.items():
                self.sheet.cell(at, self.places[name]).value = value
            done += 1
        assert done, f"no line of {key} {field}"

    def shuffle(self) -> None:
        rows = [[cell.value for cell in row] for row in self.sheet.iter_rows(min_row=2)]
        random.Random(7).shuffle(rows)
        for at, row in enumerate(rows, start=2):
            for place, value in enumerate(row, start=1):
                self.sheet.cell(at, place).value = value

    def save(self) -> Path:
        self._book.save(self._path)
        return self._path


_NAMES = (
    "key",
    "entity",
    "title",
    "state",
    "field",
    "label",
    "value",
    "crm_value",
    "reason",
    "message",
    "hint",
    "action",
    "target_id",
    "new_value",
    "decided",
)
