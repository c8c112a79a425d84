"""A source system against the CRM, set-wise and joined by key: missing, extra, different, late, each with its reason.

Pure over Arrow tables; DuckDB does the joins and spills to disk where memory is short.
"""

# ruff: noqa: S608 - field names are quoted by `quoted`; values are bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from rollout.match.parquet import quoted
from rollout.operate.kinds import Kind

_INSTANT = pa.timestamp("us", tz="UTC")
CARRIED = pa.schema([("key", pa.string()), ("changed_at", _INSTANT)])
LETTERS = pa.schema([("key", pa.string()), ("reason", pa.string())])
DIFFERENCES = pa.schema(
    [(name, pa.string()) for name in ("key", "kind", "reason", "fields", "modified_by", "source_values", "crm_values")]
    + [("changed_at", _INSTANT)]
)
"""One row a record that is not `ok`; the two lists of values are JSON by differing field."""


def feed_schema(fields: Sequence[str]) -> pa.Schema:
    """What the source tells: keys, times, values as the CRM should hold them, references that could not be resolved."""
    return pa.schema(
        [("key", pa.string()), ("changed_at", _INSTANT), ("unresolved", pa.string())]
        + [(name, pa.string()) for name in fields]
    )


def crm_schema(fields: Sequence[str]) -> pa.Schema:
    """What the CRM holds under the sync's keys."""
    return pa.schema([("key", pa.string()), ("modified_by", pa.string())] + [(name, pa.string()) for name in fields])


@dataclass(frozen=True)
class Sides:
    """What is compared."""

    feed: pa.Table
    """See `feed_schema`; of a key that comes twice the latest change counts."""
    crm: pa.Table
    """See `crm_schema`; a second record under a key is `extra`."""
    carried: pa.Table
    """What the sync says it carried (`CARRIED`)."""
    letters: pa.Table
    """What it could not carry (`LETTERS`)."""


@dataclass(frozen=True)
class Circumstances:
    """What the comparison has to know besides."""

    own_login: str | None
    """Who we are in the CRM; changes by anybody else are a person's."""
    last_run_at: datetime | None
    """When the sync last got through; None: never."""
    now: datetime
    late_after: timedelta
    """From a change on, how long a record may be on its way."""


def compare(
    connection: duckdb.DuckDBPyConnection, sides: Sides, fields: Sequence[str], known: Circumstances
) -> tuple[dict[Kind, int], pa.Table]:
    """Compare all records of a source with all records of the CRM under the same keys.

    Args:
        connection: DuckDB.
        sides: Both sides, and what the sync knows of them.
        fields: Fields compared.
        known: The circumstances.

    Returns:
        Records by kind (all kinds, 0 too), and `DIFFERENCES`, ordered by kind and key.
    """
    for name in ("feed", "crm", "carried", "letters"):
        connection.register(name, getattr(sides, name))
    differing = ", ".join(
        f"CASE WHEN f.{quoted(name)} IS DISTINCT FROM c.{quoted(name)} THEN {_literal(name)} END" for name in fields
    )
    values = [
        f"to_json(map_from_entries(list_filter([{_pairs(side, fields)}], lambda pair: list_contains(wrong, pair.k))))"
        for side in ("f", "c")
    ]
    judged = f"""
        WITH source AS (
            SELECT * FROM feed QUALIFY row_number() OVER (PARTITION BY key ORDER BY changed_at DESC) = 1
        ), held AS (
            SELECT *, row_number() OVER (PARTITION BY key) AS place FROM crm
        ), joined AS (
            SELECT coalesce(f.key, c.key) AS record, f.key IS NOT NULL AS in_source, c.key IS NOT NULL AS in_crm,
                f.changed_at AS source_at, f.unresolved, c.modified_by AS who, c.place,
                list_filter([{differing}], lambda name: name IS NOT NULL) AS wrong,
                {_packed("f", fields)} AS f, {_packed("c", fields)} AS c
            FROM source f FULL JOIN held c ON f.key = c.key
        ), known AS (
            SELECT j.*, k.changed_at AS carried_at, l.reason AS letter,
                coalesce(j.source_at <= k.changed_at, false) AS was_carried,
                j.source_at > $now - $late AND j.source_at < $now + $late AS is_fresh,
                coalesce($last_run < j.source_at, true) AS awaits_run
            FROM joined j LEFT JOIN carried k ON j.record = k.key LEFT JOIN letters l ON j.record = l.key
        )
        SELECT record AS key, CASE
            WHEN in_crm AND place > 1 THEN 'extra|key_twice'
            WHEN NOT in_source AND carried_at IS NOT NULL THEN 'extra|gone_from_source'
            WHEN NOT in_source THEN 'extra|not_in_source'
            WHEN in_crm AND len(wrong) = 0 THEN 'ok|'
            WHEN letter IS NOT NULL THEN if(in_crm, 'different|', 'missing|') || letter
            WHEN was_carried AND NOT in_crm THEN 'missing|deleted_in_crm'
            WHEN was_carried AND who IS DISTINCT FROM $own_login THEN 'different|changed_by_person'
            WHEN was_carried THEN 'different|changed_in_crm'
            WHEN is_fresh THEN 'in_flight|'
            WHEN awaits_run THEN 'late|sync_not_run'
            WHEN unresolved IS NOT NULL THEN if(in_crm, 'different|', 'missing|') || 'customer_not_loaded'
            ELSE if(in_crm, 'different|', 'missing|') || 'not_carried'
        END AS judgement, wrong, who, source_at, in_source, in_crm, f, c
        FROM known
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE judged AS {judged}",
        {"now": known.now, "late": known.late_after, "last_run": known.last_run_at, "own_login": known.own_login},
    )
    counted = connection.execute(
        "SELECT split_part(judgement, '|', 1), count(*) FROM judged GROUP BY 1 ORDER BY 1"
    ).fetchall()
    differences: pa.Table = connection.sql(
        f"""
        SELECT key, split_part(judgement, '|', 1) AS kind, split_part(judgement, '|', 2) AS reason,
            if(in_source AND in_crm, array_to_string(wrong, ','), '') AS fields, who AS modified_by,
            if(in_source AND in_crm, {values[0]}, NULL) AS source_values,
            if(in_source AND in_crm, {values[1]}, NULL) AS crm_values, source_at AS changed_at
        FROM judged WHERE judgement <> 'ok|' ORDER BY kind, key
        """
    ).to_arrow_table()
    connection.execute("DROP TABLE judged")
    found = dict(counted)
    return {kind: found.get(kind.value, 0) for kind in Kind}, differences.cast(DIFFERENCES)


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _packed(side: str, fields: Sequence[str]) -> str:
    """The side's values as one struct, so that they can be told after the join."""
    return "{" + ", ".join(f"{_literal(name)}: {side}.{quoted(name)}" for name in fields) + "}"


def _pairs(side: str, fields: Sequence[str]) -> str:
    return ", ".join(f"{{'k': {_literal(name)}, 'v': {side}.{quoted(name)}}}" for name in fields)
