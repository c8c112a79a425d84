"""Reading records: by key, by id, in pages over all, by a search, and their history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.engine import Connection, CursorResult

from rollout.testbed import distortion
from rollout.testbed.entities import ENTITIES, Entity, Field, format_id
from rollout.testbed.messages import EntityName, HistoryEntry, Link, Record
from rollout.testbed.tables import TABLES, history
from rollout.testbed.validation import write_value


def shown(entity: Entity, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of its table as the API shows it: the parts of a `Record`."""
    return {
        "id": format_id(entity, row["id"]),
        "migration_key": row["migration_key"],
        "version": row["version"],
        "created_at": row["created_at"],
        "modified_at": row["modified_at"],
        "modified_by": row["modified_by"],
        "fields": {field.name: write_value(field, row[field.name]) for field in entity.fields},
    }


def record(entity: Entity, row: Mapping[str, Any]) -> Record:
    """A row of its table as the API shows it."""
    # Built of what the database holds, so there is nothing to validate once more.
    return Record.model_construct(**shown(entity, row))


def _records(connection: Connection, entity: Entity, statement: Select[Any]) -> list[Record]:
    return [record(entity, row) for row in rows(connection.execute(statement))]


def rows(result: CursorResult[Any]) -> list[dict[str, Any]]:
    """Whole rows as dictionaries: the views that the database layer offers take three times as long to read."""
    names = list(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


def by_keys(connection: Connection, entity: Entity, keys: Sequence[str]) -> list[Record]:
    """Records holding one of the keys, compared exactly."""
    table = TABLES[entity.name]
    storable = [key for key in keys if "\x00" not in key]
    statement = select(table).where(table.c.migration_key.in_(storable)).order_by(table.c.id)
    return _records(connection, entity, _indexed(entity, statement))


def by_ids(connection: Connection, entity: Entity, numbers: Sequence[int]) -> list[Record]:
    """The records that exist of those."""
    table = TABLES[entity.name]
    return _records(connection, entity, select(table).where(table.c.id.in_(numbers)))


def by_id(connection: Connection, entity: Entity, number: int) -> Record | None:
    """The record, if it exists."""
    table = TABLES[entity.name]
    return next(iter(_records(connection, entity, select(table).where(table.c.id == number))), None)


def page(
    connection: Connection, entity: Entity, *, after: int, limit: int, search: str = "", key_prefix: str = ""
) -> list[Record]:
    """Up to ``limit`` records with ids above ``after``, in their order; of those whose migration key begins so."""
    table = TABLES[entity.name]
    statement = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
    if key_prefix:
        beginning = key_prefix.replace("\x00", "")
        statement = _indexed(entity, statement.where(table.c.migration_key.startswith(beginning, autoescape=True)))
    return _records(connection, entity, _searched(entity, statement, search))


def count(connection: Connection, entity: Entity, *, search: str = "") -> int:
    """How many records there are."""
    statement = _searched(entity, select(func.count()).select_from(TABLES[entity.name]), search)
    return int(connection.scalar(statement) or 0)


def referring(connection: Connection, entity: Entity, field: str, number: int, *, limit: int) -> list[Record]:
    """Records of ``entity`` whose reference ``field`` points to ``number``."""
    table = TABLES[entity.name]
    return _records(connection, entity, select(table).where(table.c[field] == number).order_by(table.c.id).limit(limit))


def links(connection: Connection, entity: Entity, numbers: Sequence[int]) -> list[Link]:
    """The records of all entities that refer to these, one entry for each reference."""
    found: list[Link] = []
    for child, field in _references_to(entity):
        table = TABLES[child.name]
        columns = (table.c.id, table.c.migration_key, table.c.modified_by, table.c[field.name].label("parent"))
        statement = select(*columns).where(table.c[field.name].in_(numbers)).order_by(table.c.id)
        found += [
            Link(
                to=format_id(entity, row.parent),
                entity=EntityName(child.name),
                id=format_id(child, row.id),
                migration_key=row.migration_key,
                modified_by=row.modified_by,
            )
            for row in connection.execute(statement)
        ]
    return found


def referred_to(connection: Connection, entity: Entity, numbers: Sequence[int]) -> dict[int, Entity]:
    """Which of these records others refer to, and one entity that does."""
    found: dict[int, Entity] = {}
    for child, field in _references_to(entity) if numbers else ():
        column = TABLES[child.name].c[field.name]
        found |= dict.fromkeys(connection.scalars(select(column).where(column.in_(numbers)).distinct()), child)
    return found


def _references_to(entity: Entity) -> Iterator[tuple[Entity, Field]]:
    for child in ENTITIES.values():
        yield from ((child, field) for field in child.fields if field.references == entity.name)


def record_history(connection: Connection, entity: Entity, number: int) -> list[HistoryEntry]:
    """Who changed which field when, the latest first; kept after a deletion."""
    rows = connection.execute(
        select(history)
        .where(history.c.entity == entity.name, history.c.record_id == number)
        .order_by(history.c.id.desc())
    ).mappings()
    order = {field.name: position for position, field in enumerate(entity.fields)}
    return [
        HistoryEntry(at=row["at"], by=row["by"], action=row["action"], field=field, old=old, new=new)
        for row in rows
        for field, (old, new) in sorted(row["changes"].items(), key=lambda change: order.get(change[0], -1))
    ]


def _searched(entity: Entity, statement: Select[Any], search: str) -> Select[Any]:
    """Restrict to records whose title, migration key or legacy number contains the text."""
    if not search:
        return statement
    table = TABLES[entity.name]
    statement = _indexed(entity, statement)
    columns = [table.c[name] for name in (entity.title, "migration_key", "legacy_no") if name in table.c]
    return statement.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))


def _indexed(entity: Entity, statement: Select[Any]) -> Select[Any]:
    """Restrict to records that a search knows already: all, unless a fault lets it lag."""
    lag_s = distortion.search_lag_s()
    return (
        statement.where(TABLES[entity.name].c.created_at < func.now() - timedelta(seconds=lag_s))
        if lag_s
        else statement
    )
