"""Storing rows: validated, unique by key, with a history, each row for itself."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError

from rollout.testbed import distortion, linkage, reading, removing
from rollout.testbed.entities import ADMINISTRATORS, Entity, Field, format_id, parse_id
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.messages import Operation, Record, Status
from rollout.testbed.rows import Outcome, Row
from rollout.testbed.tables import TABLES, history, transaction, users
from rollout.testbed.validation import (
    Json,
    Problem,
    Reason,
    Refused,
    Stored,
    complete,
    no_such_owner,
    no_such_reference,
    read_fields,
    write_value,
)


def write_rows(
    engine: Engine, entity: Entity, rows: Sequence[Row], by: str, *, return_records: bool = False, quiet: bool = False
) -> list[Outcome]:
    """Store rows of different keys; one outcome a row, in their order. Committed when this returns.

    All rows go in one set-wise transaction. Should the database refuse it (a reference deleted meanwhile, say),
    they are stored again one by one, each under its own savepoint, so that only the row at fault is lost. ``quiet``
    rows set off none of the CRM's rules.
    """
    try:
        with transaction(engine) as connection:
            done = _Batch(connection, entity, by, return_records=return_records, quiet=quiet).store(rows)
            return _with_records(connection, entity, done) if return_records else done
    except (IntegrityError, DataError, Refused):
        with transaction(engine) as connection:
            done = [_store_alone(connection, entity, row, by, quiet=quiet) for row in rows]
            return _with_records(connection, entity, done) if return_records else done


def _with_records(connection: Connection, entity: Entity, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Read the records that are not told yet, behind the rules, which may have changed them once more."""
    stored = {
        done.id: parse_id(entity, done.id)
        for done in outcomes
        if done.problem is None and done.id and done.record is None and done.status is not Status.DELETED
    }
    if not stored:
        return list(outcomes)
    numbers = [number for number in stored.values() if number is not None]
    records = {record.id: record.__dict__ for record in reading.by_ids(connection, entity, numbers)}
    return [replace(done, record=records.get(done.id)) if done.id in stored else done for done in outcomes]


def write_one(engine: Engine, entity: Entity, row: Row, by: str) -> tuple[Outcome, Record | None]:
    """Store one row; what became of it, and the record as it is stored then."""
    with transaction(engine) as connection:
        done = _store_alone(connection, entity, row, by)
        number = parse_id(entity, done.id or "")
        return done, reading.by_id(connection, entity, number) if number is not None else None


def _store_alone(connection: Connection, entity: Entity, row: Row, by: str, *, quiet: bool = False) -> Outcome:
    try:
        with connection.begin_nested():
            return _Batch(connection, entity, by, quiet=quiet).store([row])[0]
    except (IntegrityError, DataError) as error:
        return _refused_by_database(row, error)
    except Refused as refusal:
        return Outcome(row, Status.REJECTED, row.id, problem=refusal.problem)


def _refused_by_database(row: Row, error: IntegrityError | DataError) -> Outcome:
    """Validation ran before, so only what changed in between, or what it cannot see, arrives here."""
    state = getattr(error.orig, "sqlstate", None)
    if state == "23505":  # unique_violation
        return Outcome(row, Status.CONFLICT, problem=Problem(Reason.KEY_EXISTS, "another record holds the key"))
    if state == "23503" and row.op is Operation.DELETE:  # foreign_key_violation
        return Outcome(row, Status.REJECTED, row.id, problem=Problem(Reason.REFERENCED, "other records refer to it"))
    if state == "23503":
        return Outcome(row, Status.REJECTED, problem=Problem(Reason.REFERENCE_MISSING, "a record pointed to is gone"))
    return Outcome(row, Status.REJECTED, problem=Problem(Reason.WRONG_TYPE, "the database refused the values"))


