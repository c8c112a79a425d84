"""Records that were loaded, and whose rows the sources no longer have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, text

_GONE = text("""
SELECT t.entity, string_agg(k.source_key, ' ' ORDER BY k.source_key) AS source_keys, t.migration_key, t.target_id
FROM target_record t
JOIN key_assignment k USING (project_id, entity, migration_key)
LEFT JOIN source_row r ON r.project_id = k.project_id AND r.entity = k.entity AND r.source_key = k.source_key
WHERE t.project_id = :project AND t.target = :target
  AND EXISTS (SELECT FROM ledger l WHERE l.project_id = t.project_id AND l.entity = t.entity)
GROUP BY t.entity, t.migration_key, t.target_id HAVING count(r.source_key) = 0
ORDER BY t.entity, source_keys
""")


class GoneRecord(NamedTuple):
    """A record that the sources no longer tell of."""

    entity: str
    source_keys: str
    """All of its source rows, with spaces between them."""
    migration_key: str
    target_id: str


def gone_records(connection: Connection, project_id: str, target: str) -> Iterator[GoneRecord]:
    """The records of a target none of whose source rows is left. Rows in quarantine are still there."""
    for row in connection.execute(_GONE, {"project": project_id, "target": target}):
        yield GoneRecord(*row)
