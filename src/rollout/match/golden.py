"""Golden records: which row of a cluster survives, which value each field takes, and the map of what was merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb

from rollout.match.parquet import quoted, scan, write_parquet
from rollout.match.spec import FieldSurvivor, MatchSpec, Survivorship

_ORDERS = {
    FieldSurvivor.NEWEST: "newest DESC NULLS LAST, place",
    FieldSurvivor.PRIORITY: "_priority, place",
    FieldSurvivor.LONGEST: "length(f{at}) DESC, place",
    FieldSurvivor.COMMONEST: "n{at} DESC, place",
}
"""Which of a cluster's rows that have a value of field number `at` gives it: the first in this order."""


def write_golden(
    connection: duckdb.DuckDBPyConnection,
    clean: Path,
    *,
    golden: Path,
    merges: Path,
    fields: Mapping[str, str],
    spec: MatchSpec,
    complete: Callable[[str], str] = str,
) -> tuple[int, int]:
    """Write the golden records and the merge map; answers how many rows were merged, and into how many records.

    Args:
        connection: Has `member`: row, cluster, rule, weight, tied_to, why, of all rows in clusters of two or more.
        clean: Parquet of the clean stage.
        golden: Parquet to write: the fields, `_golden_key`, `_members`.
        merges: Parquet to write: source_key, golden_key, rule, weight, tied_to, why.
        fields: Field → the stage's column that holds its golden value.
        spec: Survivorship.
        complete: Makes of the golden records' SQL one that has further columns.
    """
    try:
        _rank(connection, clean, fields, spec)
        write_parquet(connection, complete(_golden_query(clean, fields, spec)), golden)
        _write_merges(connection, merges)
        merged, clusters = connection.execute(
            "SELECT count(*) FILTER (NOT survivor), count(*) FILTER (survivor) FROM ranked"
        ).fetchall()[0]
    finally:
        connection.execute("DROP TABLE IF EXISTS ranked")
    return int(merged), int(clusters)


def _rank(connection: duckdb.DuckDBPyConnection, clean: Path, fields: Mapping[str, str], spec: MatchSpec) -> None:
    """Members in the order of survivorship; the first of each cluster survives."""
    filled = " + ".join(f"({quoted(column)} IS NOT NULL)::INT" for column in fields.values())
    order = f"({filled}) DESC, " if spec.survivorship is Survivorship.MOST_COMPLETE else ""
    newest = quoted(fields[spec.newest_by]) if spec.newest_by is not None else "NULL"
    counts = "".join(
        f", count(*) OVER (PARTITION BY cluster, {quoted(fields[name])}) AS n{at}"
        for at, name in enumerate(fields)
        if spec.fields.get(name) is FieldSurvivor.COMMONEST
    )
    connection.execute(
        "CREATE TEMP TABLE ranked AS SELECT member.row, cluster, rule, weight, tied_to, why, _source_key, _priority,"  # noqa: S608
        f" row_number() OVER (PARTITION BY cluster ORDER BY {order}_priority, _source_key) AS place,"
        f" place = 1 AS survivor, count(*) OVER (PARTITION BY cluster) AS members, {newest} AS newest{counts},"
        f" {', '.join(f'{quoted(column)} AS f{number}' for number, column in enumerate(fields.values()))}"
        f" FROM member JOIN {scan(clean)} AS clean ON clean.file_row_number = member.row"
    )


def _golden_query(clean: Path, fields: Mapping[str, str], spec: MatchSpec) -> str:
    """SQL of the golden records, over `ranked`."""
    best, chosen = "", []
    for at, (name, column) in enumerate(fields.items()):
        survivor = spec.fields.get(name, FieldSurvivor.RECORD)
        if survivor is not FieldSurvivor.RECORD:
            order = _ORDERS[survivor].format(at=at)
            best += f", first(f{at} ORDER BY {order}) FILTER (f{at} IS NOT NULL) AS f{at}"
            value = f"CASE WHEN best.cluster IS NULL THEN clean.{quoted(column)} ELSE best.f{at} END"
        elif spec.fill_gaps:
            # arg_min passes over rows whose value is null: the best row that has one.
            best += f", arg_min(f{at}, place) AS f{at}"
            value = f"coalesce(clean.{quoted(column)}, best.f{at})"
        else:
            value = f"clean.{quoted(column)}"
        chosen.append(f"{value} AS {quoted(name)}")
    return (
        f"WITH best AS (SELECT cluster{best} FROM ranked GROUP BY cluster)"  # noqa: S608
        f" SELECT {', '.join(chosen)}, clean._source_key AS _golden_key,"
        " coalesce(ranked.members, 1)::BIGINT AS _members"
        f" FROM {scan(clean)} AS clean LEFT JOIN ranked ON ranked.row = clean.file_row_number"
        " LEFT JOIN best ON best.cluster = ranked.cluster WHERE ranked.row IS NULL OR ranked.survivor"
    )


def _write_merges(connection: duckdb.DuckDBPyConnection, merges: Path) -> None:
    write_parquet(
        connection,
        "SELECT lost._source_key AS source_key, kept._source_key AS golden_key, lost.rule, lost.weight, lost.tied_to,"
        " lost.why FROM ranked AS lost JOIN ranked AS kept ON kept.cluster = lost.cluster AND kept.survivor"
        " WHERE NOT lost.survivor ORDER BY 1",
        merges,
    )
