"""What the columns of raw stages hold: distinct cells with their rows, counted by DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow.parquet as pq

from rollout.errors import ConfigError
from rollout.mapping.spec import MappingRule, SourceSpec
from rollout.match.parquet import scan
from rollout.phases.context import PhaseContext


class Cell(NamedTuple):
    """A distinct cell and how many rows have it."""

    text: str
    rows: int


class RawColumn(NamedTuple):
    """A mapped column of the latest cleansing."""

    entity: str
    source: SourceSpec
    rule: MappingRule
    path: Path
    """The raw stage."""


def cells(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[str], *, limit: int | None = None
) -> list[Cell]:
    """Distinct cells of a column, the commonest first; of several columns the first that holds something.

    Columns that the stage lacks hold nothing.
    """
    known = set(pq.read_schema(path).names)
    found = [f"nullif(trim({_quoted(name)}), '')" for name in columns if name in known]
    if not found:
        return []
    value = f"coalesce({', '.join(found)}, NULL)"
    rows = connection.execute(
        f"SELECT {value} AS cell, count(*) AS rows FROM {scan(path)} WHERE cell IS NOT NULL"  # noqa: S608
        f" GROUP BY 1 ORDER BY 2 DESC, 1{f' LIMIT {limit}' if limit else ''}"
    ).fetchall()
    return [Cell(text, count) for text, count in rows]


def filled_rows(connection: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[str]) -> dict[str, int]:
    """Rows in which each column holds anything."""
    if not columns:
        return {}
    counts = ", ".join(f"count(nullif(trim({_quoted(name)}), ''))" for name in columns)
    found = connection.execute(f"SELECT {counts} FROM {scan(path)}").fetchone()  # noqa: S608
    return dict(zip(columns, found or (0,) * len(columns), strict=True))


def cleansed_columns(context: PhaseContext, entity: str, field: str) -> list[RawColumn]:
    """The columns that fill a field, in the raw stages that the latest cleansing was made from.

    Raises:
        ConfigError: A stage is gone.
    """
    run = context.journal.latest_run("cleanse")
    summary = run.summary["entities"].get(entity) if run else None
    spec = context.project.spec.entities[entity]
    found = []
    for source, file in zip(spec.sources, summary["raw_files"] if summary else (), strict=bool(summary)):
        path = context.project.workspace.stages / str(file)
        if not path.exists():
            raise ConfigError(f"the raw stage of {source.name} is gone", hint="run `rollout cleanse` again")
        rules = context.project.mappings[entity, source.name].fields
        found += [RawColumn(entity, source, rule, path) for rule in rules if rule.target == field and rule.columns]
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
