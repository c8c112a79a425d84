"""Connectors with one defect each, as real ones have had them. Every law must catch one, every one must be caught."""

# ruff: noqa: D102 - what the methods promise is said by the protocols; what they do wrong, by each class

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rollout.connectors.base import Op, RowResult, RowStatus, TargetRecord, WriteRow
from rollout.connectors.memory import MemoryConnector, MemoryFault
from rollout.connectors.testing.harness import Harness
from rollout.connectors.testing.mutants_failing import FAILING_MUTANTS
from rollout.connectors.testing.mutants_removing import REMOVING_MUTANTS
from rollout.connectors.testing.mutants_undoing import UNDOING_MUTANTS
from rollout.connectors.testing.mutants_values import VALUE_MUTANTS, ChangedRows
from rollout.errors import UnsupportedOperation
from rollout.model.entity import TargetSchema
from rollout.model.finding import Finding, Level

_OPTIONS = {
    "max_batch_rows": 20,
    "returns_stored": True,
    "entities": {
        "account": {
            "name": {"required": True, "max_length": 200},
            "region": {"type": "picklist", "picklist": ["华东", "华南"]},
            "employees": {"type": "integer"},
            "revenue": {"type": "decimal"},
            "active": {"type": "boolean"},
            "since": {"type": "date"},
            "remark": {},
        },
        "contact": {"name": {"required": True}, "account": {"type": "reference", "references": "account"}},
    },
}


def memory_harness(make: Callable[..., MemoryConnector] = MemoryConnector) -> Harness:
    """A harness over a fresh memory target, or over a mutant of it."""
    store = {"store": f"laws-{uuid.uuid4()}"}

    def other(**options: object) -> MemoryConnector:
        return make(name="memory", options=_OPTIONS | store | options, base_dir=Path())

    target = other()
    return Harness(
        target=target,
        entity="account",
        sample=lambda number: {
            "name": f"虚构客户 {number}",
            "region": "华东" if number % 2 else "华南",
            "employees": str(number),
            "revenue": f"{number}.5",
            "active": "true" if number % 2 else "false",
            "since": f"2001-02-{number % 28 + 1:02}",
            "remark": None,
        },
        spoilt=("region", "火星"),
        text_field="remark",
        reference=("contact", "account", lambda parent: {"name": "虚构联系人", "account": parent}),
        edit=lambda target_id, values: target.edit("account", target_id, values, user="zhang.wei"),
        remove=lambda target_id: target.remove("account", target_id),
        add=lambda values: target.add("account", values, user="zhang.wei"),
        lose_next_answer=lambda: target.fail_next(MemoryFault.LOST_ANSWER),
        refuse_next_call=lambda: target.fail_next(MemoryFault.BUSY),
        limit_next_call=lambda seconds: target.fail_next(MemoryFault.BUSY, retry_after_s=seconds),
        with_secret=lambda secret: other(password=secret),
        unprepared=lambda: other(has_key_field=False),
        incapable={
            "can_delete": lambda: other(can_delete=False),
            "conditional_update": lambda: other(conditional_update=False),
        },
    )


class FindsErrorsWhereNoneAre(MemoryConnector):
    """Check cries wolf."""

    def check(self) -> list[Finding]:
        return [Finding(id="mutant", level=Level.ERROR, message="unreachable")]


class ForgetsAFieldInDescribe(MemoryConnector):
    """Describe is incomplete."""

    def describe(self) -> TargetSchema:
        schema = super().describe()
        entities = {e: {n: f for n, f in fields.items() if n != "remark"} for e, fields in schema.entities.items()}
        return TargetSchema(entities=entities)


class SwapsTwoOutcomes(MemoryConnector):
    """Each row gets its neighbour's outcome."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        results = list(super().write(entity, rows))
        keys = [result.migration_key for result in results]
        return [replace(result, migration_key=key) for result, key in zip(results, keys[1:] + keys[:1], strict=True)]


class AnswersByPositionOfTheStored(MemoryConnector):
    """Rejected rows come last in the answer, and keys are dealt out by position."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        results = sorted(super().write(entity, rows), key=lambda result: result.status is RowStatus.REJECTED)
        return [replace(result, migration_key=row.migration_key) for result, row in zip(results, rows, strict=True)]


