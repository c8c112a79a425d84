"""Which ways of writing dates a column has, and whether one of them decides what 03/04/2024 is. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rollout.mapping.transforms_text import tidy_one
from rollout.mapping.transforms_values import datetime_one

_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)")
_PATTERNS = (
    ("YYYY-MM-DD", re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?!\d)")),
    ("YYYY/MM/DD", re.compile(r"\d{4}/\d{1,2}/\d{1,2}(?!\d)")),
    ("YYYY.MM.DD", re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}(?!\d)")),
    ("YYYY年MM月DD日", re.compile(r"\d{4} ?年 ?\d{1,2} ?月 ?\d{1,2}")),
    ("YYYYMMDD", re.compile(r"\d{8}(?!\d)")),
    ("Excel", re.compile(r"\d{5}(?:\.\d+)?$")),
    ("YY/MM/DD ?", re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{1,2}(?!\d)")),
)
_MONTHS = 12
AMBIGUOUS, DAY_FIRST, MONTH_FIRST = "??/??/YYYY", "DD/MM/YYYY", "MM/DD/YYYY"
TWO_DIGITS = "YY/MM/DD ?"
OTHER = "other"
UNDECIDED = (AMBIGUOUS, TWO_DIGITS)
"""Ways that may mean several days."""


def layout(cell: str) -> str:
    """How a cell writes its date; `other` is no date that we know."""
    text = (tidy_one(cell)[0] or "").replace("\n", " ")
    if found := _YEAR_LAST.match(text):
        first, second = int(found[1]), int(found[3])
        if first == second:
            return DAY_FIRST if first > _MONTHS else AMBIGUOUS
        if first > _MONTHS:
            return DAY_FIRST if second <= _MONTHS else OTHER
        return MONTH_FIRST if second > _MONTHS else AMBIGUOUS
    name = next((name for name, pattern in _PATTERNS if pattern.match(text)), OTHER)
    if name in (OTHER, TWO_DIGITS):
        return name
    return name if datetime_one(text, "UTC")[0] else OTHER


@dataclass(frozen=True)
class DateColumn:
    """The dates of a column: rows by way of writing, the commonest first."""

    layouts: dict[str, int] = field(default_factory=dict)
    signs: dict[str, int] = field(default_factory=dict)
    """What stands between day, month and year where the year is last."""

    @property
    def rows(self) -> int:
        """Cells with anything in them."""
        return sum(self.layouts.values())

    @property
    def undecided(self) -> int:
        """Rows that may mean several days."""
        return sum(self.layouts.get(name, 0) for name in UNDECIDED)

    @property
    def is_mixed(self) -> bool:
        """Whether both orders of day and month occur for certain, so that none decides about the rest."""
        return bool(self.layouts.get(DAY_FIRST) and self.layouts.get(MONTH_FIRST))

    @property
    def is_open(self) -> bool:
        """Whether a person must say what the format is."""
        return self.undecided > 0 and not self.is_mixed

    @property
    def likely(self) -> str | None:
        """The format that the cells which can be read in one way only speak for; None: nothing does."""
        if not self.is_open or self.layouts.get(TWO_DIGITS):
            return None
        sign = next(iter(self.signs), "/")
        if self.layouts.get(DAY_FIRST):
            return f"%d{sign}%m{sign}%Y"
        return f"%m{sign}%d{sign}%Y" if self.layouts.get(MONTH_FIRST) else None

    @property
    def shares(self) -> dict[str, float]:
        """Share of the filled cells by way of writing."""
        return {name: rows / self.rows for name, rows in self.layouts.items()}


def date_column(cells: Iterable[tuple[str, int]]) -> DateColumn:
    """Look at a column's distinct cells, each with its rows; those that tidying empties do not count."""
    layouts: Counter[str] = Counter()
    signs: Counter[str] = Counter()
    for cell, rows in cells:
        text = tidy_one(cell)[0]
        if text is None:
            continue
        layouts[layout(text)] += rows
        if found := _YEAR_LAST.match(text):
            signs[found[2]] += rows
    return DateColumn(dict(layouts.most_common()), dict(signs.most_common()))
