"""Plans, their rows and their approvals, as the journal keeps them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import sqlalchemy
from sqlalchemy import ARRAY, Connection, Text, delete, desc, func, insert, select, text, update

import rollout
from rollout.errors import ApprovalError
from rollout.journal import schema
from rollout.journal.engine import analyze, driver_cursor, server_cursor

RowIdentity = tuple[str, str, str, str, str]
"""(migration key, golden key, action, reason code or "", digest): what a plan's hash covers of a row."""


@dataclass(frozen=True)
class PlanRecord:
    """A plan's header."""

    plan_id: str
    target: str
    wave: str
    state: str
    plan_hash: str
    key_id: str
    inputs: dict[str, Any]
    counts: dict[str, dict[str, int]]
    estimate: dict[str, Any]
    code_version: str
    created_at: datetime
    kind: str = "load"
    """load | delta | retry | undo | unmerge."""
    scope: Mapping[str, Any] = field(default_factory=dict)
    """Of an undo or unmerge: what it takes back. Of a retry: the plan whose rows it takes up again."""

    @property
    def order(self) -> list[str]:
        """The plan's entities in the order that they were planned in, and its hash was made in."""
        return list(self.inputs["order"])


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


@dataclass(frozen=True)
class ApprovalRecord:
    """Who approved a plan."""

    person: str
    reason: str
    plan_hash: str
    at: datetime


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
  WHERE s.plan_id = p.plan_id AND s.entity = p.entity AND s.migration_key = p.migration_key) known ON true
