"""A target that lives in this process: the reference connector, held to the same laws as the real ones.

It validates, versions and refuses as a CRM does, and keeps nothing once the process ends. Connectors that name the same
``store`` share their records. Tests and the journal's benchmark load into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError

from rollout.connectors.base import Capabilities, Op, RecordLink, RowResult, RowStatus, TargetRecord, WriteRow
from rollout.connectors.memory_store import Stored, Table, forget_store, shared_store
from rollout.connectors.memory_values import MemoryField, Problem, checker, missing, no_empty_text
from rollout.connectors.reasons import Reason
from rollout.errors import ConfigError, Fatal, OutcomeUnknown, Retryable, UnsupportedOperation
from rollout.model.base import Frozen
from rollout.model.entity import FieldType, TargetField, TargetSchema, Values
from rollout.model.finding import Finding, Level

__all__ = ["MemoryConnector", "MemoryFault", "MemoryField", "MemoryOptions", "forget_store"]

KEY_FIELD = "migration_key"


class MemoryFault(StrEnum):
    """What `MemoryConnector.fail_next` can do to a write."""

    LOST_ANSWER = "lost_answer"
    """Everything is stored, the answer is lost: OutcomeUnknown."""
    LOST_CALL = "lost_call"
    """Nothing is stored, but the caller cannot know: OutcomeUnknown."""
    BUSY = "busy"
    """Refused before anything was stored: Retryable."""


class MemoryOptions(Frozen):
    """Options of a system with ``connector: memory``."""

    entities: dict[str, dict[str, MemoryField]] = Field(min_length=1, description="Schema: fields by entity.")
    store: str | None = Field(default=None, description="Connectors naming the same store share their records.")
    max_batch_rows: int = Field(default=200, ge=1)
    max_read_keys: int = Field(default=1000, ge=1)
    concurrency: int = Field(default=4, ge=1)
    enforces_unique: bool = True
    conditional_update: bool = True
    returns_stored: bool = False
    can_delete: bool = True
    has_key_field: bool = Field(default=True, description="False: the target was not prepared for a migration.")
    password: SecretStr = Field(default=SecretStr(""), description="Refused unless it is the one that is asked for.")
    asked_password: SecretStr = SecretStr("")
    user: str = Field(default="migration", description="Who writes; readers see it as `modified_by`.")


class MemoryConnector:
    """Connector, TargetReader, Writer, Remover and LinkReader over records in memory.

    Args:
        name: The system's name in the project.
        options: See `MemoryOptions`. Raises ConfigError when they are wrong.
        base_dir: Unused; all connectors are constructed alike.
    """

    def __init__(self, *, name: str, options: Mapping[str, Any], base_dir: Path) -> None:
        del base_dir
        try:
            self.options = MemoryOptions.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{first['msg']} ({key})", where=f"systems.{name}.options", hint="correct it") from error
        self.name = name
        self.capabilities = Capabilities(
            max_batch_rows=self.options.max_batch_rows,
            max_read_keys=self.options.max_read_keys,
            concurrency=self.options.concurrency,
            external_id_field=KEY_FIELD,
            enforces_unique=self.options.enforces_unique,
            conditional_update=self.options.conditional_update,
            returns_stored=self.options.returns_stored,
            can_delete=self.options.can_delete,
        )
        self._store = shared_store(self.options.store)
        self._faults: list[tuple[MemoryFault, float]] = []
        self._checks = {
            entity: tuple((name, check) for name, spec in fields.items() if (check := checker(spec)))
            for entity, fields in self.options.entities.items()
        }
        self._empty: dict[str, dict[str, str | None]] = {
            entity: dict.fromkeys(fields) for entity, fields in self.options.entities.items()
        }
        self._required = {
            entity: tuple(name for name, spec in fields.items() if spec.required)
            for entity, fields in self.options.entities.items()
        }
        self._references = {
            entity: tuple((name, spec.references) for name, spec in fields.items() if spec.references)
            for entity, fields in self.options.entities.items()
        }

    # --- Connector ---

    def check(self) -> list[Finding]:
        """Memory is always reachable; it may ask for another password, or lack the key field."""
        where = f"systems.{self.name}"
        try:
            self._logged_in()
        except Fatal as error:
            return [Finding(id="connector.refused", level=Level.ERROR, message=error.message, where=where)]
        if self.options.has_key_field:
            return []
        message = f"the target has no field {KEY_FIELD}"
        return [Finding(id="connector.migration_key_missing", level=Level.ERROR, message=message, where=where)]

    def describe(self) -> TargetSchema:
        """The schema of the options, and the key field."""
        return TargetSchema(
            entities={
                entity: {
                    **{name: TargetField(name=name, **spec.model_dump()) for name, spec in fields.items()},
                    KEY_FIELD: TargetField(
                        name=KEY_FIELD, type=FieldType.TEXT, unique=self.capabilities.enforces_unique
                    ),
                }
                for entity, fields in self.options.entities.items()
            }
        )

    def close(self) -> None:
        """Nothing to release; the records stay while the store is referred to."""

    # --- TargetReader ---

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        """Records by migration key; keys that no record holds are absent."""
        self._known(entity)
        if len(migration_keys) > self.capabilities.max_read_keys:
            raise UnsupportedOperation(
                f"{len(migration_keys)} keys in one read, {self.capabilities.max_read_keys} are allowed",
                where=self.name,
            )
        with self._store.lock:
            table = self._store.table(entity)
            return {
                key: [_as_record(entity, table.records[target_id]) for target_id in ids]
                for key in migration_keys
                if (ids := table.keys.get(key))
            }

    def read_by_ids(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        """Records by target id; those that do not exist are absent."""
        self._known(entity)
        if len(target_ids) > self.capabilities.max_read_keys:
            raise UnsupportedOperation(
                f"{len(target_ids)} ids in one read, {self.capabilities.max_read_keys} are allowed", where=self.name
            )
        with self._store.lock:
            records = self._store.table(entity).records
            return {
                target_id: _as_record(entity, records[target_id]) for target_id in target_ids if target_id in records
            }

    def links_to(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, Sequence[RecordLink]]:
        """The records that refer to these, by target id."""
        self._known(entity)
        wanted = set(target_ids)
        found: dict[str, list[RecordLink]] = {}
        with self._store.lock:
            for child, references in self._references.items():
                for stored in self._store.table(child).records.values():
                    held = {stored.values[name] for name, parent in references if parent == entity} & wanted
                    for target_id in held:
                        link = RecordLink(child, stored.target_id, stored.migration_key, stored.modified_by)
                        found.setdefault(str(target_id), []).append(link)
        return found

    def read_all(self, entity: str) -> Iterator[TargetRecord]:
        """Every record as it is when the iteration starts, in the order of creation."""
        self._known(entity)
        with self._store.lock:
            records = [_as_record(entity, stored) for stored in self._store.table(entity).records.values()]
        yield from records

    def count(self, entity: str) -> int:
        """Records held."""
        self._known(entity)
        return len(self._store.table(entity).records)

    # --- Writer ---

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        """Apply a batch row by row; a refused row does not stop the others."""
        self._known(entity)
        self._refuse_misuse(rows)
        with self._store.lock:
            fault, retry_after_s = self._faults.pop(0) if self._faults else (None, None)
            if fault is MemoryFault.BUSY:
                raise Retryable("the target is busy", where=self.name, retry_after_s=retry_after_s)
            if fault is MemoryFault.LOST_CALL:
                raise OutcomeUnknown("no answer", where=self.name)
            table = self._store.table(entity)
            carry_out = {
                Op.CREATE: self._create,
                Op.UPDATE: self._update,
                Op.DELETE: self._delete,
                Op.RELEASE: self._update,
            }
            results = [carry_out[row.op](entity, table, row) for row in rows]
            if self.options.returns_stored:
                results = [self._with_stored(entity, table, result) for result in results]
        if fault is MemoryFault.LOST_ANSWER:
            raise OutcomeUnknown("no answer", where=self.name)
        return results

    def _refuse_misuse(self, rows: Sequence[WriteRow]) -> None:
        allowed = self.capabilities
        if len(rows) > allowed.max_batch_rows:
            raise UnsupportedOperation(
                f"{len(rows)} rows in one call, {allowed.max_batch_rows} are allowed", where=self.name
            )
        if len({row.migration_key for row in rows}) != len(rows):
            raise UnsupportedOperation("a migration key occurs twice in one call", where=self.name)
        if not allowed.can_delete and any(row.op in (Op.DELETE, Op.RELEASE) for row in rows):
            raise UnsupportedOperation("this target deletes nothing", where=self.name)
        if not allowed.conditional_update and any(row.expected_version is not None for row in rows):
            raise UnsupportedOperation("this target compares no versions", where=self.name)

    # --- Remover ---

    def read_by_key_prefix(self, entity: str, prefix: str) -> Iterator[TargetRecord]:
        """Records whose migration key begins with ``prefix``, in the order of creation."""
        if not prefix:
            raise UnsupportedOperation("an empty beginning would be every record", where=self.name)
        yield from (record for record in self.read_all(entity) if (record.migration_key or "").startswith(prefix))

    def delete(self, entity: str, target_ids: Sequence[str]) -> None:
        """Delete records; one that is gone already is done. Raises Fatal for one that others refer to."""
        self._known(entity)
        with self._store.lock:
            for target_id in target_ids:
                if self._is_referred_to(entity, target_id):
                    raise Fatal(f"other records refer to '{target_id}'", where=self.name, hint="delete those first")
                if target_id in self._store.table(entity).records:
                    self.remove(entity, target_id)

    def _is_referred_to(self, entity: str, target_id: str) -> bool:
        return any(
            stored.values[name] == target_id
            for child, references in self._references.items()
            for name, parent in references
            if parent == entity
            for stored in self._store.table(child).records.values()
        )

    # --- what people and accidents do; for tests ---

    def fail_next(self, *faults: MemoryFault, retry_after_s: float = 0.01) -> None:
        """Let the next writes through this connector fail, one fault a call; busy ones ask to wait so long."""
        with self._store.lock:
            self._faults.extend((fault, retry_after_s) for fault in faults)

    def edit(self, entity: str, target_id: str, values: Values, *, user: str) -> None:
        """Change a record as a person would, past the rules for migrations. KeyError if it does not exist."""
        with self._store.lock:
            stored = self._store.table(entity).records[target_id]
            stored.values = {**stored.values, **values}
            stored.version += 1
            stored.modified_by, stored.modified_at = user, datetime.now(UTC)

    def add(self, entity: str, values: Values, *, user: str) -> str:
        """Create a record without migration key, as a person would; its id."""
        with self._store.lock:
            stored = self._insert(self._store.table(entity), None, {**self._empty[entity], **values}, user)
            return stored.target_id

    def remove(self, entity: str, target_id: str) -> None:
        """Delete a record as a person would. KeyError if it does not exist."""
        with self._store.lock:
            table = self._store.table(entity)
            stored = table.records.pop(target_id)
            if stored.migration_key is not None:
                table.keys[stored.migration_key].remove(target_id)

    # --- inside ---

    def _logged_in(self) -> None:
        if self.options.password != self.options.asked_password:
            raise Fatal("wrong password", where=self.name, hint="check the options")

    def _known(self, entity: str) -> None:
        self._logged_in()
        if entity not in self.options.entities:
            raise Fatal(
                f"there is no entity '{entity}'", where=self.name, hint=f"known: {', '.join(self.options.entities)}"
            )

    def _create(self, entity: str, table: Table, row: WriteRow) -> RowResult:
        if self.capabilities.enforces_unique and (holders := table.keys.get(row.migration_key)):
            return _answer(row, RowStatus.CONFLICT, holders[0], (Reason.KEY_EXISTS, "a record holds this key"))
        values = {**self._empty[entity], **no_empty_text(row.values)}
        if problem := self._problem(entity, values) or missing(self._required[entity], values):
            return _answer(row, RowStatus.REJECTED, None, problem)
        stored = self._insert(table, row.migration_key, values, self.options.user)
        return RowResult(row.migration_key, RowStatus.CREATED, stored.target_id)

    def _insert(self, table: Table, key: str | None, values: dict[str, str | None], user: str) -> Stored:
        now = datetime.now(UTC)
        stored = Stored(f"M{next(self._store.ids)}", key, values, 1, user, now, now)
        table.records[stored.target_id] = stored
        if key is not None:
            table.keys.setdefault(key, []).append(stored.target_id)
        return stored

    def _update(self, entity: str, table: Table, row: WriteRow) -> RowResult:
        stored = table.records.get(row.target_id or "")
        if stored is None:
            return _answer(row, RowStatus.REJECTED, None, (Reason.NOT_FOUND, f"no record '{row.target_id}'"))
        if row.expected_version is not None and row.expected_version != str(stored.version):
            changed = (Reason.VERSION_CHANGED, f"changed by {stored.modified_by} since it was read")
            return _answer(row, RowStatus.CONFLICT, stored.target_id, changed)
        if stored.migration_key != row.migration_key and (
            stored.migration_key is not None or table.keys.get(row.migration_key)
        ):
            return _answer(row, RowStatus.CONFLICT, stored.target_id, (Reason.KEY_EXISTS, "the key is another's"))
        changes = no_empty_text(row.values)
        values = {**stored.values, **changes}
        if problem := self._problem(entity, changes) or missing(self._required[entity], values):
            return _answer(row, RowStatus.REJECTED, stored.target_id, problem)
        ours = row.op is not Op.RELEASE
        if values == stored.values and (stored.migration_key == row.migration_key) is ours:
            return RowResult(row.migration_key, RowStatus.UNCHANGED, stored.target_id)
        if stored.migration_key is None and ours:
            stored.migration_key = row.migration_key
            table.keys.setdefault(row.migration_key, []).append(stored.target_id)
        elif not ours and stored.migration_key is not None:
            table.keys[stored.migration_key].remove(stored.target_id)
            stored.migration_key = None
        stored.values = values
        stored.version += 1
        stored.modified_by, stored.modified_at = self.options.user, datetime.now(UTC)
        return RowResult(row.migration_key, RowStatus.UPDATED, stored.target_id)

    def _delete(self, entity: str, table: Table, row: WriteRow) -> RowResult:
        target_id = row.target_id or ""
        stored = table.records.get(target_id)
        if stored is None:
            return RowResult(row.migration_key, RowStatus.DELETED, target_id)
        if row.expected_version is not None and row.expected_version != str(stored.version):
            changed = (Reason.VERSION_CHANGED, f"changed by {stored.modified_by} since it was read")
            return _answer(row, RowStatus.CONFLICT, target_id, changed)
        if stored.migration_key != row.migration_key:
            return _answer(row, RowStatus.CONFLICT, target_id, (Reason.KEY_EXISTS, "the record has another key"))
        if self._is_referred_to(entity, target_id):
            return _answer(row, RowStatus.REJECTED, target_id, (Reason.REFERENCED, "other records refer to it"))
        self.remove(entity, target_id)
        return RowResult(row.migration_key, RowStatus.DELETED, target_id)

    def _with_stored(self, entity: str, table: Table, result: RowResult) -> RowResult:
        if result.status not in (RowStatus.CREATED, RowStatus.UPDATED, RowStatus.UNCHANGED) or not result.target_id:
            return result
        return replace(result, stored=_as_record(entity, table.records[result.target_id]))

    def _problem(self, entity: str, values: Values) -> Problem | None:
        """The first thing wrong with the values named."""
        if not values.keys() <= self._empty[entity].keys():
            unknown = sorted(values.keys() - self._empty[entity].keys())
            return Reason.UNKNOWN_FIELD, f"{entity} has no field '{unknown[0]}'"
        for name, check in self._checks[entity]:
            value = values.get(name)
            if value is not None and (problem := check(name, value)):
                return problem
        for name, parent in self._references[entity]:
            target_id = values.get(name)
            if target_id is not None and target_id not in self._store.table(parent).records:
                return Reason.REFERENCE_MISSING, f"{name}: no {parent} '{target_id}'"
        return None


def _answer(row: WriteRow, status: RowStatus, target_id: str | None, problem: Problem) -> RowResult:
    reason, message = problem
    return RowResult(row.migration_key, status, target_id, reason.value, message)


def _as_record(entity: str, stored: Stored) -> TargetRecord:
    return TargetRecord(
        entity,
        stored.migration_key,
        stored.target_id,
        stored.values,
        str(stored.version),
        stored.modified_by,
        stored.created_at,
        stored.modified_at,
    )
