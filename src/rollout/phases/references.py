"""References of mapped rows: the parent's row key becomes its golden key, or the row is held back with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from rollout.cleanse.chunk import ROW_COLUMNS, Remark, empty_problems, problem_table
from rollout.match.parquet import quoted, scan, write_parquet


def golden_column(field: str) -> str:
    """The clean stage's column with the golden key of a reference's parent."""
    return f"_golden_{field}"


def why_held(parent: str) -> str:
    """SQL of the cases that tell why a reference leads nowhere; ``parent`` is the alias of its parent's row, if any."""
    return (
        f"WHEN {parent}.key IS NULL THEN 'parent_missing' WHEN {parent}.held = 1 THEN 'parent_quarantined' "
        f"WHEN {parent}.held = 2 THEN 'parent_ambiguous' WHEN {parent}.held = 3 THEN 'parent_left_out'"
    )


class Resolver:
    """Joins mapped rows with the parents of all their reference fields.

    Args:
        connection: Gets a temporary table a reference field.
        parents: By reference field: SQL that gives key, golden and held: 0 fine, or why not, see `why_held`.
        dropping: By reference field: sources whose mapping drops a reference that leads nowhere.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        parents: Mapping[str, str],
        dropping: Mapping[str, Sequence[str]],
    ) -> None:
        self.connection = connection
        self._number = {field: number for number, field in enumerate(parents)}
        self._why = {field: self._reason(field, dropping[field]) for field in parents}
        for field, query in parents.items():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE parent_{self._number[field]} AS {query}")
        self._join = " ".join(
            f"LEFT JOIN parent_{number} AS p{number} ON p{number}.key = c.{quoted(field)}"
            for field, number in self._number.items()
        )

    def write_resolved(self, mapped: Path, clean: Path, columns: Sequence[str]) -> None:
        """Write the rows whose references all lead somewhere (or are dropped): columns, references, golden keys.

        In their order: what a match model learns from is a sample by the place of rows, the same one every time.
        """
        plain = ", ".join(f"c.{quoted(name)}" for name in columns)
        chosen = ", ".join(
            f"CASE WHEN p{number}.held = 0 THEN c.{quoted(field)} END AS {quoted(field)}, "
            f"CASE WHEN p{number}.held = 0 THEN p{number}.golden END AS {quoted(golden_column(field))}"
            for field, number in self._number.items()
        )
        fine = " AND ".join(f"({case}) IS NULL" for case in self._why.values())
        query = f"SELECT {plain}, {chosen} FROM {scan(mapped)} AS c {self._join} WHERE {fine}"  # noqa: S608
        write_parquet(self.connection, f"{query} ORDER BY c.file_row_number", clean)

    def held_back(self, mapped: Path, field: str) -> Any:
        """Quarantine rows of a reference field that leads nowhere."""
        rows = ", ".join(f"c.{name}" for name in ROW_COLUMNS)
        found: Any = self.connection.query(
            f"SELECT {rows}, c.{quoted(field)} AS value, {self._why[field]} AS code"  # noqa: S608
            f" FROM {scan(mapped)} AS c {self._join} WHERE code IS NOT NULL ORDER BY c._source_key"
        ).to_arrow_table()
        values, codes = (found[name].combine_chunks().cast(pa.string()) for name in ("value", "code"))
        return problem_table(found, field, values, codes).cast(empty_problems().schema)

    def dropped(self, mapped: Path, field: str) -> list[tuple[str, Remark]]:
        """References that were dropped because the mapping says so, by reason."""
        found = self.connection.execute(
            f"SELECT CASE {self._held(field)} END AS code, count(*), min(c._source_key)"  # noqa: S608
            f" FROM {scan(mapped)} AS c {self._join}"
            f" WHERE c.{quoted(field)} IS NOT NULL AND code IS NOT NULL AND ({self._why[field]}) IS NULL GROUP BY 1"
        ).fetchall()
        return [(code, Remark(rows, first)) for code, rows, first in found]

    def _reason(self, field: str, dropping: Sequence[str]) -> str:
        """SQL: the reason code of a reference that holds its row back, else NULL."""
        sources = ", ".join(f"'{name}'" for name in dropping)
        tolerated = f"WHEN c._source IN ({sources}) THEN NULL " if dropping else ""
        return f"CASE WHEN c.{quoted(field)} IS NULL THEN NULL {tolerated}{self._held(field)} END"

    def _held(self, field: str) -> str:
        return why_held(f"p{self._number[field]}")