WHERE p.plan_id = %s AND p.entity = %s AND p.ordinal > %s ORDER BY p.ordinal LIMIT %s
"""


class Plans:
    """The plans of a project."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id

    def forget_drafts(self, connection: Connection, target: str) -> None:
        """Remove what interrupted planning left. Drafts were never complete, and nobody could approve them."""
        drafts = select(schema.plan.c.plan_id).where(
            schema.plan.c.project_id == self._project_id,
            schema.plan.c.target == target,
            schema.plan.c.state == "draft",
        )
        connection.execute(delete(schema.plan_row).where(schema.plan_row.c.plan_id.in_(drafts)))
        connection.execute(delete(schema.plan).where(schema.plan.c.plan_id.in_(drafts)))

    def create(
        self,
        connection: Connection,
        *,
        target: str,
        wave: str,
        key_id: str,
        kind: str = "load",
        scope: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a plan; answers its id. It cannot be approved before it is sealed."""
        plan_id = uuid.uuid4().hex[:12]
        connection.execute(
            insert(schema.plan).values(
                plan_id=plan_id,
                project_id=self._project_id,
                kind=kind,
                scope=dict(scope or {}),
                target=target,
                wave=wave,
                state="draft",
                plan_hash="",
                key_id=key_id,
                inputs={},
                counts={},
                estimate={},
                code_version=rollout.__version__,
                created_at=datetime.now(UTC),
            )
        )
        return plan_id

    def add_rows(self, connection: Connection, plan_id: str, entity: str, rows: Sequence[StoredRow]) -> None:
        """Add rows to a draft."""
        with driver_cursor(connection).copy(
            "COPY plan_row (plan_id, entity, ordinal, migration_key, golden_key, action, reason_code, digest, payload)"
            " FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(("text", "text", "int8", "text", "text", "text", "text", "text", "bytea"))
            for row in rows:
                copy.write_row((plan_id, entity, *row[:-1]))

    def seal(
        self,
        connection: Connection,
        plan_id: str,
        *,
        plan_hash: str,
        inputs: Mapping[str, Any],
        counts: Mapping[str, Any],
        estimate: Mapping[str, Any],
    ) -> None:
        """Finish a draft: from here on it is what people approve."""
        analyze(connection, schema.plan_row)
        connection.execute(
            update(schema.plan)
            .where(schema.plan.c.plan_id == plan_id, schema.plan.c.state == "draft")
            .values(
                state="proposed",
                plan_hash=plan_hash,
                inputs=dict(inputs),
                counts=dict(counts),
                estimate=dict(estimate),
            )
        )

    def supersede_older(self, connection: Connection, plan_id: str, target: str, wave: str) -> None:
        """A new plan of a target and wave takes the place of all that were not fully applied."""
        connection.execute(
            update(schema.plan)
            .where(
                schema.plan.c.project_id == self._project_id,
                schema.plan.c.target == target,
                schema.plan.c.wave == wave,
                schema.plan.c.plan_id != plan_id,
                schema.plan.c.state.in_(["proposed", "approved", "loading"]),
            )
            .values(state="superseded")
        )

    def move(self, connection: Connection, plan_id: str, state: str, *, before: Sequence[str]) -> None:
        """Move a plan on: proposed → approved → loading → applied.

        Raises:
            ApprovalError: The plan is in none of the states ``before`` any more: a newer one took its place.
        """
        values: dict[str, Any] = {"state": state}
        if state == "loading":
            values["begun_at"] = func.coalesce(schema.plan.c.begun_at, func.clock_timestamp())
        moved = connection.execute(
            update(schema.plan)
            .where(schema.plan.c.plan_id == plan_id, schema.plan.c.state.in_(list(before)))
            .values(**values)
        ).rowcount
        if not moved:
            raise ApprovalError(
                f"plan {plan_id} is no longer {' or '.join(before)}: a newer plan took its place",
                hint="see `rollout plan`, have the newest plan approved, and load that",
            )

    def get(self, connection: Connection, plan_id: str) -> PlanRecord | None:
        """One plan of this project."""
        return self._one(connection, schema.plan.c.plan_id == plan_id)

    def latest(
        self, connection: Connection, target: str, states: Sequence[str], *, wave: str | None = None
    ) -> PlanRecord | None:
        """The newest plan of a target, of a wave (None: of any), in one of the states."""
        return self._one(connection, *_of(target, wave), schema.plan.c.state.in_(list(states)))

    def latest_approved(
        self, connection: Connection, target: str, states: Sequence[str], *, wave: str | None = None
    ) -> PlanRecord | None:
        """Of the plans in one of the states the one approved last, whichever was made first."""
        approved = (
            select(func.max(schema.approval.c.seq))
            .where(schema.approval.c.plan_id == schema.plan.c.plan_id)
            .scalar_subquery()
        )
        where = (*_of(target, wave), schema.plan.c.state.in_(list(states)))
        return self._one(connection, *where, order=(desc(approved).nulls_last(),))

    def latest_begun(self, connection: Connection, target: str, *, wave: str | None = None) -> PlanRecord | None:
        """The newest plan of a wave that a load has begun, superseded since or not; None: of the wave begun last."""
        begun = schema.plan.c.begun_at
        order = (desc(begun),) if wave is None else ()
        return self._one(connection, *_of(target, wave), begun.is_not(None), order=order)

    def _one(self, connection: Connection, *where: Any, order: Sequence[Any] = ()) -> PlanRecord | None:
        row = (
            connection.execute(
                select(schema.plan)
                .where(schema.plan.c.project_id == self._project_id, *where)
                .order_by(*order, desc(schema.plan.c.seq))
                .limit(1)
            )
            .mappings()
            .first()
        )
        return PlanRecord(**{name: row[name] for name in PlanRecord.__dataclass_fields__}) if row else None

    def approve(self, connection: Connection, plan: PlanRecord, *, person: str, reason: str) -> None:
        """Record an approval of the plan as it is now. Raises ApprovalError if a newer one took its place."""
        self.move(connection, plan.plan_id, "approved", before=("proposed", "approved"))
        connection.execute(
            insert(schema.approval).values(
                project_id=self._project_id,
                plan_id=plan.plan_id,
                plan_hash=plan.plan_hash,
                person=person,
                reason=reason,
                at=datetime.now(UTC),
            )
        )

    def approval(self, connection: Connection, plan: PlanRecord) -> ApprovalRecord | None:
        """The newest approval that covers exactly this plan."""
        table = schema.approval
        row = (
            connection.execute(
                select(table)
                .where(table.c.plan_id == plan.plan_id, table.c.plan_hash == plan.plan_hash)
                .order_by(desc(table.c.seq))
                .limit(1)
            )
            .mappings()
            .first()
        )
        return ApprovalRecord(**{name: row[name] for name in ApprovalRecord.__dataclass_fields__}) if row else None

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
        """How many of these keys a plan creates or updates."""
        query = text(
            "SELECT count(*) FROM plan_row WHERE plan_id = :plan AND entity = :entity"
            " AND migration_key = ANY(:keys) AND action IN ('create', 'update')"
        )
        parameters = {"plan": plan_id, "entity": entity, "keys": list(migration_keys)}
        rows: int = connection.execute(query, parameters).scalar_one()
        return rows

    def with_open_lines(self, connection: Connection, target: str) -> list[tuple[PlanRecord, str]]:
        """Plans of a target, oldest first, each with an entity that has lines whose outcome is not decided."""
        query = text("""
            SELECT DISTINCT p.seq, p.plan_id, s.entity FROM row_state s JOIN plan p USING (plan_id)
            WHERE p.project_id = :project AND p.target = :target AND s.state IN ('intent', 'unknown')
            ORDER BY p.seq, s.entity
        """)
        found = connection.execute(query, {"project": self._project_id, "target": target}).all()
        plans = {row.plan_id: self.get(connection, row.plan_id) for row in found}
        return [(plan, row.entity) for row in found if (plan := plans[row.plan_id]) is not None]

    def is_done(self, connection: Connection, plan_id: str) -> bool:
        """Whether every row has a closed outcome."""
        query = text("""
            SELECT EXISTS (
              SELECT 1 FROM plan_row p WHERE p.plan_id = :plan AND NOT EXISTS (
                SELECT 1 FROM row_state s WHERE s.plan_id = p.plan_id AND s.entity = p.entity
                  AND s.migration_key = p.migration_key
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


def _of(target: str, wave: str | None) -> list[Any]:
    """Conditions: plans of a target, and of a wave if one is named."""
    return [schema.plan.c.target == target, *([schema.plan.c.wave == wave] if wave is not None else [])]


def _stored(row: Mapping[Any, Any]) -> StoredRow:
    return StoredRow(**{name: row[name] for name in StoredRow._fields if name in row})
