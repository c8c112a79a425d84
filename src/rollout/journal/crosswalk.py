"""The crosswalk: source key ↔ migration key ↔ target id. Migration keys are assigned once and never derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from rollout.journal.engine import driver_cursor


def assign(connection: Connection, project_id: str, entity: str, keys: Mapping[str, str]) -> None:
    """Give source keys their migration keys. A key that is already assigned stays as it is."""
    cursor = driver_cursor(connection)
    cursor.execute(
        "INSERT INTO key_assignment (project_id, entity, source_key, migration_key)"
        " SELECT %s, %s, * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING",
        (project_id, entity, list(keys), list(keys.values())),
    )


def keys(connection: Connection, project_id: str, entity: str, source_keys: Sequence[str]) -> dict[str, str]:
    """Migration keys by source key, for those that have one."""
    rows = connection.execute(
        text(
            "SELECT source_key, migration_key FROM key_assignment"
            " WHERE project_id = :project AND entity = :entity AND source_key = ANY(:keys)"
        ),
        {"project": project_id, "entity": entity, "keys": list(source_keys)},
    )
    return {row.source_key: row.migration_key for row in rows}


def target_ids(
    connection: Connection, project_id: str, entity: str, target: str, migration_keys: Sequence[str]
) -> dict[str, str]:
    """Target ids by migration key, for records that were loaded."""
    rows = connection.execute(
        text(
            "SELECT migration_key, target_id FROM target_record WHERE project_id = :project AND target = :target"
            " AND entity = :entity AND migration_key = ANY(:keys)"
        ),
        {"project": project_id, "target": target, "entity": entity, "keys": list(migration_keys)},
    )
    return {row.migration_key: row.target_id for row in rows}
