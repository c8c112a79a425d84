"""A target spoken to in the project's names: fields and entities may be called otherwise there (`target_name`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout.connectors.base import LinkReader, RecordLink, RecordPages, RowResult, TargetRecord, WriteRow
from rollout.model.entity import TargetSchema, Values
from rollout.model.finding import Finding
from rollout.project.spec import ProjectSpec

if TYPE_CHECKING:
    from rollout.phases.context import TargetConnector


class TranslatedTarget:
    """Wraps a target connector; `describe` alone answers in the target's own names.

    Fields of a record that the project does not have come along under the target's names, a colon in front: what
    people typed there must not go unnoticed. Entities that the project does not have keep their names altogether.
    """

    def __init__(self, target: TargetConnector, spec: ProjectSpec) -> None:
        self._target = target
        self.name = target.name
        self.capabilities = target.capabilities
        self._entities = {name: entity.target_name or name for name, entity in spec.entities.items()}
        self._fields = {
            name: {field: declared.target_name or field for field, declared in entity.fields.items()}
            for name, entity in spec.entities.items()
        }

    def check(self) -> list[Finding]:
        """As the target."""
        return self._target.check()

    def describe(self) -> TargetSchema:
        """The target's schema, in its own names."""
        return self._target.describe()

    def close(self) -> None:
        """As the target."""
        self._target.close()

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        """Records by migration key."""
        found = self._target.read_by_keys(self._entities.get(entity, entity), migration_keys)
        return {key: [self._ours(entity, record) for record in records] for key, records in found.items()}

    def read_by_ids(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        """Records by target id."""
        found = self._target.read_by_ids(self._entities.get(entity, entity), target_ids)
        return {target_id: self._ours(entity, record) for target_id, record in found.items()}

    def read_all(self, entity: str) -> Iterator[TargetRecord]:
        """Every record."""
        for record in self._target.read_all(self._entities.get(entity, entity)):
            yield self._ours(entity, record)

    def count(self, entity: str) -> int:
        """How many records the target says it holds."""
        return self._target.count(self._entities.get(entity, entity))

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        """Write a batch."""
        theirs = [replace(row, values=self._theirs(entity, row.values)) for row in rows]
        return [
            replace(result, stored=self._ours(entity, result.stored)) if result.stored else result
            for result in self._target.write(self._entities.get(entity, entity), theirs)
        ]

    def _theirs(self, entity: str, values: Values) -> Values:
        names = self._fields.get(entity)
        return values if names is None else {names[name]: value for name, value in values.items()}

    def _ours(self, entity: str, record: TargetRecord) -> TargetRecord:
        names = self._fields.get(entity)
        if names is None:
            return record
        known = frozenset(names.values())
        others = {f":{theirs}": value for theirs, value in record.values.items() if theirs not in known}
        ours = {name: record.values.get(theirs) for name, theirs in names.items()}
        return replace(record, entity=entity, values={**ours, **others})

    @property
    def links(self) -> LinkReader | None:
        """Tells who refers to a record; None: the target cannot."""
        reader = self._target
        return _TranslatedLinks(reader, self._entities) if isinstance(reader, LinkReader) else None

    def page_of(self, entity: str, target_id: str) -> str:
        """Where people see a record; "": the target cannot say."""
        pages = self._target
        return pages.page_of(self._entities.get(entity, entity), target_id) if isinstance(pages, RecordPages) else ""


class _TranslatedLinks:
    """Asked in the project's names; what refers to a record is told in the target's, which may be all there are."""

    def __init__(self, reader: LinkReader, entities: Mapping[str, str]) -> None:
        self._reader = reader
        self._entities = entities

    def links_to(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, Sequence[RecordLink]]:
        """The records that refer to these, by target id."""
        return self._reader.links_to(self._entities.get(entity, entity), target_ids)


def link_reader(target: TargetConnector) -> LinkReader | None:
    """What tells who refers to a record of the target, asked in the project's names; None: the target cannot."""
    if isinstance(target, TranslatedTarget):
        return target.links
    return target if isinstance(target, LinkReader) else None


def renames(spec: ProjectSpec) -> bool:
    """Whether anything is called otherwise in the target."""
    return any(
        (entity.target_name or name) != name
        or any((declared.target_name or field) != field for field, declared in entity.fields.items())
        for name, entity in spec.entities.items()
    )
