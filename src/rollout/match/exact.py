"""Exact-key matching over a clean stage: clusters, the golden record of each, and the map of what was merged into it.

Keys are normalised a batch at a time; grouping and joining is DuckDB's, which spills; only rows that share a key with
another row are ever looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from rollout.match.components import components
from rollout.match.parquet import quoted, scan, write_parquet
from rollout.match.spec import MatchKey, MatchSpec, Survivorship
from rollout.model.finding import Finding, Level

_BATCH_ROWS = 131_072
_DIGITS = "0123456789"
_FILLER = (
    "(?i)^[^\\pL\\pN]*(?:" + "|".join(f"{digit}{{2,}}" for digit in _DIGITS) + "|x{2,}|12345(?:6(?:7(?:8(?:90?)?)?)?)?"
    "|test|demo|none|null|unknown|tbd|测试|待定|待补充|同上|未填)[^\\pL\\pN]*$|(?:"
    + "|".join(f"{digit}{{8}}" for digit in _DIGITS)
    + ")$"
)
"""What people type to get past a required field: it says nothing about who a record is."""


@dataclass(frozen=True)
class MatchResult:
    """What matching did. golden + merged = clean rows."""

    golden: int
    merged: int
    clusters: int
    findings: tuple[Finding, ...]


def match_exact(  # noqa: PLR0913 - what it reads, what it writes, and by which rules
    connection: duckdb.DuckDBPyConnection,
    clean: Path,
    *,
    golden: Path,
    merges: Path,
    fields: Mapping[str, str],
    spec: MatchSpec,
    context: TransformContext,
    where: str = "",
    complete: Callable[[str], str] = str,
) -> MatchResult:
    """Write the golden records and the merge map of a clean stage.

    Args:
        connection: Has nothing of this function's names in it; they are gone again afterwards.
        clean: Parquet of the clean stage.
        golden: Parquet to write: the fields, `_golden_key`, `_members`.
        merges: Parquet to write: source_key, golden_key, rule, weight.
        fields: Field → the stage's column that holds its golden value (a reference's differs from the raw one).
        spec: Keys and survivorship.
        context: For the transforms that keys are compared by.
        where: For findings: the entity.
        complete: Makes of the golden records' SQL one that has further columns.
    """
    edges, findings = _edges(connection, clean, fields, spec, context, where)
    members, too_large = _members(edges, spec, where)
    try:
        connection.register("member", members)
        _rank(connection, clean, fields, spec)
        write_parquet(connection, complete(_golden_query(clean, fields, spec)), golden)
        _write_merges(connection, merges)
        merged, clusters = connection.execute(
            "SELECT count(*) FILTER (NOT survivor), count(*) FILTER (survivor) FROM ranked"
        ).fetchall()[0]
    finally:
        connection.unregister("member")
        connection.execute("DROP TABLE IF EXISTS ranked")
    total = pq.ParquetFile(clean).metadata.num_rows
    return MatchResult(total - merged, merged, clusters, (*findings, *too_large))


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


def _edges(
    connection: duckdb.DuckDBPyConnection,
    clean: Path,
    fields: Mapping[str, str],
    spec: MatchSpec,
    context: TransformContext,
    where: str,
) -> tuple[Any, list[Finding]]:
    """Rows that share a key value: row, the first row with that value, the key's number."""
    edges = [pa.table({name: pa.array([], pa.int64()) for name in ("row", "hub", "key")})]
    findings: list[Finding] = []
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


