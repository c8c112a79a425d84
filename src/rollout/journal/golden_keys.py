"""Which source rows golden records went by when they were planned: they keep doing so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, text

from rollout.journal.engine import ANY_TEXT, driver_cursor, texts

_ANY = text("SELECT EXISTS (SELECT FROM key_assignment WHERE project_id = :project AND entity = :entity)")


def held(connection: Connection, project_id: str, entity: str, source_keys: Sequence[str]) -> list[str]:
    """Those of some rows that stood for a record when the ledger was written, and whose record was planned."""
    if not source_keys or not connection.execute(_ANY, {"project": project_id, "entity": entity}).scalar_one():
        return []
    rows = driver_cursor(connection).execute(
        "SELECT r.source_key FROM source_row r JOIN key_assignment k USING (project_id, entity, source_key)"
        f" WHERE r.project_id = %s AND r.entity = %s AND r.disposition = 'golden' AND r.source_key = {ANY_TEXT}",
        (project_id, entity, texts(source_keys)),
        binary=True,
    )
    return [str(row[0]) for row in cast("list[tuple[str]]", rows.fetchall())]
