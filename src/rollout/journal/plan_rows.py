"""The rows of plans, as the journal keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import sqlalchemy
from sqlalchemy import ARRAY, Connection, Text, func, select, text

from rollout.journal import schema
from rollout.journal.engine import driver_cursor, server_cursor

RowIdentity = tuple[str, str, str, str, str]
"""(migration key, golden key, action, reason code or "", digest): what a plan's hash covers of a row."""


class StoredRow(NamedTuple):
    """A plan's row, its payload still sealed."""

    ordinal: int
    migration_key: str
    golden_key: str
    action: str
    reason_code: str | None
    digest: str
    payload: bytes
    attempt: int = 0
    """Attempts there have been, where :meth:`Plans.page` tells."""

    @property
    def identity(self) -> RowIdentity:
        """What the plan's hash covers."""
        return (self.migration_key, self.golden_key, self.action, self.reason_code or "", self.digest)


_PAGE = """
SELECT p.ordinal, p.migration_key, p.golden_key, p.action, p.reason_code, p.digest, p.payload, 0, false FROM plan_row p
WHERE p.plan_id = %s AND p.entity = %s AND p.ordinal > %s ORDER BY p.ordinal LIMIT %s
"""
# A lateral aggregate stays an index look-up a row, whatever the statistics say.
_PAGE_WITH_LINES = """
SELECT p.ordinal, p.migration_key, p.golden_key, p.action, p.reason_code, p.digest, p.payload,
  coalesce(known.attempt, 0), known.taken
FROM plan_row p LEFT JOIN LATERAL (
  SELECT max(s.attempt) AS attempt, bool_or(s.state NOT IN ('retried', 'waiting')) AS taken FROM row_state s
  WHERE s.plan_id = p.plan_id AND s.entity = p.entity AND s.migration_key = p.migration_key AND s.step > 0
) known ON true
WHERE p.plan_id = %s AND p.entity = %s AND p.ordinal > %s ORDER BY p.ordinal LIMIT %s
"""


_QUIET = "'unchanged', 'conflict', 'skip', 'keep'"
"""Actions that call nothing."""


