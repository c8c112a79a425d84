"""A sheet as a grid of texts, whatever corner of it is in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from python_calamine import CalamineSheet

from rollout.connectors.files.cells import cell_text

Position = tuple[int, int]
"""Row and column, from 0."""
Area = tuple[Position, Position]
"""First and last cell of a merged range."""


class Grid:
    """The used columns of a sheet; rows count from the sheet's first, columns from the first that is used.

    Args:
        data: The sheet.
        errors: Texts of error cells by position in the sheet; calamine reads those as empty.
    """

    def __init__(self, data: CalamineSheet, errors: Mapping[Position, str]) -> None:
        self._data = data
        start, end = data.start or (0, 0), data.end or (-1, -1)
        self._left = start[1]
        self.height = end[0] + 1
        self.width = end[1] + 1 - self._left
        self.areas: list[Area] = [
            ((top, max(left - self._left, 0)), (bottom, right - self._left))
            for (top, left), (bottom, right) in data.merged_cell_ranges or []
            if right >= self._left
        ]
        self._errors: dict[int, list[tuple[int, str]]] = {}
        for (row, column), text in errors.items():
            self._errors.setdefault(row, []).append((column - self._left, text))

    def rows(self) -> Iterator[list[str | None]]:
        """Every row from the sheet's first to the last used one, each `width` wide."""
        for number, cells in enumerate(self._data.iter_rows()):
            # calamine leaves out unused columns on the left here; a row that has them anyway is cut to fit.
            row = [cell_text(cell) for cell in cells[len(cells) - self.width :]]
            for column, text in self._errors.get(number, ()):
                row[column] = row[column] or text
            yield row
