"""What syncs carried into a target and what they could not: cursors, carried records, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from rollout.journal import schema_operation


@dataclass(frozen=True, slots=True)
class CarriedRecord:
    """A record of a feed that is in the target. ``digest`` is keyed, of the values that were sent."""

    source_id: str
    entity: str
    migration_key: str
    target_id: str
    digest: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of a feed that could not be carried. ``payload`` is sealed under the data key ``key_id``."""

    source_id: str
    reason_code: str
    message: str
    key_id: str
    payload: bytes
    changed_at: datetime
    attempts: int = 1


class Syncs:
    """The syncs of one project into one target. Each method works within the caller's transaction."""

    def __init__(self, project_id: str, target: str) -> None:
        self.project_id = project_id
        self.target = target

    def known(self, connection: Connection, sync: str, source_ids: Sequence[str]) -> dict[str, CarriedRecord]:
        """What was carried before of these records, by source id."""
        table = schema_operation.sync_record
        rows = connection.execute(
            select(*(table.c[name] for name in CarriedRecord.__dataclass_fields__)).where(
                *self._of(table, sync), table.c.source_id == text("ANY(:ids)")
            ),
            {"ids": list(source_ids)},
        )
        return {row.source_id: CarriedRecord(*row) for row in rows}

    def remember(self, connection: Connection, sync: str, records: Sequence[CarriedRecord], at: datetime) -> None:
        """Record what was carried; a record that was carried before is replaced."""
        if not records:
            return
        table = schema_operation.sync_record
        statement = insert(table).values([self._place(sync) | asdict(row) | {"carried_at": at} for row in records])
        changed = {name: statement.excluded[name] for name in (*CarriedRecord.__dataclass_fields__, "carried_at")}
        connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed))

    def bury(self, connection: Connection, sync: str, letters: Sequence[DeadLetter], at: datetime) -> None:
        """Record what could not be carried; for one that is known the attempts are counted, and it is open again."""
        if not letters:
            return
        table = schema_operation.dead_letter
        rows = [
            self._place(sync) | asdict(letter) | {"attempts": 1, "first_at": at, "last_at": at, "resolved_at": None}
            for letter in letters
        ]
        statement = insert(table).values(rows)
        names = ("reason_code", "message", "key_id", "payload", "changed_at", "last_at", "resolved_at")
        changed = {name: statement.excluded[name] for name in names}
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(table.primary_key), set_={**changed, "attempts": table.c.attempts + 1}
            )
        )

    def resolve(self, connection: Connection, sync: str, source_ids: Sequence[str], at: datetime) -> int:
        """Close the open letters of records that were carried after all; answers how many there were."""
        table = schema_operation.dead_letter
        return connection.execute(
            update(table)
            .where(*self._of(table, sync), table.c.resolved_at.is_(None), table.c.source_id == text("ANY(:ids)"))
            .values(resolved_at=at),
            {"ids": list(source_ids)},
        ).rowcount

    def open_letters(self, connection: Connection, sync: str) -> list[DeadLetter]:
        """What could not be carried so far, oldest change first."""
        table = schema_operation.dead_letter
        rows = connection.execute(
            select(*(table.c[name] for name in DeadLetter.__dataclass_fields__))
            .where(*self._of(table, sync), table.c.resolved_at.is_(None))
            .order_by(table.c.changed_at, table.c.source_id)
        )
        return [DeadLetter(*row) for row in rows]

    def advance(self, connection: Connection, sync: str, cursor: str, got_through_at: datetime | None) -> None:
        """Go on from here the next time; None: the end of the feed was not reached, so when it last was stays."""
        table = schema_operation.sync_cursor
        values: dict[str, object] = {"cursor": cursor}
        if got_through_at is not None:
            values["advanced_at"] = got_through_at
        connection.execute(
            insert(table)
            .values(self._place(sync) | values)
            .on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
        )

    def rewind(self, connection: Connection, sync: str, cursor: str | None) -> None:
        """Read again from an earlier cursor; None: from the beginning."""
        table = schema_operation.sync_cursor
        if cursor is None:
            connection.execute(delete(table).where(*self._of(table, sync)))
        else:
            connection.execute(update(table).where(*self._of(table, sync)).values(cursor=cursor))

    def ids_beginning(self, connection: Connection, sync: str, prefix: str) -> set[str]:
        """Source ids of carried records and dead letters that begin with ``prefix``."""
        found: set[str] = set()
        for table in (schema_operation.sync_record, schema_operation.dead_letter):
            query = select(table.c.source_id).where(
                *self._of(table, sync), table.c.source_id.startswith(prefix, autoescape=True)
            )
            found.update(connection.execute(query).scalars())
        return found

    def forget(self, connection: Connection, sync: str, source_ids: Sequence[str]) -> None:
        """Drop what is known of records that were only a test."""
        for table in (schema_operation.sync_record, schema_operation.dead_letter):
            connection.execute(
                delete(table).where(*self._of(table, sync), table.c.source_id == text("ANY(:ids)")),
                {"ids": list(source_ids)},
            )

    def carried_by_key(
        self, connection: Connection, entity: str, migration_keys: Sequence[str]
    ) -> dict[str, tuple[str, CarriedRecord]]:
        """Sync and record by migration key, of what any sync carried into an entity."""
        table = schema_operation.sync_record
        columns = (table.c[name] for name in CarriedRecord.__dataclass_fields__)
        rows = connection.execute(
            select(table.c.sync, *columns).where(
                table.c.project_id == self.project_id,
                table.c.target == self.target,
                table.c.entity == entity,
                table.c.migration_key == text("ANY(:keys)"),
            ),
            {"keys": list(migration_keys)},
        )
        return {row.migration_key: (row.sync, CarriedRecord(*row[1:])) for row in rows}

    def forget_undone(self, connection: Connection, plan_id: str) -> list[str]:
        """Drop what was carried and an undo has deleted; those syncs read from the beginning again. Answers them."""
        syncs = connection.execute(
            text(
                "WITH gone AS (DELETE FROM sync_record r USING row_state s WHERE s.plan_id = :plan"
                " AND s.state = 'undone' AND s.entity = r.entity AND s.migration_key = r.migration_key"
                " AND r.project_id = :project AND r.target = :target RETURNING r.sync)"
                " SELECT DISTINCT sync FROM gone ORDER BY 1"
            ),
            {"plan": plan_id, "project": self.project_id, "target": self.target},
        ).scalars()
        found = list(syncs)
        for sync in found:
            self.rewind(connection, sync, None)
        return found

    def some_customer(self, connection: Connection, entity: str, sources: Sequence[str]) -> tuple[str, str] | None:
        """Row key and target id of a loaded record that is known by one plain row key; None: none is loaded."""
        row = connection.execute(
            text(
                "SELECT substr(k.source_key, strpos(k.source_key, ':') + 1) AS number, t.target_id"
                " FROM key_assignment k JOIN target_record t USING (project_id, entity, migration_key)"
                " WHERE k.project_id = :project AND k.entity = :entity AND t.target = :target"
                " AND split_part(k.source_key, ':', 1) = ANY(:sources) AND k.source_key !~ '[~@]'"
                " AND NOT EXISTS (SELECT 1 FROM key_assignment o WHERE o.project_id = k.project_id"
                "  AND o.entity = k.entity AND o.migration_key <> k.migration_key"
                "  AND substr(o.source_key, strpos(o.source_key, ':'))"
                "    = substr(k.source_key, strpos(k.source_key, ':')))"
                " ORDER BY k.source_key LIMIT 1"
            ),
            {"project": self.project_id, "entity": entity, "target": self.target, "sources": list(sources)},
        ).first()
        return (row.number, row.target_id) if row else None

    def _place(self, sync: str) -> dict[str, object]:
        return {"project_id": self.project_id, "target": self.target, "sync": sync}

    def _of(self, table: Table, sync: str) -> tuple[ColumnElement[bool], ...]:
        return tuple(table.c[name] == value for name, value in self._place(sync).items())