class PlanRows:
    """The rows of a project's plans."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id

    def add_rows(self, connection: Connection, plan_id: str, entity: str, rows: Sequence[StoredRow]) -> None:
        """Add rows to a draft."""
        with driver_cursor(connection).copy(
            "COPY plan_row (plan_id, entity, ordinal, migration_key, golden_key, action, reason_code, digest, payload)"
            " FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(("text", "text", "int8", "text", "text", "text", "text", "text", "bytea"))
            for row in rows:
                copy.write_row((plan_id, entity, *row[:-1]))

    def page(
        self, connection: Connection, plan_id: str, entity: str, *, after: int, limit: int, begun: bool
    ) -> tuple[list[StoredRow], int | None]:
        """The next ``limit`` rows behind ordinal ``after``: those that are still to do, and the last ordinal looked at.

        A row is to do while every attempt there was stored nothing for sure, or it waits for its parent. The last
        ordinal is None when there are no more rows. ``begun`` says that an earlier load may have lines of these rows.
        """
        rows = (
            driver_cursor(connection)
            .execute(_PAGE_WITH_LINES if begun else _PAGE, (plan_id, entity, after, limit), binary=True)
            .fetchall()
        )
        to_do = [StoredRow._make(row[:-1]) for row in rows if not row[-1]]
        return to_do, cast("int", rows[-1][0]) if rows else None

    def has_lines(self, connection: Connection, plan_id: str, entity: str) -> bool:
        """Whether a load has journalled anything of a plan's entity."""
        lines = schema.row_state
        query = select(select(lines).where(lines.c.plan_id == plan_id, lines.c.entity == entity).exists())
        return bool(connection.execute(query).scalar_one())

    def rows_by_key(
        self, connection: Connection, plan_id: str, entity: str, migration_keys: Sequence[str]
    ) -> dict[str, StoredRow]:
        """Rows by migration key."""
        table = schema.plan_row
        query = select(table).where(
            table.c.plan_id == plan_id,
            table.c.entity == entity,
            table.c.migration_key == func.any(sqlalchemy.cast(list(migration_keys), ARRAY(Text))),
        )
        return {row["migration_key"]: _stored(row) for row in connection.execute(query).mappings()}

    def identities(self, connection: Connection, plan_id: str, entity: str) -> Iterator[list[RowIdentity]]:
        """What the plan's hash covers of each row, in order and in batches."""
        with server_cursor(connection, "identities") as cursor:
            cursor.execute(
                "SELECT migration_key, golden_key, action, coalesce(reason_code, ''), digest FROM plan_row"
                " WHERE plan_id = %s AND entity = %s ORDER BY ordinal",
                (plan_id, entity),
                binary=True,
            )
            while batch := cursor.fetchmany(10_000):
                yield cast("list[RowIdentity]", batch)

    def rows_only_in(
        self, connection: Connection, plan_id: str, entity: str, other_plan_id: str
    ) -> list[tuple[str, str]]:
        """(golden key, action) of the rows of one plan whose records another plan does not have, in order."""
        query = text("""
            SELECT p.golden_key, p.action FROM plan_row p WHERE p.plan_id = :plan AND p.entity = :entity
              AND NOT EXISTS (SELECT FROM plan_row o WHERE o.plan_id = :other AND o.entity = p.entity
                AND o.migration_key = p.migration_key)
            ORDER BY p.ordinal
        """)
        parameters = {"plan": plan_id, "entity": entity, "other": other_plan_id}
        return [(row.golden_key, row.action) for row in connection.execute(query, parameters)]

    def undecided_keys(self, connection: Connection, target: str, entity: str, *, but: str = "") -> set[str]:
        """Migration keys of an entity that a plan other than ``but`` sent, and nobody knows yet what became of them."""
        query = text("""
            SELECT DISTINCT s.migration_key FROM row_state s JOIN plan p USING (plan_id)
            WHERE p.project_id = :project AND p.target = :target AND s.entity = :entity AND p.plan_id <> :but
              AND s.state IN ('intent', 'unknown')
        """)
        parameters = {"project": self._project_id, "target": target, "entity": entity, "but": but}
        return set(connection.execute(query, parameters).scalars())

    def will_send(self, connection: Connection, plan_id: str, entity: str, migration_keys: Sequence[str]) -> int:
        """How many of these keys a plan writes."""
        query = text(
            "SELECT count(*) FROM plan_row WHERE plan_id = :plan AND entity = :entity"
            f" AND migration_key = ANY(:keys) AND action NOT IN ({_QUIET})"
        )
        parameters = {"plan": plan_id, "entity": entity, "keys": list(migration_keys)}
        rows: int = connection.execute(query, parameters).scalar_one()
        return rows

    def not_at_rest(self, connection: Connection, plan_id: str) -> Iterator[tuple[str, StoredRow]]:
        """The rows that a plan writes or leaves to people to decide, each with its entity."""
        table = schema.plan_row
        query = select(table).where(table.c.plan_id == plan_id, table.c.action.not_in(("unchanged", "skip")))
        for row in connection.execute(query).mappings():
            yield row["entity"], _stored(row)

    def share_to_do(self, connection: Connection, plan_id: str) -> float:
        """Which share of the rows that a plan writes has no closed outcome yet."""
        query = text(f"""
            SELECT count(*) FILTER (WHERE NOT EXISTS (
                SELECT 1 FROM row_state s WHERE s.plan_id = p.plan_id AND s.entity = p.entity AND s.step > 0
                  AND s.migration_key = p.migration_key
                  AND s.state NOT IN ('intent', 'unknown', 'waiting', 'retried')))::float / greatest(count(*), 1)
            FROM plan_row p WHERE p.plan_id = :plan AND p.action NOT IN ({_QUIET})
        """)
        return float(connection.execute(query, {"plan": plan_id}).scalar_one())

    def is_done(self, connection: Connection, plan_id: str) -> bool:
        """Whether every row has a closed outcome, also of the second step where it was begun."""
        # Counted, which takes half the time of looking each row up: all lines are of rows of their plan.
        query = text("""
            SELECT (SELECT count(*) FROM plan_row WHERE plan_id = :plan) <> (
              SELECT count(*) FROM (
                SELECT DISTINCT entity, migration_key FROM row_state WHERE plan_id = :plan AND step > 0
                  AND state NOT IN ('intent', 'unknown', 'waiting', 'retried')) AS closed)
            OR EXISTS (
              SELECT 1 FROM row_line l WHERE l.plan_id = :plan AND l.step = 2 AND NOT EXISTS (
                SELECT 1 FROM row_state s WHERE s.plan_id = l.plan_id AND s.entity = l.entity AND s.step = 2
                  AND s.migration_key = l.migration_key
                  AND s.state NOT IN ('intent', 'unknown', 'waiting', 'retried')))
        """)
        return not connection.execute(query, {"plan": plan_id}).scalar_one()

    def reasons(self, connection: Connection, plan_id: str) -> dict[str, dict[str, int]]:
        """Rows by reason code, an entity each, from their newest lines; rows without a reason are left out."""
        query = text("""
            SELECT entity, state || '/' || reason_code AS reason, count(*) AS rows FROM row_state s
            WHERE plan_id = :plan AND reason_code IS NOT NULL AND NOT EXISTS (
              SELECT FROM row_state newer WHERE newer.plan_id = s.plan_id AND newer.entity = s.entity
                AND newer.migration_key = s.migration_key AND (newer.step, newer.attempt) > (s.step, s.attempt))
            GROUP BY 1, 2 ORDER BY 1, 2
        """)
        found: dict[str, dict[str, int]] = {}
        for row in connection.execute(query, {"plan": plan_id}):
            found.setdefault(row.entity, {})[row.reason] = row.rows
        return found


def _stored(row: Mapping[Any, Any]) -> StoredRow:
    return StoredRow(**{name: row[name] for name in StoredRow._fields if name in row})
