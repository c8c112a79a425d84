"""What named persons said about dormant records: one line a decision, the newest counts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from rollout.journal.schema_data import dormant_decision

EVERY = "*"
"""Speaks of all dormant records that no decision of their own names."""


def record(
    connection: Connection,
    project_id: str,
    entity: str,
    choices: Iterable[tuple[str, str]],
    *,
    person: str,
    reason: str,
    at: datetime,
) -> int:
    """Record choices (source key or `EVERY`, choice); answers how many there were."""
    rows = [
        {
            "project_id": project_id,
            "entity": entity,
            "source_key": source_key,
            "choice": choice,
            "person": person,
            "reason": reason,
            "at": at,
        }
        for source_key, choice in choices
    ]
    if rows:
        connection.execute(insert(dormant_decision), rows)
    return len(rows)


def newest(connection: Connection, project_id: str, entity: str) -> dict[str, str]:
    """The newest choice about each record of an entity, by source key, in order."""
    table = dormant_decision
    query = (
        select(table.c.source_key, table.c.choice)
        .ext(distinct_on(table.c.source_key))
        .where(table.c.project_id == project_id, table.c.entity == entity)
        .order_by(table.c.source_key, table.c.seq.desc())
    )
    return {row.source_key: row.choice for row in connection.execute(query)}
