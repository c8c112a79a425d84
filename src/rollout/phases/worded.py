"""Which of the things that people said about source rows still hold: the row must say what it said when they saw it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from rollout.cleanse.words import RowWord, Words, row_hash
from rollout.mapping.spec import RESERVED_COLUMNS
from rollout.match.parquet import scan
from rollout.phases.raw import RawStage


class Holding(NamedTuple):
    """What people said about the rows of one source."""

    words: Words
    unreadable: frozenset[str]
    """Keys of lines that could not be read as rows and were left out."""
    repaired: int
    left_out: int
    lapsed: tuple[str, ...]
    """Keys of rows that say something else now, or are gone."""


NOTHING_HOLDS = Holding(Words(), frozenset(), 0, 0, ())


def holding(connection: duckdb.DuckDBPyConnection, root: Path, raw: RawStage, words: Iterable[RowWord]) -> Holding:
    """Tell what holds from what has lapsed.

    Args:
        connection: DuckDB.
        root: Folder of the stages.
        raw: The source as it is read now.
        words: What people said about the entity's rows, of other sources, too.
    """
    ours = [word for word in words if word.source_key.startswith(f"{raw.source}:")]
    if not ours:
        return NOTHING_HOLDS
    keys = [word.source_key for word in ours]
    rows, lines = row_hashes(connection, root, raw, keys), unreadable_hashes(connection, root, raw, keys)
    holds = [word for word in ours if rows.get(word.source_key) == word.row_hash]
    lost = [word for word in ours if word.left_out and lines.get(word.source_key) == word.row_hash]
    return Holding(
        Words(holds),
        frozenset(word.source_key for word in lost),
        repaired=sum(not word.left_out for word in holds),
        left_out=sum(word.left_out for word in holds) + len(lost),
        lapsed=tuple(sorted({*keys} - {word.source_key for word in (*holds, *lost)})),
    )


def row_hashes(
    connection: duckdb.DuckDBPyConnection, root: Path, raw: RawStage, keys: Collection[str]
) -> Mapping[str, str]:
    """The hashes of rows as they are now, by source key; of such as are there."""
    file = scan(root / raw.file)
    query = f"SELECT r.* EXCLUDE (file_row_number) FROM {file} AS r SEMI JOIN asked_for USING (_source_key)"  # noqa: S608
    return {
        row["_source_key"]: row_hash({name: value for name, value in row.items() if name not in RESERVED_COLUMNS})
        for row in _asked(connection, query, keys)
    }


def unreadable_hashes(
    connection: duckdb.DuckDBPyConnection, root: Path, raw: RawStage, keys: Collection[str]
) -> Mapping[str, str]:
    """The same of lines that could not be read as rows."""
    query = f"SELECT _source_key, raw FROM {scan(root / raw.unreadable_file)} SEMI JOIN asked_for USING (_source_key)"  # noqa: S608
    return {row["_source_key"]: row_hash({"raw": row["raw"]}) for row in _asked(connection, query, keys)}


def _asked(connection: duckdb.DuckDBPyConnection, query: str, keys: Collection[str]) -> Iterable[dict[str, Any]]:
    connection.register("asked_for", pa.table({"_source_key": pa.array(list(keys), pa.string())}))
    try:
        for batch in connection.query(query).to_arrow_reader(10_000):
            yield from batch.to_pylist()
    finally:
        connection.unregister("asked_for")
