"""Source rows that were merged, and that a named person made records of their own again."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

_MERGED = text("""
SELECT r.entity, r.source_key, r.golden_key, r.wave, k.migration_key, t.target_id
FROM source_row r
LEFT JOIN key_assignment k
  ON k.project_id = r.project_id AND k.entity = r.entity AND k.source_key = r.golden_key
LEFT JOIN target_record t
  ON t.project_id = r.project_id AND t.target = :target AND t.entity = r.entity AND t.migration_key = k.migration_key
WHERE r.project_id = :project AND r.disposition = 'merged' AND (CAST(:entity AS text) IS NULL OR r.entity = :entity)
  AND (r.source_key = :key OR substr(r.source_key, strpos(r.source_key, ':') + 1) = :key)
ORDER BY r.entity, r.source_key
""")


class MergedRow(NamedTuple):
    """A source row that was merged into a record."""

    entity: str
    source_key: str
    golden_key: str
    """The row that the record is made of."""
    wave: str
    migration_key: str | None
    """The record's."""
    target_id: str | None
    """The record in the target; None: it is not loaded."""


def merged_rows(
    connection: Connection, project_id: str, target: str, key: str, *, entity: str | None = None
) -> list[MergedRow]:
    """Merged rows that go by a key: `source:row key`, or the row key alone."""
    rows = connection.execute(_MERGED, {"project": project_id, "target": target, "key": key, "entity": entity})
    return [MergedRow(*row) for row in rows]


def apart(connection: Connection, project_id: str, entity: str) -> tuple[str, ...]:
    """Source keys of an entity's rows that matching must leave alone."""
    rows = connection.execute(
        text("SELECT source_key FROM kept_apart WHERE project_id = :project AND entity = :entity ORDER BY source_key"),
        {"project": project_id, "entity": entity},
    )
    return tuple(rows.scalars())


def keep_apart(
    connection: Connection, project_id: str, entity: str, source_key: str, migration_key: str, *, plan_id: str
) -> None:
    """Make a merged row a record of its own, under its own migration key. Doing it twice changes nothing."""
    key = {"project": project_id, "entity": entity, "source_key": source_key}
    connection.execute(
        text("""
            INSERT INTO kept_apart (project_id, entity, source_key, plan_id, at)
            VALUES (:project, :entity, :source_key, :plan, clock_timestamp()) ON CONFLICT DO NOTHING
        """),
        {**key, "plan": plan_id},
    )
    connection.execute(
        text("""
            INSERT INTO key_assignment (project_id, entity, source_key, migration_key)
            VALUES (:project, :entity, :source_key, :migration_key)
            ON CONFLICT (project_id, entity, source_key) DO UPDATE SET migration_key = excluded.migration_key
        """),
        {**key, "migration_key": migration_key},
    )
