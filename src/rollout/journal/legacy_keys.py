"""Under which source row, and as which record of a target, each of our records is known."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

# The row that the record is made of, before those that were merged into it.
_KNOWN = text("""
SELECT DISTINCT ON (t.migration_key) t.migration_key, t.target_id, k.source_key
FROM target_record t
JOIN key_assignment k ON k.project_id = t.project_id AND k.entity = t.entity AND k.migration_key = t.migration_key
LEFT JOIN source_row r ON r.project_id = k.project_id AND r.entity = k.entity AND r.source_key = k.source_key
WHERE t.project_id = :project AND t.target = :target AND t.entity = :entity
ORDER BY t.migration_key, coalesce(r.disposition = 'golden', false) DESC, k.source_key
""")


class Known(NamedTuple):
    """A record that we loaded."""

    migration_key: str
    target_id: str
    source_key: str
    """``{source}:{row key}``."""


def known_records(connection: Connection, project_id: str, target: str, entity: str) -> list[Known]:
    """Every record of an entity that is in a target from us."""
    rows = connection.execute(_KNOWN, {"project": project_id, "target": target, "entity": entity})
    return [Known(row.migration_key, row.target_id, row.source_key) for row in rows]
