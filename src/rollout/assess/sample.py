"""Pattern classes and commonest values of the columns of a raw stage, on an even sample of its rows, taken once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import duckdb

from rollout.assess import examples, rules
from rollout.assess.model import FormatShare, ValueCount
from rollout.model import masking

TOP_FORMATS = 8
TOP_VALUES = 12
TOP_TEXTS = 5
COMMON = 5
"""Rows that share a text at least, and...."""
COMMON_SHARE = 0.002
"""...share of the sampled rows at least, for it to be a word that many use and not something about one of them."""

_TELLING = re.compile(r"\d{6}|@")


def listed(value: str) -> str:
    """A value of a list: as it is, unless it holds what no list holds."""
    return masking.mask_text(value) if _TELLING.search(value) else value


class Sample:
    """A temporary table of the sampled rows; column ``f{place}`` holds a value, or null.

    Args:
        connection: Gets the table, in place of the last source's.
        query: SQL of the sampled rows.
        parameters: Of that query.
        places: The columns.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object], places: Sequence[int]
    ) -> None:
        self.connection = connection
        connection.execute(f"CREATE OR REPLACE TEMP TABLE assessed_sample AS {query}", parameters)
        self._patterns: dict[int, list[list[Any]]] = {}
        # One query of all columns: its branches run side by side.
        for place, *found in self._all(self._pattern_query, places):
            self._patterns.setdefault(place, []).append(found)
        self._values: dict[int, list[list[Any]]] = {}
        for place, *found in self._all(self._value_query, places):
            self._values.setdefault(place, []).append(found)

    def formats(self, place: int, mask: Callable[[str], str]) -> tuple[list[FormatShare], int, int]:
        """The commonest pattern classes, how many more there are, and the filled rows they rest on."""
        found = self._patterns.get(place, [])
        if not found:
            return [], 0, 0
        shares = [
            FormatShare(pattern=examples.readable(pattern), rows=n, example=mask(example))
            for pattern, n, example, *_ in found
        ]
        return shares, found[0][3] - len(found), int(found[0][4])

    def top(self, place: int, mask: Callable[[str], str], *, words: bool) -> tuple[ValueCount, ...]:
        """The values that more than one row has, commonest first.

        Args:
            place: The column's.
            mask: How values are shown that few rows have.
            words: Whether a value that many rows have is shown as it is.
        """
        found: dict[str, int] = {}
        for text, rows, total in self._values.get(place, []):
            common = words and rows >= max(COMMON, COMMON_SHARE * total)
            found.setdefault(listed(text) if common else mask(text), rows)  # two that look alike tell nothing
        return tuple(ValueCount(value=value, rows=rows) for value, rows in found.items())

    def _all(self, query: Callable[[int], str], places: Sequence[int]) -> list[tuple[Any, ...]]:
        if not places:
            return []
        branches = " UNION ALL ".join(f"SELECT * FROM ({query(place)})" for place in places)  # noqa: S608 - names of our own
        return self.connection.execute(f"{branches} ORDER BY 1, 3 DESC, 2").fetchall()

    def _pattern_query(self, place: int) -> str:
        return (
            f"SELECT {place} AS place, pattern, sum(n)::BIGINT AS n, min(v) AS example, count(*) OVER () AS kinds, "  # noqa: S608
            f"(sum(sum(n)) OVER ())::BIGINT AS total FROM (SELECT v, n, {rules.pattern('v')} AS pattern "
            f"FROM (SELECT f{place} AS v, count(*) AS n FROM assessed_sample WHERE v IS NOT NULL GROUP BY v)) "
            f"GROUP BY pattern ORDER BY n DESC, pattern LIMIT {TOP_FORMATS}"
        )

    def _value_query(self, place: int) -> str:
        return (
            f"SELECT {place} AS place, * FROM (SELECT f{place} AS v, count(*) AS n, "  # noqa: S608 - names of our own
            f"(sum(count(*)) OVER ())::BIGINT AS total FROM assessed_sample WHERE v IS NOT NULL GROUP BY v) "
            f"WHERE n > 1 ORDER BY n DESC, v LIMIT {TOP_TEXTS}"
        )
