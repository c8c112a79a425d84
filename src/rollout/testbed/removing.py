"""Deleting records: never one that others refer to; the history stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError

from rollout.testbed import reading
from rollout.testbed.entities import ENTITIES, Entity, format_id, parse_id
from rollout.testbed.messages import Status
from rollout.testbed.rows import Outcome, Row
from rollout.testbed.tables import TABLES, history, transaction
from rollout.testbed.validation import Problem, Reason, write_value


def delete_rows(connection: Connection, entity: Entity, rows: Mapping[int, Row], by: str) -> dict[int, Outcome]:
    """Delete the records that rows name by id or key; outcomes under the rows' numbers. Gone already is deleted."""
    if not rows:
        return {}
    found = _locked(connection, entity, rows.values())
    by_key = {record["migration_key"]: record for record in found.values()}
    outcomes: dict[int, Outcome] = {}
    doomed: dict[int, dict[str, Any]] = {}
    for index, row in rows.items():
        record = found.get(parse_id(entity, row.id) or 0) if row.id is not None else by_key.get(row.key)
        if record is None:
            outcomes[index] = Outcome(row, Status.DELETED, row.id)
        elif problem := _conflict(row, record):
            outcomes[index] = _kept(entity, row, record, Status.CONFLICT, problem)
        else:
            doomed[index] = record
    # The records are locked, so nobody can begin to refer to them meanwhile.
    referred_to = reading.referred_to(connection, entity, [record["id"] for record in doomed.values()])
    gone: dict[int, dict[str, Any]] = {}
    for index, record in doomed.items():
        if child := referred_to.get(record["id"]):
            problem = Problem(Reason.REFERENCED, f"{child.label} still refer to it")
            outcomes[index] = _kept(entity, rows[index], record, Status.REJECTED, problem)
        else:
            gone[index] = record
            outcomes[index] = Outcome(rows[index], Status.DELETED, format_id(entity, record["id"]), record["version"])
    if gone:
        table = TABLES[entity.name]
        connection.execute(table.delete().where(table.c.id.in_([record["id"] for record in gone.values()])))
        connection.execute(insert(history), [_entry(entity, record, by) for record in gone.values()])
    return outcomes


def delete_record(engine: Engine, entity: Entity, number: int, by: str) -> Problem | None:
    """Delete one record as a user does; None if that is done."""
    table = TABLES[entity.name]
    try:
        with transaction(engine) as connection:
            deleted = connection.execute(table.delete().where(table.c.id == number).returning(table)).mappings().first()
            if deleted is None:
                return Problem(Reason.NOT_FOUND, f"no {entity.label} '{format_id(entity, number)}'")
            connection.execute(insert(history).values(_entry(entity, dict(deleted), by)))
    except IntegrityError as error:
        child = ENTITIES.get(getattr(getattr(error.orig, "diag", None), "table_name", None) or "")
        return Problem(Reason.REFERENCED, f"{child.label if child else 'other records'} still refer to it")
    return None


def _conflict(row: Row, record: Mapping[str, Any]) -> Problem | None:
    """Why the record is not the one that the row means to delete."""
    if row.expected_version is not None and row.expected_version != record["version"]:
        return Problem(
            Reason.VERSION_CHANGED, f"version is {record['version']}, last changed by {record['modified_by']}"
        )
    if row.key != record["migration_key"]:
        return Problem(Reason.KEY_EXISTS, "the record does not have this migration key")
    return None


def _locked(connection: Connection, entity: Entity, rows: Iterable[Row]) -> dict[int, dict[str, Any]]:
    table = TABLES[entity.name]
    rows = list(rows)
    numbers = [number for row in rows if row.id is not None and (number := parse_id(entity, row.id)) is not None]
    keys = [row.key for row in rows if row.id is None]
    statement = select(table).where(or_(table.c.id.in_(numbers), table.c.migration_key.in_(keys)))
    found = connection.execute(statement.order_by(table.c.id).with_for_update()).mappings()
    return {record["id"]: dict(record) for record in found}


def _kept(entity: Entity, row: Row, record: Mapping[str, Any], status: Status, problem: Problem) -> Outcome:
    return Outcome(row, status, format_id(entity, record["id"]), record["version"], problem)


def _entry(entity: Entity, record: Mapping[str, Any], by: str) -> dict[str, Any]:
    """The history's last entry of a record."""
    changes = {
        field.name: [write_value(field, record[field.name]), None]
        for field in entity.fields
        if record[field.name] is not None
    }
    return {"entity": entity.name, "record_id": record["id"], "by": by, "action": "delete", "changes": changes}
