"""What the journal says is in a target: records that were loaded, and records that syncs carried. Read by checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Connection, Table, Text, any_, func, literal, select

from rollout.journal import schema, schema_operation


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far a sync is: its position in the feed, and when it last got through."""

    cursor: str | None
    advanced_at: datetime | None


class Carried:
    """One project's records in one target. Each method works within the caller's transaction."""

    def __init__(self, project_id: str, target: str) -> None:
        self.project_id = project_id
        self.target = target

    def sync_state(self, connection: Connection, sync: str) -> SyncState:
        """Where a sync stands; of one that never ran both are None, of one that never got through ``advanced_at``."""
        table = schema_operation.sync_cursor
        row = connection.execute(select(table.c.cursor, table.c.advanced_at).where(*self._of(table, sync))).first()
        return SyncState(row.cursor, row.advanced_at) if row else SyncState(None, None)

    def records(self, connection: Connection, sync: str) -> Iterator[tuple[str, str, datetime]]:
        """(source id, migration key, time of the change that was carried last) of everything a sync carried."""
        table = schema_operation.sync_record
        rows = connection.execute(
            select(table.c.source_id, table.c.migration_key, table.c.changed_at)
            .where(*self._of(table, sync))
            .execution_options(yield_per=20_000)
        )
        for row in rows:
            yield row.source_id, row.migration_key, row.changed_at

    def open_letters(self, connection: Connection, sync: str) -> dict[str, str]:
        """Reason codes by source id of what a sync could not carry and has not carried since."""
        table = schema_operation.dead_letter
        rows = connection.execute(
            select(table.c.source_id, table.c.reason_code).where(*self._of(table, sync), table.c.resolved_at.is_(None))
        )
        return {row.source_id: row.reason_code for row in rows}

    def count_open_letters(self, connection: Connection, sync: str) -> dict[str, int]:
        """Open dead letters by reason code, most frequent first."""
        table = schema_operation.dead_letter
        number = func.count()
        rows = connection.execute(
            select(table.c.reason_code, number)
            .where(*self._of(table, sync), table.c.resolved_at.is_(None))
            .group_by(table.c.reason_code)
            .order_by(number.desc(), table.c.reason_code)
        )
        return {row[0]: row[1] for row in rows}

    def loaded_keys(self, connection: Connection, entity: str) -> Iterator[str]:
        """Migration keys of every record of an entity that was loaded."""
        table = schema.target_record
        rows = connection.execute(
            select(table.c.migration_key).where(*self._records_of(entity)).execution_options(yield_per=20_000)
        )
        yield from rows.scalars()

    def count_loaded(self, connection: Connection, entity: str) -> int:
        """How many records of an entity were loaded."""
        table = schema.target_record
        return connection.execute(select(func.count()).select_from(table).where(*self._records_of(entity))).scalar_one()

    def bases(self, connection: Connection, entity: str, migration_keys: Sequence[str]) -> dict[str, dict[str, str]]:
        """Merge bases of loaded records, by migration key."""
        table = schema.target_record
        rows = connection.execute(
            select(table.c.migration_key, table.c.base).where(
                *self._records_of(entity), table.c.migration_key == any_(literal(list(migration_keys), ARRAY(Text)))
            )
        )
        return {row.migration_key: row.base for row in rows}

    def ids_by_row_key(self, connection: Connection, entity: str) -> dict[str, str]:
        """Target ids by the row key that the legacy source knows a loaded record by."""
        keys, records = schema.key_assignment, schema.target_record
        row_key = func.substr(keys.c.source_key, func.strpos(keys.c.source_key, ":") + 1)
        rows = connection.execute(
            select(row_key, records.c.target_id)
            .join(
                records,
                (records.c.project_id == keys.c.project_id)
                & (records.c.entity == keys.c.entity)
                & (records.c.migration_key == keys.c.migration_key),
            )
            .where(keys.c.project_id == self.project_id, keys.c.entity == entity, records.c.target == self.target)
        )
        return {row[0]: row[1] for row in rows}

    def _of(self, table: Table, sync: str) -> tuple[ColumnElement[bool], ...]:
        return (
            table.c.project_id == self.project_id,
            table.c.target == self.target,
            table.c.sync == sync,
        )

    def _records_of(self, entity: str) -> tuple[ColumnElement[bool], ...]:
        table = schema.target_record
        return (
            table.c.project_id == self.project_id,
            table.c.target == self.target,
            table.c.entity == entity,
        )
