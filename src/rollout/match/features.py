"""The table that is compared: a clean stage's rows, each field made into its parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.mapping.transforms_base import matches
from rollout.match.layout import FEATURES, Layout, Placed

_BATCH_ROWS = 131_072
_COMMON_ROWS, _COMMON_SHARE, _MOST_WORDS = 20, 0.0075, 1_000
"""A word in so many rows, and in such a share of them, does not tell one from another."""
_FILLER = (
    r"(?i)^[^\pL\pN]*(?:"
    + "|".join(f"{digit}{{4,}}" for digit in "0123456789")
    + r"|x{2,}|12345(?:6(?:7(?:8(?:90?)?)?)?)?|test|demo|none|null|n/a|unknown|tbd"
    r"|测试|待定|待补充|同上|未填|无|不详)[^\pL\pN]*$"
)
"""What people type to get past a required field: agreeing on it proves nothing."""


def fill_features(connection: duckdb.DuckDBPyConnection, clean: Path, layout: Layout, fields: Mapping[str, str]) -> int:
    """Make the table `FEATURES` from a clean stage; answers its rows.

    Args:
        connection: Gets the table, which the caller drops.
        clean: Parquet of the clean stage.
        layout: Which fields, and what is made of them.
        fields: Field → the stage's column.
    """
    placed = layout.placed
    columns = sorted({fields[field] for field in placed})
    file = pq.ParquetFile(clean)
    nothing = file.schema_arrow.empty_table().select(columns)
    connection.register("feature_batch", feature_table(nothing, placed, fields))
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {FEATURES} AS SELECT * FROM feature_batch")  # noqa: S608
    finally:
        connection.unregister("feature_batch")
    start = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
        connection.register("feature_batch", feature_table(pa.Table.from_batches([batch]), placed, fields, start))
        try:
            connection.execute(f"INSERT INTO {FEATURES} SELECT * FROM feature_batch")  # noqa: S608
        finally:
            connection.unregister("feature_batch")
        start += batch.num_rows
    return start


def feature_table(table: Any, placed: Mapping[str, Placed], fields: Mapping[str, str], start: int = 0) -> Any:
    """Rows of the features: `row`, counted from ``start``, and the parts of each field."""
    made = {"row": pa.array(np.arange(start, start + table.num_rows, dtype=np.int64))}
    for field, at in placed.items():
        column = table[fields[field]].cast(pa.string()).combine_chunks()
        values = pc.if_else(matches(column, _FILLER), pa.scalar(None, pa.string()), column)
        parts = at.kind.make(values)
        if not at.pinyin:
            parts["sound"] = pa.nulls(len(values), pa.string())
        made |= {at.column(part): parts[part] for part in at.kind.parts}
    return pa.table(made)


def common_words(connection: duckdb.DuckDBPyConnection, layout: Layout) -> dict[str, dict[str, float]]:
    """By column of rare words: what is in too many rows to be rare, by its hash, with its share of the rows."""
    return {column: _common_words(connection, tokens) for tokens, column in _worded(layout)}


def keep_rare_words(
    connection: duckdb.DuckDBPyConnection, layout: Layout, common: Mapping[str, Mapping[str, float]]
) -> None:
    """Take the common words out of the columns of rare ones.

    Args:
        connection: Has the features.
        layout: What is compared.
        common: As `common_words` told when the model was trained.
    """
    for _, column in _worded(layout):
        if common[column]:
            words = ", ".join(f"'{word}'" for word in sorted(common[column]))
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {FEATURES} AS SELECT * REPLACE (list_filter({column},"  # noqa: S608
                f" lambda word: NOT list_contains([{words}], md5(word)[:16])) AS {column}) FROM {FEATURES}"
            )


def _worded(layout: Layout) -> list[tuple[str, str]]:
    """Columns of all words and of rare ones."""
    return [
        (placed.column("tokens"), placed.column("rare"))
        for placed in layout.placed.values()
        if "rare" in placed.kind.parts
    ]


def _common_words(connection: duckdb.DuckDBPyConnection, tokens: str) -> dict[str, float]:
    filled = connection.execute(f"SELECT count({tokens}) FROM {FEATURES}").fetchall()[0][0]  # noqa: S608
    found = connection.execute(
        f"SELECT md5(word)[:16], count(*) AS n FROM (SELECT unnest(list_distinct({tokens})) AS word FROM {FEATURES})"  # noqa: S608
        " GROUP BY word HAVING n >= ? ORDER BY n DESC, 1 LIMIT ?",
        [max(_COMMON_ROWS, filled * _COMMON_SHARE), _MOST_WORDS],
    ).fetchall()
    return {word: rows / filled for word, rows in found}
