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
    start = 0
    for batch in pq.ParquetFile(clean).iter_batches(batch_size=_BATCH_ROWS, columns=columns):
        table = feature_table(pa.Table.from_batches([batch]), placed, fields, start)
        connection.register("feature_batch", table)
        try:
            verb = f"INSERT INTO {FEATURES}" if start else f"CREATE OR REPLACE TEMP TABLE {FEATURES} AS"
            connection.execute(f"{verb} SELECT * FROM feature_batch")  # noqa: S608 - a constant's name
        finally:
            connection.unregister("feature_batch")
        start += batch.num_rows
    return start


def feature_table(table: Any, placed: Mapping[str, Placed], fields: Mapping[str, str], start: int = 0) -> Any:
    """Rows of the features: `row`, counted from ``start``, and the parts of each field."""
    made = {"row": pa.array(np.arange(start, start + table.num_rows, dtype=np.int64))}
    for field, at in placed.items():
        column = table[fields[field]].combine_chunks().cast(pa.string())
        values = pc.if_else(matches(column, _FILLER), pa.scalar(None, pa.string()), column)
        parts = at.kind.make(values)
        if not at.pinyin:
            parts["sound"] = pa.nulls(len(values), pa.string())
        made |= {at.column(part): parts[part] for part in at.kind.parts}
    return pa.table(made)
