"""Connectors that clean up wrongly, one defect each."""

# ruff: noqa: D102 - what the methods promise is said by the protocol; what they do wrong, by each class

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from rollout.connectors.base import TargetRecord
from rollout.connectors.memory import MemoryConnector
from rollout.errors import Fatal


class TakesABeginningForAPattern(MemoryConnector):
    """As ``LIKE`` does with what was not escaped."""

    def read_by_key_prefix(self, entity: str, prefix: str) -> Iterator[TargetRecord]:
        pattern = prefix.replace("%", "*").replace("_", "?") + "*"
        return (record for record in self.read_all(entity) if fnmatchcase(record.migration_key or "", pattern))


class FailsOnWhatIsGone(MemoryConnector):
    """A clean-up that was interrupted cannot be finished."""

    def delete(self, entity: str, target_ids: Sequence[str]) -> None:
        held = {record.target_id for record in self.read_all(entity)}
        if gone := set(target_ids) - held:
            raise Fatal(f"{len(gone)} records do not exist", where=self.name)
        super().delete(entity, target_ids)


class LeavesOrphans(MemoryConnector):
    """Deletes a record and lets others point to nothing."""

    def delete(self, entity: str, target_ids: Sequence[str]) -> None:
        held = {record.target_id for record in self.read_all(entity)}
        for target_id in held & set(target_ids):
            self.remove(entity, target_id)


class DeletesNothing(MemoryConnector):
    """Says that it is done."""

    def delete(self, entity: str, target_ids: Sequence[str]) -> None:
        del entity, target_ids


REMOVING_MUTANTS: tuple[type[MemoryConnector], ...] = (
    TakesABeginningForAPattern,
    FailsOnWhatIsGone,
    LeavesOrphans,
    DeletesNothing,
)