def _members(edges: Any, spec: MatchSpec, where: str) -> tuple[Any, list[Finding]]:
    """Rows of clusters that are merged: row, cluster, the first key that ties the row to another."""
    row, hub, key = (edges[name].to_numpy() for name in ("row", "hub", "key"))
    rows, ends = np.unique(np.concatenate([row, hub]), return_inverse=True)
    labels = components(ends[: len(row)], ends[len(row) :], len(rows))
    first_key = np.full(len(rows), len(spec.keys), np.int64)
    np.minimum.at(first_key, ends[: len(row)], key)
    sizes = np.bincount(labels, minlength=len(rows))[labels] if len(rows) else labels
    kept = sizes <= spec.max_cluster_rows
    findings = []
    if not kept.all():
        findings.append(
            Finding(
                id="match.cluster_too_large",
                level=Level.WARNING,
                message=f"{len(np.unique(labels[~kept]))} clusters of over {spec.max_cluster_rows} rows not merged",
                where=where,
                hint="look at the rows; make the match keys stricter, or raise max_cluster_rows",
                count=int((~kept).sum()),
            )
        )
    names = pa.array([key.name for key in spec.keys] or [""], pa.string())
    return (
        pa.table(
            {
                "row": rows[kept],
                "cluster": labels[kept],
                "rule": names.take(pa.array(np.minimum(first_key[kept], len(names) - 1))),
            }
        ),
        findings,
    )


def _too_common(key: MatchKey, values: int, rows: int, spec: MatchSpec, where: str) -> Finding:
    return Finding(
        id="match.key_too_common",
        level=Level.WARNING,
        message=f"{values} values of key '{key.name}' are shared by over {spec.max_cluster_rows} rows each: not used",
        where=where,
        hint="such a value identifies nothing; treat it as a placeholder, or raise max_cluster_rows",
        count=rows,
    )


def _rank(connection: duckdb.DuckDBPyConnection, clean: Path, fields: Mapping[str, str], spec: MatchSpec) -> None:
    """Members in the order of survivorship; the first of each cluster survives."""
    filled = " + ".join(f"({quoted(column)} IS NOT NULL)::INT" for column in fields.values())
    order = f"({filled}) DESC, " if spec.survivorship is Survivorship.MOST_COMPLETE else ""
    connection.execute(
        "CREATE TEMP TABLE ranked AS SELECT member.row, cluster, rule, _source_key,"  # noqa: S608
        f" row_number() OVER (PARTITION BY cluster ORDER BY {order}_priority, _source_key) AS place,"
        " place = 1 AS survivor, count(*) OVER (PARTITION BY cluster) AS members,"
        f" {', '.join(f'{quoted(column)} AS f{number}' for number, column in enumerate(fields.values()))}"
        f" FROM member JOIN {scan(clean)} AS clean ON clean.file_row_number = member.row"
    )


def _golden_query(clean: Path, fields: Mapping[str, str], spec: MatchSpec) -> str:
    """SQL of the golden records, over `ranked`."""
    numbered = list(enumerate(fields.items()))
    # arg_min passes over rows whose value is null: the best row that has one.
    best = "".join(f", arg_min(f{number}, place) AS f{number}" for number, _ in numbered) if spec.fill_gaps else ""
    chosen = ", ".join(
        (f"coalesce(clean.{quoted(column)}, best.f{number})" if spec.fill_gaps else f"clean.{quoted(column)}")
        + f" AS {quoted(name)}"
        for number, (name, column) in numbered
    )
    return (
        f"WITH best AS (SELECT cluster{best} FROM ranked GROUP BY cluster)"  # noqa: S608
        f" SELECT {chosen}, clean._source_key AS _golden_key, coalesce(ranked.members, 1)::BIGINT AS _members"
        f" FROM {scan(clean)} AS clean LEFT JOIN ranked ON ranked.row = clean.file_row_number"
        " LEFT JOIN best ON best.cluster = ranked.cluster WHERE ranked.row IS NULL OR ranked.survivor"
    )


def _write_merges(connection: duckdb.DuckDBPyConnection, merges: Path) -> None:
    write_parquet(
        connection,
        "SELECT lost._source_key AS source_key, kept._source_key AS golden_key, lost.rule, 1.0::DOUBLE AS weight"
        " FROM ranked AS lost JOIN ranked AS kept ON kept.cluster = lost.cluster AND kept.survivor"
        " WHERE NOT lost.survivor ORDER BY 1",
        merges,
    )
