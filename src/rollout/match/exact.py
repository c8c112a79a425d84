"""Exact keys over a clean stage: which rows agree on all fields of a key.

Keys are normalised a batch at a time; grouping and joining is DuckDB's, which spills; only rows that share a key with
another row are ever looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.mapping.spec import TransformStep
from rollout.mapping.transforms import compile_steps, run_steps
from rollout.mapping.transforms_base import TransformContext, matches
from rollout.match.parquet import scan
from rollout.match.spec import MatchKey, MatchSpec
from rollout.model.finding import Finding, Level

_BATCH_ROWS = 131_072
REPEATED_ROW = "repeated row"
"""Rule of a merge of rows that a source says are one record, each once more (`repeats: same`)."""
_DIGITS = "0123456789"
_FILLER = (
    "(?i)^[^\\pL\\pN]*(?:" + "|".join(f"{digit}{{2,}}" for digit in _DIGITS) + "|x{2,}|12345(?:6(?:7(?:8(?:90?)?)?)?)?"
    "|test|demo|none|null|unknown|tbd|测试|待定|待补充|同上|未填)[^\\pL\\pN]*$|(?:"
    + "|".join(f"{digit}{{8}}" for digit in _DIGITS)
    + ")$"
)
"""What people type to get past a required field: it says nothing about who a record is."""


def key_texts(table: Any, key: MatchKey, fields: Mapping[str, str], context: TransformContext) -> Any:
    """The text rows must agree on for a key; null where a part has no value, or one that only fills the field."""
    parts = []
    for name in key.fields:
        column = table[fields[name]].combine_chunks()
        if name in key.by:
            column = run_steps(column, compile_steps([TransformStep(name=key.by[name])]), context).values
        parts.append(pc.if_else(matches(column, _FILLER), pa.scalar(None, pa.string()), column))
    # The unit separator does not occur in cleansed text, so ("ab", "c") and ("a", "bc") stay apart.
    return pc.binary_join_element_wise(*parts, "\x1f") if len(parts) > 1 else parts[0]


def key_edges(
    connection: duckdb.DuckDBPyConnection,
    clean: Path,
    fields: Mapping[str, str],
    spec: MatchSpec,
    context: TransformContext,
    where: str,
) -> tuple[Any, list[Finding]]:
    """Rows that agree on a key, and what is odd about the keys.

    Args:
        connection: Has nothing of this function's names in it; they are gone again afterwards.
        clean: Parquet of the clean stage.
        fields: Field → the stage's column that holds its golden value (a reference's differs from the raw one).
        spec: The keys.
        context: For the transforms that keys are compared by.
        where: For findings: the entity.

    Returns:
        `row`, `hub` (the first row with that value: it has a line of its own), `key` (its number; -1: rows that their
        source says are one record), all int64.
    """
    edges = [pa.table({name: pa.array([], pa.int64()) for name in ("row", "hub", "key")})]
    findings: list[Finding] = []
    if "_repeats" in pq.read_schema(clean).names:
        edges.append(_repeated_rows(connection, clean, spec))
    if spec.keys:
        _fill_keys(connection, clean, fields, spec, context)
    try:
        for number, key in enumerate(spec.keys):
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE shared AS SELECT k{number} AS k, count(*) AS n, min(row) AS hub"  # noqa: S608
                f" FROM match_key WHERE k{number} IS NOT NULL GROUP BY 1 HAVING n > 1"
            )
            values, rows = connection.execute(
                "SELECT count(*), coalesce(sum(n), 0)::BIGINT FROM shared WHERE n > ?", [spec.max_cluster_rows]
            ).fetchall()[0]
            if values:
                findings.append(_too_common(key, values, rows, spec, where))
            edges.append(
                connection.query(
                    f"SELECT row, hub, {number}::BIGINT AS key FROM match_key JOIN shared ON k{number} = k"  # noqa: S608
                    f" WHERE n <= {spec.max_cluster_rows}"
                ).to_arrow_table()
            )
    finally:
        connection.execute("DROP TABLE IF EXISTS match_key; DROP TABLE IF EXISTS shared")
    return pa.concat_tables([table.cast(edges[0].schema) for table in edges]), findings


def _repeated_rows(connection: duckdb.DuckDBPyConnection, clean: Path, spec: MatchSpec) -> Any:
    """Rows that say themselves that they are one record, however many; such as a person keeps apart are left out."""
    apart = ", ".join("'" + key.replace("'", "''") + "'" for key in spec.apart)
    told = f" AND _source_key NOT IN ({apart})" if apart else ""
    return connection.query(
        "SELECT file_row_number AS row, min(file_row_number) OVER same AS hub, -1::BIGINT AS key"  # noqa: S608
        f" FROM {scan(clean)} WHERE _repeats IS NOT NULL{told} WINDOW same AS (PARTITION BY _repeats)"
        " QUALIFY count(*) OVER same > 1"
    ).to_arrow_table()


def _fill_keys(
    connection: duckdb.DuckDBPyConnection,
    clean: Path,
    fields: Mapping[str, str],
    spec: MatchSpec,
    context: TransformContext,
) -> None:
    keys, apart = spec.keys, pa.array(spec.apart, pa.string())
    columns = ", ".join(f"k{number} VARCHAR" for number in range(len(keys)))
    connection.execute(f"CREATE TEMP TABLE match_key (row BIGINT, {columns})")
    needed = sorted({fields[name] for key in keys for name in key.fields})
    needed += ["_source_key"] if spec.apart else []
    start = 0
    for batch in pq.ParquetFile(clean).iter_batches(batch_size=_BATCH_ROWS, columns=needed):
        table = pa.Table.from_batches([batch])
        rows = pa.array(np.arange(start, start + table.num_rows, dtype=np.int64))
        start += table.num_rows
        texts = {f"k{number}": key_texts(table, key, fields, context) for number, key in enumerate(keys)}
        if spec.apart:  # a row without keys agrees with no other
            alone = pc.is_in(table["_source_key"].combine_chunks(), apart)
            texts = {name: pc.if_else(alone, pa.scalar(None, pa.string()), text) for name, text in texts.items()}
        connection.register("key_batch", pa.table({"row": rows, **texts}))
        anything = " OR ".join(f"{name} IS NOT NULL" for name in texts)
        connection.execute(f"INSERT INTO match_key SELECT * FROM key_batch WHERE {anything}")  # noqa: S608
        connection.unregister("key_batch")


def _too_common(key: MatchKey, values: int, rows: int, spec: MatchSpec, where: str) -> Finding:
    return Finding(
        id="match.key_too_common",
        level=Level.WARNING,
        message=f"{values} values of key '{key.name}' are shared by over {spec.max_cluster_rows} rows each: not used",
        where=where,
        hint="such a value identifies nothing; treat it as a placeholder, or raise max_cluster_rows",
        count=rows,
    )
