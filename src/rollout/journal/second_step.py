"""The second step of a load: rows whose references wait for records that come later, or at the same time."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Connection

from rollout.journal.engine import driver_cursor
from rollout.journal.plans import StoredRow

# Only what the first step brought into the target can be completed.
_PAGE = """
SELECT p.ordinal, p.migration_key, p.golden_key, p.action, p.reason_code, p.digest, p.payload,
  coalesce(known.attempt, 0), NOT coalesce(first.landed, false) OR coalesce(known.taken, false)
FROM plan_row p
LEFT JOIN LATERAL (
  SELECT bool_or(s.state IN ('created', 'updated', 'unchanged', 'adopted')) AS landed FROM row_state s
  WHERE s.plan_id = p.plan_id AND s.entity = p.entity AND s.migration_key = p.migration_key AND s.step = 1
) first ON true
LEFT JOIN LATERAL (
  SELECT max(s.attempt) AS attempt, bool_or(s.state NOT IN ('retried', 'waiting')) AS taken FROM row_state s
  WHERE s.plan_id = p.plan_id AND s.entity = p.entity AND s.migration_key = p.migration_key AND s.step = 2
) known ON true
WHERE p.plan_id = %s AND p.entity = %s AND p.ordinal > %s ORDER BY p.ordinal LIMIT %s
"""


def page(
    connection: Connection, plan_id: str, entity: str, *, after: int, limit: int
) -> tuple[list[StoredRow], int | None]:
    """The next ``limit`` rows behind ordinal ``after``: those whose second step is still to do, if they have one.

    The second value is the last ordinal looked at; None when there are no more rows.
    """
    rows = driver_cursor(connection).execute(_PAGE, (plan_id, entity, after, limit), binary=True).fetchall()
    return [StoredRow._make(row[:-1]) for row in rows if not row[-1]], cast("int", rows[-1][0]) if rows else None
