"""References to records that are cleansed later, or at the same time: they are resolved once every entity is done.

Such references are optional, so one that leads nowhere holds no row back: it is dropped, and told of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from rollout.cleanse.reasons import REASONS
from rollout.match.parquet import quoted, scan, write_parquet
from rollout.model.finding import Finding, Level
from rollout.phases.cleansed import EntityCleansing
from rollout.phases.cleansing import parent_query
from rollout.phases.raw import RawStage
from rollout.phases.references import why_held
from rollout.phases.stages import StageStore, digest, engine

Parents = Mapping[str, tuple[EntityCleansing, Mapping[str, RawStage]]]
"""By reference field the parent entity's result and raw stages."""


def resolve_deferred(store: StageStore, done: EntityCleansing, parents: Parents) -> EntityCleansing:
    """Put golden keys in place of parents' row keys in golden records.

    Args:
        store: Where stages lie.
        done: The entity's result; its golden records hold row keys in these fields.
        parents: What the fields refer to.
    """
    key = digest(done.key, {field: parent.key for field, (parent, _) in sorted(parents.items())})
    description = store.path(done.entity, "resolved", key, "json")
    known = store.load(description, EntityCleansing, files=("golden_file",))
    if known is not None:
        return known
    path = store.path(done.entity, "resolved", key)
    with engine(store.root) as connection:
        for number, (parent, raws) in enumerate(parents.values()):
            query = parent_query(store.root, parent, raws)
            connection.execute(f"CREATE OR REPLACE TEMP TABLE parent_{number} AS {query}")
        golden = scan(store.root / done.golden_file)
        fields = list(parents)
        write_parquet(connection, _resolved(golden, fields), path)
        findings = [
            finding for at, field in enumerate(fields) for finding in _told(connection, done, golden, field, at)
        ]
    resolved = done.model_copy(update={"golden_file": store.relative(path), "findings": (*done.findings, *findings)})
    store.save(description, resolved)
    return resolved


def _resolved(golden: str, fields: Sequence[str]) -> str:
    joins = " ".join(
        f"LEFT JOIN parent_{at} AS p{at} ON p{at}.key = g.{quoted(field)}" for at, field in enumerate(fields)
    )
    keys = ", ".join(
        f"CASE WHEN p{at}.held = 0 THEN p{at}.golden END AS {quoted(field)}" for at, field in enumerate(fields)
    )
    return f"SELECT g.* EXCLUDE (file_row_number) REPLACE ({keys}) FROM {golden} AS g {joins}"  # noqa: S608


def _told(
    connection: duckdb.DuckDBPyConnection, done: EntityCleansing, golden: str, field: str, at: int
) -> list[Finding]:
    found = connection.execute(
        f"SELECT CASE {why_held('p')} END AS code, count(*), min(g._golden_key)"  # noqa: S608
        f" FROM {golden} AS g LEFT JOIN parent_{at} AS p ON p.key = g.{quoted(field)}"
        f" WHERE g.{quoted(field)} IS NOT NULL AND coalesce(p.held, 1) > 0 GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [
        Finding(
            id=f"cleanse.{code}",
            level=Level.WARNING,
            message=f"{REASONS[code].message} (dropped: {rows})",
            where=f"{done.entity}.{field}",
            hint=REASONS[code].hint,
            count=rows,
            detail={"done": "dropped", "first": first},
        )
        for code, rows, first in found
    ]
