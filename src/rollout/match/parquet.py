"""Parquet as stages hold it: how it is written, and how SQL names files and columns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

PARQUET: dict[str, Any] = {"compression": "lz4", "use_dictionary": False, "write_statistics": False}
"""How stages are written: without dictionaries it is three times as fast and the file a tenth larger."""
_BATCH_ROWS = 131_072


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def scan(path: Path) -> str:
    """A Parquet file in SQL; its rows have the column `file_row_number` besides their own."""
    return "read_parquet('" + str(path).replace("'", "''") + "', file_row_number = true)"


def open_parquet(path: Path, schema: Any) -> Any:
    """A writer for a new Parquet file that nobody but its owner can read: it holds personal data."""
    # Arrow keeps the permissions of a file that is there already.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    return pq.ParquetWriter(path, schema, **PARQUET)


def write_parquet(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Run a query into a Parquet file that appears only when it is whole. Arrow writes it: it is faster at that."""
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        reader = connection.query(query).to_arrow_reader(_BATCH_ROWS)
        with open_parquet(part, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