class _Batch:
    """Stores rows in the transaction of ``connection``."""

    def __init__(
        self, connection: Connection, entity: Entity, by: str, *, return_records: bool = False, quiet: bool = False
    ) -> None:
        self._connection = connection
        self._entity = entity
        self._table = TABLES[entity.name]
        self._by = by
        self._outcomes: dict[int, Outcome] = {}
        self._history: list[dict[str, Any]] = []
        self._rules = () if quiet else linkage.watching(connection, entity)
        # What rules may still change must be read behind them.
        self._tells_created = return_records and not self._rules
        self._changes: list[linkage.Change] = []

    def store(self, rows: Sequence[Row]) -> list[Outcome]:
        """One outcome a row, in their order."""
        values: dict[int, dict[str, Stored]] = {}
        doomed = {index: row for index, row in enumerate(rows) if row.op is Operation.DELETE}
        for index, row in enumerate(rows):
            if index in doomed:
                continue
            try:
                read = read_fields(self._entity, row.fields)
                is_new = row.op is Operation.CREATE
                read = distortion.spoil(self._entity, read, is_new=is_new)
                values[index] = complete(self._entity, read) if is_new else read
            except Refused as refusal:
                self._refuse(index, row, refusal.problem)
        self._refuse_reserved(rows, values)
        self._refuse_dangling(rows, values)
        self._create(rows, {index: read for index, read in values.items() if rows[index].op is Operation.CREATE})
        self._update(rows, {index: read for index, read in values.items() if rows[index].op is not Operation.CREATE})
        self._outcomes |= removing.delete_rows(self._connection, self._entity, doomed, self._by)
        if self._history:
            self._connection.execute(insert(history), self._history)
        if self._changes:
            linkage.apply(self._connection, self._rules, self._changes, self._create_for)
        return [self._outcomes[index] for index in range(len(rows))]

    def _create_for(self, entity: Entity, by: str, fields: Mapping[str, Json]) -> int:
        """Store a record that a rule asks for; raises Refused if it will not do."""
        [done] = _Batch(self._connection, entity, by).store([Row(None, Operation.CREATE, fields)])
        number = parse_id(entity, done.id or "")
        if done.status is not Status.CREATED or number is None:
            problem = done.problem or Problem(Reason.NOT_FOUND, "not stored")
            raise Refused(problem.reason, f"the {entity.label} that follows from it: {problem.message}")
        return number

    def _refuse(self, index: int, row: Row, problem: Problem) -> None:
        self._outcomes[index] = Outcome(row, Status.REJECTED, row.id, problem=problem)

    def _refuse_reserved(self, rows: Sequence[Row], values: dict[int, dict[str, Stored]]) -> None:
        """Take out rows with fields that only administrators may set, unless the author is one."""
        reserved = self._entity.reserved
        named = (
            {index: names for index in values if (names := reserved & rows[index].fields.keys())} if reserved else {}
        )
        if named and not self._is_administrator():
            for index, names in named.items():
                del values[index]
                problem = Problem(Reason.READ_ONLY_FIELD, f"only administrators may set {min(names)}")
                self._refuse(index, rows[index], problem)

    def _is_administrator(self) -> bool:
        role = self._connection.scalar(select(users.c.role).where(users.c.login == self._by))
        return role in ADMINISTRATORS

    def _refuse_dangling(self, rows: Sequence[Row], values: dict[int, dict[str, Stored]]) -> None:
        """Take out rows that point to nothing; the records that others point to are locked against deletion."""
        for field in self._entity.fields:
            if not (field.references or field.user_login):
                continue
            wanted = {read[field.name] for read in values.values() if read.get(field.name) is not None}
            missing = wanted - self._existing(field, wanted) if wanted else set()
            for index in [index for index, read in values.items() if missing and read.get(field.name) in missing]:
                del values[index]
                refusal = no_such_reference if field.references else no_such_owner
                self._refuse(index, rows[index], refusal(field, rows[index].fields[field.name]).problem)

    def _existing(self, field: Field, wanted: Iterable[Stored]) -> set[Stored]:
        if field.references:
            parent = TABLES[field.references].c.id
            statement = select(parent).where(parent.in_(wanted)).order_by(parent)
            return set(self._connection.scalars(statement.with_for_update(key_share=True, read=True)))
        return set(self._connection.scalars(select(users.c.login).where(users.c.active)))

    def _create(self, rows: Sequence[Row], values: dict[int, dict[str, Stored]]) -> None:
        if not values:
            return
        # In the order of their keys, so that two batches with the same keys wait for each other instead of deadlocking.
        order = sorted(values, key=lambda index: rows[index].key or "")
        # What no row has a value for is left to the table: each parameter of a statement takes its time.
        names = [field.name for field in self._entity.fields]
        used = [name for name in names if any(values[index][name] is not None for index in order)]
        parameters = [
            {name: values[index][name] for name in used} | {"migration_key": rows[index].key, "modified_by": self._by}
            for index in order
        ]
        if distortion.suffers(Fault.PERMITS_DUPLICATES):
            parameters = [row | {"twin": 1 + secrets.randbelow(2**31 - 1)} for row in parameters]
        statement = insert(self._table).on_conflict_do_nothing(index_elements=["migration_key", "twin"])
        columns = self._table.c if self._tells_created else (self._table.c.migration_key, self._table.c.id)
        inserted = reading.rows(self._connection.execute(statement.returning(*columns), parameters))
        stored = {row["migration_key"]: row for row in inserted}
        lost = [rows[index].key for index in order if rows[index].key not in stored]
        holders = self._holders(lost) if lost else {}
        for index in order:
            row = rows[index]
            if row.key in stored:
                number = stored[row.key]["id"]
                record = reading.shown(self._entity, stored[row.key]) if self._tells_created else None
                self._outcomes[index] = Outcome(row, Status.CREATED, format_id(self._entity, number), 1, record=record)
                self._note(number, "create", {name: (None, value) for name, value in values[index].items()})
                self._remember(number, values[index] | {"modified_by": self._by}, values[index], is_new=True)
            else:
                holder = holders.get(row.key)
                problem = Problem(Reason.KEY_EXISTS, "another record holds this migration key")
                target_id = format_id(self._entity, holder) if holder is not None else None
                self._outcomes[index] = Outcome(row, Status.CONFLICT, target_id, problem=problem)

    def _holders(self, keys: Sequence[str | None]) -> dict[str | None, int]:
        key, number = self._table.c.migration_key, self._table.c.id
        found = self._connection.execute(select(key, number).where(key.in_(keys)))
        return {row.migration_key: row.id for row in found}

    def _update(self, rows: Sequence[Row], values: dict[int, dict[str, Stored]]) -> None:
        if not values:
            return
        numbers = {index: parse_id(self._entity, rows[index].id or "") for index in values}
        keys = [rows[index].key for index in values if rows[index].key is not None]
        table = self._table
        found = self._connection.execute(
            select(table)
            .where(or_(table.c.id.in_([n for n in numbers.values() if n is not None]), table.c.migration_key.in_(keys)))
            .order_by(table.c.id)
            .with_for_update()
        )
        records = {record["id"]: dict(record) for record in found.mappings()}
        holders = {record["migration_key"]: number for number, record in records.items() if record["migration_key"]}
        changed: dict[int, dict[str, Any]] = {}
        for index, read in values.items():
            row = rows[index]
            number = numbers[index] if row.id is not None else holders.get(row.key)
            record = records.get(number) if number is not None else None
            if record is None:
                self._refuse(index, row, Problem(Reason.NOT_FOUND, f"no {self._entity.label} '{row.id or row.key}'"))
            elif conflict := _conflict(row, record, holders):
                target_id = format_id(self._entity, record["id"])
                self._outcomes[index] = Outcome(row, Status.CONFLICT, target_id, record["version"], conflict)
            elif self._change(index, row, record, read):
                changed[record["id"]] = record
                holders[record["migration_key"]] = record["id"]
        if changed:
            self._save(changed.values())

    def _change(self, index: int, row: Row, record: dict[str, Any], read: Mapping[str, Stored]) -> bool:
        """Put the values into ``record``; whether anything is different now."""
        changes = {name: (record[name], value) for name, value in read.items() if record[name] != value}
        key = None if row.op is Operation.RELEASE else row.key or record["migration_key"]
        old_key = record["migration_key"]
        target_id = format_id(self._entity, record["id"])
        if not changes and key == old_key:
            self._outcomes[index] = Outcome(row, Status.UNCHANGED, target_id, record["version"])
            return False
        if distortion.suffers(Fault.DROPPED_UPDATE):
            self._outcomes[index] = Outcome(row, Status.UPDATED, target_id, record["version"] + 1)
            return False
        record.update({name: new for name, (_, new) in changes.items()})
        record["version"] += 1
        record["migration_key"] = key
        self._outcomes[index] = Outcome(row, Status.UPDATED, target_id, record["version"])
        self._note(record["id"], "update", changes, keys=(old_key, key))
        self._remember(record["id"], record | {"modified_by": self._by}, changes)
        return True

    def _remember(
        self, number: int, record: Mapping[str, Any], touched: Collection[str], *, is_new: bool = False
    ) -> None:
        """For the rules, where there are any."""
        if self._rules:
            self._changes.append(linkage.Change(number, record, touched, is_new))

    def _save(self, records: Iterable[dict[str, Any]]) -> None:
        """Whole rows: they are locked and their values known, and one statement serves all."""
        columns = [*(field.name for field in self._entity.fields), "migration_key", "version"]
        statement = (
            update(self._table)
            .where(self._table.c.id == bindparam("b_id"))
            .values(
                {name: bindparam(f"b_{name}") for name in columns}
                | {"modified_by": self._by, "modified_at": func.now()}
            )
        )
        self._connection.execute(
            statement, [{f"b_{name}": record[name] for name in ("id", *columns)} for record in records]
        )

    def _note(
        self,
        number: int,
        action: str,
        changes: Mapping[str, tuple[Stored, Stored]],
        *,
        keys: tuple[str | None, str | None] = (None, None),
    ) -> None:
        fields = {field.name: field for field in self._entity.fields}
        noted: dict[str, list[Json]] = {
            name: [write_value(fields[name], old), write_value(fields[name], new)]
            for name, (old, new) in changes.items()
            if old is not None or new is not None
        }
        if keys[0] != keys[1]:
            noted["migration_key"] = list(keys)
        self._history.append(
            {"entity": self._entity.name, "record_id": number, "by": self._by, "action": action, "changes": noted}
        )


def _conflict(row: Row, record: Mapping[str, Any], holders: Mapping[str, int]) -> Problem | None:
    if row.expected_version is not None and row.expected_version != record["version"]:
        return Problem(
            Reason.VERSION_CHANGED, f"version is {record['version']}, last changed by {record['modified_by']}"
        )
    if row.key is not None and row.key != record["migration_key"]:
        if record["migration_key"] is not None:
            return Problem(Reason.KEY_EXISTS, "the record has another migration key")
        if row.key in holders:
            return Problem(Reason.KEY_EXISTS, "another record holds this migration key")
    return None
