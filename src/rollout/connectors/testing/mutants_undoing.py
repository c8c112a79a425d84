"""Connectors that take a load back wrongly, one defect each."""

# ruff: noqa: D102 - what the methods promise is said by the protocol; what they do wrong, by each class

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rollout.connectors.base import Op, RecordLink, RowResult, RowStatus, TargetRecord, WriteRow
from rollout.connectors.memory import MemoryConnector


class _OtherDeletions(MemoryConnector):
    """Base of mutants that delete in a way of their own."""

    def delete_row(self, entity: str, row: WriteRow) -> RowResult:
        raise NotImplementedError

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        kept = super().write(entity, [row for row in rows if row.op is not Op.DELETE])
        return [*kept, *(self.delete_row(entity, row) for row in rows if row.op is Op.DELETE)]

    def exists(self, entity: str, row: WriteRow) -> bool:
        return bool(self.read_by_ids(entity, [row.target_id or ""]))


class SaysDeleted(_OtherDeletions):
    """A deletion is answered, not done: the record is only marked."""

    def delete_row(self, entity: str, row: WriteRow) -> RowResult:
        del entity
        return RowResult(row.migration_key, RowStatus.DELETED, row.target_id)


class RejectsASecondDeletion(MemoryConnector):
    """What is gone cannot be deleted, so an undo that was interrupted never ends."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        held = self.read_by_ids(entity, [row.target_id for row in rows if row.target_id][: self.options.max_read_keys])
        return [
            replace(result, status=RowStatus.REJECTED, reason_code="not_found")
            if result.status is RowStatus.DELETED and result.target_id not in held
            else result
            for result in super().write(entity, rows)
        ]


class DeletesByIdAlone(_OtherDeletions):
    """Neither key nor version is compared."""

    def delete_row(self, entity: str, row: WriteRow) -> RowResult:
        if self.exists(entity, row):
            self.remove(entity, row.target_id or "")
        return RowResult(row.migration_key, RowStatus.DELETED, row.target_id)


class DeletesOldVersions(MemoryConnector):
    """A deletion takes no version."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return super().write(
            entity, [replace(row, expected_version=None) if row.op is Op.DELETE else row for row in rows]
        )


class RejectsForNoReason(MemoryConnector):
    """Says that it will not, and not that others refer to the record."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return [
            replace(result, reason_code="refused") if result.reason_code == "referenced" else result
            for result in super().write(entity, rows)
        ]


class ReleasesByDeleting(MemoryConnector):
    """A record that was there before us goes, too."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        results = super().write(entity, rows)
        for row in rows:
            if row.op is Op.RELEASE and row.target_id and self.read_by_ids(entity, [row.target_id]):
                self.remove(entity, row.target_id)
        return results


class KeepsTheKeyOnRelease(MemoryConnector):
    """Takes a release for an update."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return super().write(entity, [replace(row, op=Op.UPDATE) if row.op is Op.RELEASE else row for row in rows])


class TellsOneLink(MemoryConnector):
    """A search that stops at its first hit."""

    def links_to(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, Sequence[RecordLink]]:
        return {target_id: links[:1] for target_id, links in super().links_to(entity, target_ids).items()}


class DeletesAnyway(MemoryConnector):
    """Declares that it cannot delete, and does."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        honest = self.capabilities
        self.capabilities = replace(honest, can_delete=True)
        try:
            return super().write(entity, rows)
        finally:
            self.capabilities = honest


class AnswersIdsByPosition(MemoryConnector):
    """Records read by id are dealt out in the order of their creation."""

    def read_by_ids(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        found = super().read_by_ids(entity, target_ids)
        ordered = sorted(found.values(), key=lambda record: int(record.target_id[1:]))
        return dict(zip(found, ordered, strict=True))


UNDOING_MUTANTS: tuple[type[MemoryConnector], ...] = (
    SaysDeleted,
    RejectsASecondDeletion,
    DeletesByIdAlone,
    DeletesOldVersions,
    RejectsForNoReason,
    ReleasesByDeleting,
    KeepsTheKeyOnRelease,
    TellsOneLink,
    DeletesAnyway,
    AnswersIdsByPosition,
)
"""Each breaks one law."""
