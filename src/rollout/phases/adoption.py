"""Which golden records people have already entered in the target: compared by keys over cleansed values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rollout.journal import crosswalk, pair_decisions
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

if TYPE_CHECKING:
    from rollout.phases.adoption_likely import Likely

READ_ROWS = 5_000
"""Records of the target that are looked at together."""

_Index = list[dict[str, list[str]]]
"""For each key: the target ids of records that nothing stands for, by what they are compared by."""


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
        self._model = context.project.spec.match.get(entity, MatchSpec()).model
        self._different: set[tuple[str, str]] = set()
        self._deserted: Mapping[str, str] = {}
        self.calls = 0
        """Calls made so far, about: of pages only the target knows how many records they hold."""

    def find(
        self,
        wave: str,
        batches: Iterable[Sequence[GoldenRecord]],
        ours: Callable[[Sequence[GoldenRecord]], Sequence[Values]],
    ) -> Adoptions:
        """Compare the wave's records that were never loaded with those of the target that nothing stands for.

        Those are the records without migration key, which people made, and records of ours whose rows are all held
        back or gone: a customer that comes back as another row must not be made a second time; see `taken_over`.

        Nothing is read where no record could be adopted: all were loaded before, or the target has no records.

        Args:
            wave: The wave that is planned.
            batches: Its golden records; read only if need be.
            ours: Their values, with the target's ids for references.

        Raises:
            Retryable: The target cannot be reached.
        """
        if not (self._keys or self._model) or self._is_empty() or not self._lacking(wave):
            return Adoptions()
        from rollout.phases.adoption_likely import LikelyFinder, likely_path  # noqa: PLC0415 - heavy, and seldom needed
        from rollout.phases.cleanse import transform_context  # noqa: PLC0415 - heavy, and seldom needed

        spec = self._context.project.spec.entities[self._entity]
        transforms = transform_context(self._context.project, self._entity, spec.sources[0])
        likely_path(self._context, self._entity, self._target_name, wave).unlink(missing_ok=True)
        with self._context.journal.transaction() as connection:
            self._deserted = crosswalk.deserted(
                connection, self._context.journal.project_id, self._entity, self._target_name
            )
        entered = self._entered(spec, transforms)
        if not entered:
            return Adoptions()
        index = self._index(entered, transforms)
        likely = LikelyFinder(self._context, self._entity, self._model) if self._model else None
        claims: dict[str, set[str]] = {}
        try:
            for batch in batches:
                values = ours(batch)
                for golden_key, ids in self._claims(batch, values, index, transforms):
                    claims.setdefault(golden_key, set()).update(ids)
                if likely is not None:
                    likely.add_ours([record.golden_key for record in batch], values)
            exact = self._decided(self._not_loaded(claims), entered)
            if likely is None:
                return exact
            for table in entered:
                likely.add_theirs(table["_id"].to_pylist(), table)
            return self._with_likely(exact, likely.find(), wave)
        finally:
            if likely is not None:
                likely.close()

    def taken_over(self, found: Adoptions) -> Adoptions:
        """Let the records of ours among those that were found be gone on with; what is left are adoptions."""
        journal = self._context.journal
        left, held = dict(found.found), dict(found.ambiguous)
        for golden_key, (target_id, key) in self._ours_among(found).items():
            del left[golden_key]
            with journal.transaction() as connection:
                if not crosswalk.take_over(connection, journal.project_id, self._entity, golden_key, key):
                    held[golden_key] = (target_id,)  # another target has both: only a person can say what to do
        return Adoptions(left, held)

    def held_back(self, found: Adoptions) -> Adoptions:
        """Leave the records of ours among those that were found to the next plan that covers everything."""
        ours = {golden_key: (target_id,) for golden_key, (target_id, _) in self._ours_among(found).items()}
        left = {golden_key: target_id for golden_key, target_id in found.found.items() if golden_key not in ours}
        return Adoptions(left, {**found.ambiguous, **ours})

    def _ours_among(self, found: Adoptions) -> dict[str, tuple[str, str]]:
        """(target id, migration key) of deserted records of ours that were found, by golden key."""
        if not found.found:
            return {}
        journal = self._context.journal
        with journal.transaction() as connection:
            deserted = crosswalk.deserted(connection, journal.project_id, self._entity, self._target_name)
        return {
            golden_key: (target_id, deserted[target_id])
            for golden_key, target_id in found.found.items()
            if target_id in deserted
        }

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

    def _entered(self, spec: EntitySpec, transforms: TransformContext) -> list[Any]:
        """The target's records that nothing stands for, cleansed: tables of `_id` and the fields that are compared."""
        from rollout.match.layout import Layout  # noqa: PLC0415 - heavy, and seldom needed

        compared = Layout(self._model, self._entity).placed if self._model else ()
        fields = sorted({name for key in self._keys for name in key.fields} | set(compared))
        types = {name: spec.fields[name].type for name in fields}
        told, found = self._records(), []
        while records := list(islice(told, READ_ROWS)):
            table = _table([record.values for record in records], fields)
            cleansed = {name: _cleansed(table[name], types[name], transforms) for name in fields}
            found.append(pa.table({"_id": pa.array([record.target_id for record in records], pa.string()), **cleansed}))
        return found

    def _index(self, entered: Sequence[Any], transforms: TransformContext) -> _Index:
        """Those records by what each key makes of them."""
        index: _Index = [{} for _ in self._keys]
        for table in entered:
            ids = table["_id"].to_pylist()
            for key, known in zip(self._keys, index, strict=True):
                for target_id, text in zip(ids, _texts(table, key, transforms), strict=True):
                    if text is not None:
                        known.setdefault(text, []).append(target_id)
        return index

    def _decided(self, claims: dict[str, set[str]], entered: Sequence[Any]) -> Adoptions:
        """The claims as people decided them: what they called the same is, what they called different is not."""
        journal = self._context.journal
        with journal.transaction() as connection:
            newest = pair_decisions.newest(connection, journal.project_id, self._entity)
        told = list(pair_decisions.about_target(newest, self._target_name))
        known = {target_id for table in entered for target_id in table["_id"].to_pylist()}
        same = {golden: {target_id} for golden, target_id, verdict in told if verdict == "same" and target_id in known}
        self._different = {(golden, target_id) for golden, target_id, verdict in told if verdict == "different"}
        left = {golden: {one for one in ids if (golden, one) not in self._different} for golden, ids in claims.items()}
        return pair({golden: ids for golden, ids in left.items() if ids} | self._not_loaded(same))

    def _with_likely(self, exact: Adoptions, likely: Sequence[Likely], wave: str) -> Adoptions:
        """Exact pairs, and what a person must decide, which goes to the review queue as well."""
        from rollout.phases.adoption_likely import likely_path, write_likely  # noqa: PLC0415 - heavy

        taken = set(exact.found.values())
        open_ = [
            line
            for line in likely
            if line.golden_key not in exact.found
            and line.golden_key not in exact.ambiguous
            and line.target_id not in taken
            and (line.golden_key, line.target_id) not in self._different
        ]
        claims: dict[str, set[str]] = {}
        for line in open_:
            claims.setdefault(line.golden_key, set()).add(line.target_id)
        claims = self._not_loaded(claims)
        found = [line for line in open_ if line.golden_key in claims]
        held: dict[str, Values] = {}
        ids = sorted({line.target_id for line in found})
        for at in range(0, len(ids), self._target.capabilities.max_read_keys):
            self._wait()
            some = self._target.read_by_ids(self._entity, ids[at : at + self._target.capabilities.max_read_keys])
            held |= {target_id: record.values for target_id, record in some.items()}
        path = likely_path(self._context, self._entity, self._target_name, wave)
        write_likely(path, self._target_name, found, held, self._context.project.spec.entities[self._entity].fields)
        ambiguous = {golden: tuple(sorted(ids)) for golden, ids in claims.items()}
        return Adoptions(exact.found, {**exact.ambiguous, **ambiguous})

    def _records(self) -> Iterator[TargetRecord]:
        self._wait()
        for number, record in enumerate(self._target.read_all(self._entity), 1):
            if record.migration_key is None or record.target_id in self._deserted:
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