class DropsTheLastRow(MemoryConnector):
    """The last row of a batch is neither stored nor answered."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return super().write(entity, rows[:-1] if len(rows) > 1 else rows)


class SaysCreatedWithoutStoring(MemoryConnector):
    """Beyond ten rows a batch is answered, not stored."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        kept = super().write(entity, rows[:10]) if len(rows) <= self.capabilities.max_batch_rows else []
        return [*kept, *(RowResult(row.migration_key, RowStatus.CREATED, "M0") for row in rows[len(kept) :])]


class StoresWhatFitsOfTooMuch(MemoryConnector):
    """A batch that is too large is cut, and the rest refused."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        limit = self.capabilities.max_batch_rows
        results = super().write(entity, rows[:limit])
        if len(rows) > limit:
            raise UnsupportedOperation("too many rows")
        return results


class StopsAtTheFirstRejection(MemoryConnector):
    """All or nothing: one bad row rejects the batch from there on."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        results: list[RowResult] = []
        for position, row in enumerate(rows):
            results += super().write(entity, [row])
            if results[-1].status is RowStatus.REJECTED:
                rest = rows[position + 1 :]
                results += [RowResult(r.migration_key, RowStatus.REJECTED, None, "refused") for r in rest]
                break
        return results


class CreatesDuplicates(MemoryConnector):
    """Promises unique keys, and does not enforce them."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        honest = self.capabilities
        self.capabilities = replace(honest, enforces_unique=False)
        try:
            return super().write(entity, rows)
        finally:
            self.capabilities = honest


class OverwritesOnSecondCreate(MemoryConnector):
    """An upsert where a create was asked for."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        held = self.read_by_keys(entity, [row.migration_key for row in rows[: self.capabilities.max_read_keys]])
        return super().write(
            entity,
            [
                replace(row, op=Op.UPDATE, target_id=held[row.migration_key][0].target_id)
                if row.op is Op.CREATE and row.migration_key in held
                else row
                for row in rows
            ],
        )


class FoldsCaseOfKeys(ChangedRows):
    """Keys are stored and compared in lower case."""

    def spoil(self, row: WriteRow) -> WriteRow:
        return replace(row, migration_key=row.migration_key.lower())

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        original = {row.migration_key.lower(): row.migration_key for row in rows}
        return [replace(r, migration_key=original[r.migration_key]) for r in super().write(entity, rows)]

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        return super().read_by_keys(entity, [key.lower() for key in migration_keys])


class AnswersUnknownKeys(MemoryConnector):
    """A key that nobody holds is answered with some record."""

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        found = dict(super().read_by_keys(entity, migration_keys))
        some = next(iter(found.values()), ())
        return {key: found.get(key, some) for key in migration_keys}


class AnswersOncePerAsking(MemoryConnector):
    """A key asked for twice looks like a duplicate."""

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        found = super().read_by_keys(entity, migration_keys)
        return {key: list(records) * migration_keys.count(key) for key, records in found.items()}


class RepeatsARecordAtThePageBorder(MemoryConnector):
    """Offset paging while records are added."""

    def read_all(self, entity: str) -> Iterator[TargetRecord]:
        for position, record in enumerate(super().read_all(entity)):
            yield record
            if position == 5:  # noqa: PLR2004 - any position will do
                yield record


class StopsAfterTwoPages(MemoryConnector):
    """Takes the second page for the last, whatever follows."""

    def read_all(self, entity: str) -> Iterator[TargetRecord]:
        return islice(super().read_all(entity), 10)


class PassesOverRecordsWithoutKey(MemoryConnector):
    """Reads only what the migration itself created."""

    def read_all(self, entity: str) -> Iterator[TargetRecord]:
        return (record for record in super().read_all(entity) if record.migration_key is not None)


class CountsFromAStaleStatistic(MemoryConnector):
    """A cached count."""

    def count(self, entity: str) -> int:
        return super().count(entity) // 10 * 10


