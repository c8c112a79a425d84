"""Which golden records people have already entered in the target: compared by keys over cleansed values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from rollout.journal import crosswalk
from rollout.journal.leases import Throttle
from rollout.load.adopt import Adoptions, pair
from rollout.mapping.transforms import compile_steps, run_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.match.spec import MatchKey, MatchSpec
from rollout.model.entity import FieldType, Values
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.golden import GoldenRecord
from rollout.project.spec import EntitySpec, ProjectSpec

READ_ROWS = 5_000
"""Records of the target that are looked at together."""

_Index = list[dict[str, list[str]]]
"""For each key: the target ids of the records that people made, by what they are compared by."""


def adoption_keys(spec: ProjectSpec, entity: str) -> tuple[MatchKey, ...]:
    """The keys by which an entity's records are found in the target: ``adopt_by``, else those of matching."""
    keys = spec.match.get(entity, MatchSpec()).keys
    declared = spec.entities[entity].adopt_by
    by = {name: transform for key in keys for name, transform in key.by.items()}
    return tuple(
        MatchKey(name="+".join(fields), fields=fields, by={name: by[name] for name in fields if name in by})
        for fields in declared
    ) or tuple(keys)


class AdoptionFinder:
    """Finds the records of one entity that people entered before us.

    Args:
        context: The phase's context.
        target: The target's connector.
        target_name: Its name in the project.
        throttle: Waited for before the target is read.
        entity: The entity.
    """

    def __init__(
        self, context: PhaseContext, target: TargetConnector, target_name: str, throttle: Throttle, entity: str
    ) -> None:
        self._context = context
        self._target = target
        self._target_name = target_name
        self._throttle = throttle
        self._entity = entity
        self._keys = adoption_keys(context.project.spec, entity)
        self.calls = 0
        """Calls made so far, about: of pages only the target knows how many records they hold."""

    def find(
        self,
        wave: str,
        batches: Iterable[Sequence[GoldenRecord]],
        ours: Callable[[Sequence[GoldenRecord]], Sequence[Values]],
    ) -> Adoptions:
        """Compare the wave's records that were never loaded with those of the target that have no migration key.

        Nothing is read where no record could be adopted: all were loaded before, or the target has no records.

        Args:
            wave: The wave that is planned.
            batches: Its golden records; read only if need be.
            ours: Their values, with the target's ids for references.

        Raises:
            Retryable: The target cannot be reached.
        """
        if not self._keys or self._is_empty() or not self._lacking(wave):
            return Adoptions()
        from rollout.phases.cleanse import transform_context  # noqa: PLC0415 - heavy, and seldom needed

        spec = self._context.project.spec.entities[self._entity]
        transforms = transform_context(self._context.project, self._entity, spec.sources[0])
        index = self._index(spec, transforms)
        if not any(index):
            return Adoptions()
        claims: dict[str, set[str]] = {}
        for batch in batches:
            for golden_key, ids in self._claims(batch, ours(batch), index, transforms):
                claims.setdefault(golden_key, set()).update(ids)
        return pair(self._not_loaded(claims))

    def _wait(self) -> None:
        self._throttle.wait()
        self.calls += 1

    def _is_empty(self) -> bool:
        self._wait()
        return not self._target.count(self._entity)

    def _lacking(self, wave: str) -> bool:
        with self._context.journal.transaction() as connection:
            project_id = self._context.journal.project_id
            return crosswalk.lacks_records(connection, project_id, self._entity, self._target_name, wave)

    def _index(self, spec: EntitySpec, transforms: TransformContext) -> _Index:
        """The target's records without migration key, by what each key makes of them."""
        index: _Index = [{} for _ in self._keys]
        fields = sorted({name for key in self._keys for name in key.fields})
        types = {name: spec.fields[name].type for name in fields}
        told = self._records()
        while records := list(islice(told, READ_ROWS)):
            table = _table([record.values for record in records], fields)
            cleansed = pa.table({name: _cleansed(table[name], types[name], transforms) for name in fields})
            for key, known in zip(self._keys, index, strict=True):
                texts = _texts(cleansed, key, transforms)
                for record, text in zip(records, texts, strict=True):
                    if text is not None:
                        known.setdefault(text, []).append(record.target_id)
        return index

    def _records(self) -> Iterator[TargetRecord]:
        self._wait()
        for number, record in enumerate(self._target.read_all(self._entity), 1):
            if record.migration_key is None:
                yield record
            if number % self._target.capabilities.max_read_keys == 0:
                self._wait()

    def _claims(
        self,
        batch: Sequence[GoldenRecord],
        values: Sequence[Values],
        index: _Index,
        transforms: TransformContext,
    ) -> Iterator[tuple[str, list[str]]]:
        for key, known in zip(self._keys, index, strict=True):
            if not known:
                continue
            texts = _texts(_table(values, key.fields), key, transforms)
            for record, text in zip(batch, texts, strict=True):
                if text is not None and (ids := known.get(text)):
                    yield record.golden_key, ids

    def _not_loaded(self, claims: Mapping[str, set[str]]) -> dict[str, set[str]]:
        """Claims of records that have none of their own in the target yet."""
        journal = self._context.journal
        with journal.transaction() as connection:
            keys = crosswalk.keys(connection, journal.project_id, self._entity, sorted(claims))
            loaded = crosswalk.target_ids(
                connection, journal.project_id, self._entity, self._target_name, sorted(keys.values())
            )
        return {golden: ids for golden, ids in claims.items() if keys.get(golden) not in loaded}


def _table(rows: Sequence[Values], fields: Iterable[str]) -> Any:
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in fields})


def _cleansed(column: Any, field_type: FieldType, transforms: TransformContext) -> Any:
    """What people typed, as cleansing would have it; references are ids, which stay as they are."""
    column = column.combine_chunks()
    if field_type is FieldType.REFERENCE:
        return column
    return run_steps(column, compile_steps([], field_type), transforms).values


def _texts(table: Any, key: MatchKey, transforms: TransformContext) -> list[str | None]:
    """What rows are compared by; None where a field of the key has no value, or a filler."""
    from rollout.match.exact import key_texts  # noqa: PLC0415 - heavy, and seldom needed

    texts: list[str | None] = key_texts(table, key, {name: name for name in key.fields}, transforms).to_pylist()
    return texts