class SavesHalfOfARefusedUpdate(MemoryConnector):
    """Fields are saved one by one until one is refused."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        results = super().write(entity, rows)
        for row, result in zip(rows, results, strict=True):
            if row.op is Op.UPDATE and result.status is RowStatus.REJECTED and result.target_id:
                for name, value in row.values.items():
                    super().write(entity, [replace(row, values={name: value})])
        return results


class RevivesDeletedRecords(MemoryConnector):
    """An update of nothing becomes a create."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return [
            super(RevivesDeletedRecords, self).write(
                entity, [replace(row, op=Op.CREATE, values={"name": "revived", **row.values})]
            )[0]
            if result.reason_code == "not_found"
            else result
            for row, result in zip(rows, super().write(entity, rows), strict=True)
        ]


class IgnoresTheExpectedVersion(ChangedRows):
    """Last write wins."""

    def spoil(self, row: WriteRow) -> WriteRow:
        return replace(row, expected_version=None)


class ExpectsAnotherVersion(ChangedRows):
    """Compares the version in another form than it hands out."""

    def spoil(self, row: WriteRow) -> WriteRow:
        return replace(row, expected_version=f'"{row.expected_version}"' if row.expected_version else None)


class ReadsFromACache(MemoryConnector):
    """A record once read is never read again."""

    _cache: Mapping[tuple[str, str], Sequence[TargetRecord]] = {}

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        fresh = super().read_by_keys(entity, migration_keys)
        self._cache = {(entity, key): records for key, records in fresh.items()} | dict(self._cache)
        return {key: self._cache[entity, key] for key in migration_keys if (entity, key) in self._cache}


class EchoesWhatWasSent(MemoryConnector):
    """Answers with the request in place of what became of it."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return [
            replace(result, stored=result.stored and replace(result.stored, values={**result.stored.values, **sent}))
            for result, sent in zip(super().write(entity, rows), [row.values for row in rows], strict=True)
        ]


class RefusesToRepeatItself(MemoryConnector):
    """An update to the values a record already has is refused."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return [
            replace(result, status=RowStatus.REJECTED) if result.status is RowStatus.UNCHANGED else result
            for result in super().write(entity, rows)
        ]


class AdoptsByCreating(ChangedRows):
    """An update with a key that no record holds becomes a create."""

    def spoil(self, row: WriteRow) -> WriteRow:
        if row.op is Op.UPDATE and not self.read_by_keys("account", [row.migration_key]):
            return replace(row, op=Op.CREATE, values={"name": "new", **row.values}, target_id=None)
        return row


class TakesAnyParent(ChangedRows):
    """A reference to nothing is dropped in silence."""

    def spoil(self, row: WriteRow) -> WriteRow:
        parent = row.values.get("account")
        known = {record.target_id for record in super().read_all("account")}
        return replace(row, values={**row.values, "account": None}) if parent and parent not in known else row


MUTANTS: tuple[type[MemoryConnector], ...] = (
    FindsErrorsWhereNoneAre,
    ForgetsAFieldInDescribe,
    SwapsTwoOutcomes,
    AnswersByPositionOfTheStored,
    DropsTheLastRow,
    SaysCreatedWithoutStoring,
    StoresWhatFitsOfTooMuch,
    StopsAtTheFirstRejection,
    CreatesDuplicates,
    OverwritesOnSecondCreate,
    FoldsCaseOfKeys,
    AnswersUnknownKeys,
    AnswersOncePerAsking,
    RepeatsARecordAtThePageBorder,
    StopsAfterTwoPages,
    PassesOverRecordsWithoutKey,
    CountsFromAStaleStatistic,
    SavesHalfOfARefusedUpdate,
    RevivesDeletedRecords,
    IgnoresTheExpectedVersion,
    ExpectsAnotherVersion,
    ReadsFromACache,
    EchoesWhatWasSent,
    RefusesToRepeatItself,
    AdoptsByCreating,
    TakesAnyParent,
    *VALUE_MUTANTS,
    *FAILING_MUTANTS,
    *REMOVING_MUTANTS,
    *UNDOING_MUTANTS,
)
