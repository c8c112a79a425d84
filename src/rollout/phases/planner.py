"""What becomes of each golden record of an entity: read, compared and decided in batches. Writes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple

from rollout.journal import crosswalk
from rollout.journal.leases import Throttle
from rollout.journal.ledger import Ledger
from rollout.journal.plans import Plans
from rollout.journal.rows import knows_records, merge_bases
from rollout.load.adopt import Adoptions, adopt_row, ambiguous_row
from rollout.load.decided import settle_fields
from rollout.load.merge_base import Base
from rollout.load.plan import Action, PlannedRow, Reference, created_row, plan_row, with_parents
from rollout.load.work import record_fingerprint
from rollout.model.entity import Values
from rollout.model.target import TargetRecord
from rollout.phases.adoption import AdoptionFinder
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.golden import GoldenRecord, golden_paths, read_golden
from rollout.phases.numbers import Numbers
from rollout.phases.pace import calls_at_once
from rollout.phases.plan_tally import EntityPlan, Tally
from rollout.phases.plan_writer import PlanWriter
from rollout.phases.repairs import Repairs
from rollout.phases.standing import Standing, decided_adoptions

BATCH_ROWS = 2_000
"""Golden records that are planned at once."""
PARENT_UNDECIDED = "parent_undecided"
"""Reason of rows that belong to a record about which a person must decide."""


class Planner:
    """Plans one entity after the other.

    Args:
        context: The phase's context.
        target: The target's connector.
        target_name: Its name in the project.
        wave: The wave to plan.
        background: A thread in which the entities to come get their keys.
    """

    def __init__(
        self, context: PhaseContext, target: TargetConnector, target_name: str, wave: str, background: Executor
    ) -> None:
        self._context = context
        self._journal = context.journal
        self._wave = wave
        self._target = target
        self._target_name = target_name
        self._throttle = Throttle(context.journal, target.name, target.capabilities, time.sleep)
        self._calls_at_once = calls_at_once(context.project.spec.targets[target_name], target.capabilities)
        self._ledger = context.journal.ledger_sealer()
        self._paths = golden_paths(context)
        # Parents come first, so an entity's keys are there when its children ask for them.
        order = context.project.spec.load_order
        self._assigned = {entity: background.submit(self._assign, entity) for entity in order}
        # Parents that come later, or at the same time: cycles are closed in a second step of the load.
        self._deferrable = {
            entity: frozenset(
                name
                for name, parent in context.project.spec.entities[entity].references.items()
                if order.index(parent) >= order.index(entity)
            )
            for entity in order
        }
        self._entities = context.project.spec.entities
        with context.journal.transaction() as connection:
            # While we plan under the target's lease, nobody loads: it stays as it is.
            self._remembered = {
                entity for entity in order if knows_records(connection, context.journal.project_id, target_name, entity)
            }
            ledger = Ledger(context.journal.project_id)
            self._in_other_waves = {entity for entity in order if ledger.has_others(connection, entity, wave)}
        self._repairs = Repairs(context, target_name)
        self._standing = Standing(context, self._repairs)
        self._numbers = Numbers(context)
        self._adopted: dict[Reference, str] = {}
        """Target ids of the records that this plan adopts: children are compared with them."""
        self._withheld: dict[str, set[str]] = {entity: set() for entity in order}
        """Golden records that are not in the target, and that nothing but a person's decision about others lets go."""
        self._waits: Counter[str] = Counter()
        self.call_s: list[float] = []
        """What reading calls by key took."""
        self._other_calls = 0

    @property
    def calls(self) -> int:
        """Calls made of the target so far."""
        return len(self.call_s) + self._other_calls

    def plan_entity(self, entity: str, writer: PlanWriter) -> EntityPlan:
        """Plan every golden record of an entity."""
        with self._journal.transaction() as connection:
            open_keys = Plans(self._journal.project_id).undecided_keys(connection, self._target_name, entity)
        self._undecided(entity)
        adoptions = self._find_adoptions(entity)
        tally = Tally()
        with shown(self._context.progress, f"plan {entity}", None, "rows") as progress:
            for batch in self._golden(entity):
                planned = self._plan_batch(entity, batch, open_keys, adoptions)
                writer.add(entity, planned)
                tally.add(planned)
                progress.advance(len(batch))
        return tally.told(waits=self._waits[entity])

    def _golden(self, entity: str) -> Iterator[Sequence[GoldenRecord]]:
        spec = self._context.project.spec.entities[entity]
        for batch in read_golden(self._paths[entity], spec, self._wave, batch_rows=BATCH_ROWS):
            yield self._repairs.apply(entity, batch)

    def _find_adoptions(self, entity: str) -> Adoptions:
        """Golden records that people entered in the target before us; their children may refer to them already."""
        finder = AdoptionFinder(self._context, self._target, self._target_name, self._throttle, entity)

        def ours(batch: Sequence[GoldenRecord]) -> list[Values]:
            references = self._references(entity, batch)
            parent_ids = self._parent_ids(references)
            rows = zip(batch, references, strict=True)
            return [with_parents(record.values, parents, parent_ids) for record, parents in rows]

        adoptions = finder.find(self._wave, self._golden(entity), ours)
        self._other_calls += finder.calls
        adoptions = self._settled(finder, decided_adoptions(adoptions, self._repairs.of(entity).values()))
        keys = self._keys(entity, sorted(adoptions.found))
        self._adopted |= {Reference(entity, keys[golden]): found for golden, found in adoptions.found.items()}
        return adoptions

    def _settled(self, finder: AdoptionFinder, adoptions: Adoptions) -> Adoptions:
        """Adoptions, once records of ours that no row stood for any more have found who goes on as them."""
        return finder.taken_over(adoptions)

    def _assign(self, entity: str) -> dict[str, str]:
        with self._journal.transaction() as connection:
            return crosswalk.assign(connection, self._journal.project_id, entity)

    def _undecided(self, entity: str) -> dict[str, str]:
        """Golden keys about which a person must decide, with the reason."""
        return self._assigned[entity].result()

    def _plan_batch(
        self, entity: str, batch: Sequence[GoldenRecord], open_keys: set[str], adoptions: Adoptions
    ) -> list[PlannedRow]:
        parents = self._context.project.spec.entities[entity].references
        # Waits until all of them have their keys.
        undecided = [self._undecided(name) for name in (entity, *parents.values())]
        withheld = any(self._withheld[parent] for parent in parents.values())
        doubtful = bool(open_keys) or any(undecided) or withheld or bool(self._repairs.of(entity))
        keys = self._keys(entity, [record.golden_key for record in batch])
        planned: list[PlannedRow] = []
        to_compare: list[GoldenRecord] = [] if doubtful else list(batch)
        for record in batch if doubtful else ():
            key = keys[record.golden_key]
            row = self._without_comparing(entity, record, key, open_keys)
            if row is not None:
                planned.append(row)
            else:
                to_compare.append(record)
        self._withhold(entity, planned)
        to_compare = list(self._numbers.given(entity, to_compare, keys))
        references = self._references(entity, to_compare)
        known = self._known(entity, [keys[record.golden_key] for record in to_compare], references)
        self._waits[entity] += self._waiting(entity, to_compare, references, known.parent_ids)
        entered = self._entered(entity, to_compare, adoptions) if adoptions else {}
        for record, record_references in zip(to_compare, references, strict=True):
            key = keys[record.golden_key]
            if adoptions and key not in known.current and key not in known.bases:
                if ids := adoptions.ambiguous.get(record.golden_key):
                    planned.append(ambiguous_row(key, record.golden_key, ids))
                    continue
                if theirs := entered.get(record.golden_key):
                    planned.append(self._adopted_row(entity, record, key, record_references, known, theirs))
                    continue
            planned.append(self._compared_row(entity, record, key, record_references, known))
        return planned

    def _known(self, entity: str, keys: Sequence[str], references: Sequence[dict[str, Reference]]) -> Known:
        current = self._read(entity, keys)
        bases: Mapping[str, Base] = {}
        if entity in self._remembered:
            with self._journal.transaction() as connection:
                bases = merge_bases(connection, self._journal.project_id, self._target_name, entity, keys)
        return Known(current, bases, self._parent_ids(references))

    def _compared_row(
        self, entity: str, record: GoldenRecord, key: str, references: dict[str, Reference], known: Known
    ) -> PlannedRow:
        current, base = known.current.get(key, ()), known.bases.get(key)
        if not current and base is None:
            return created_row(
                key,
                record.golden_key,
                record.values,
                references,
                parent_ids=known.parent_ids,
                deferrable=self._deferrable[entity],
            )
        values, fingerprint = given_values(record), record_fingerprint(self._ledger, entity, key)
        row = plan_row(
            key,
            record.golden_key,
            values,
            references,
            current=current,
            base=base,
            parent_ids=known.parent_ids,
            fingerprint=fingerprint,
            ownership=self._entities[entity].ownership,
            deferrable=self._deferrable[entity],
        )
        by_field = self._standing.about(entity, row) if row.clashing else None
        return settle_fields(row, by_field, parent_ids=known.parent_ids, fingerprint=fingerprint) if by_field else row

    def _adopted_row(
        self,
        entity: str,
        record: GoldenRecord,
        key: str,
        references: dict[str, Reference],
        known: Known,
        entered: TargetRecord,
    ) -> PlannedRow:
        return adopt_row(
            key,
            record.golden_key,
            given_values(record),
            references,
            entered,
            parent_ids=known.parent_ids,
            fingerprint=record_fingerprint(self._ledger, entity, key),
            ownership=self._entities[entity].ownership,
            deferrable=self._deferrable[entity],
        )

    def _entered(self, entity: str, batch: Sequence[GoldenRecord], adoptions: Adoptions) -> dict[str, TargetRecord]:
        """The records of the target that golden records of a batch are found in, as they are now, by golden key."""
        wanted = [(record.golden_key, found) for record in batch if (found := adoptions.found.get(record.golden_key))]
        size = self._target.capabilities.max_read_keys
        records: dict[str, TargetRecord] = {}
        for start in range(0, len(wanted), size):
            self._throttle.wait()
            self._other_calls += 1
            records.update(self._target.read_by_ids(entity, [found for _, found in wanted[start : start + size]]))
        return {golden: records[found] for golden, found in wanted if found in records}

    def _without_comparing(self, entity: str, record: GoldenRecord, key: str, open_keys: set[str]) -> PlannedRow | None:
        """The row of a record that a person left out, or must decide about first; None of others."""
        return self._repairs.left_out(entity, record, key) or self._conflict(entity, record, key, open_keys)

    def _conflict(self, entity: str, record: GoldenRecord, key: str, open_keys: set[str]) -> PlannedRow | None:
        """What a person must decide before this record can be planned."""
        fields = self._context.project.spec.entities[entity].references
        if reason := self._undecided(entity).get(record.golden_key):
            key = crosswalk.UNDECIDED + record.golden_key
            told = "matching joined or parted records that are already loaded: a person decides"
        elif key in open_keys:
            reason, told = "outcome_unknown", "an earlier load sent this record, and what became of it is not known yet"
        elif any(self._waits_for_person(fields[name], golden) for name, golden in record.parents.items() if golden):
            reason, told = PARENT_UNDECIDED, "a person must decide about the record it belongs to first"
        else:
            return None
        return PlannedRow(key, record.golden_key, Action.CONFLICT, reason_code=reason, message=told)

    def _waits_for_person(self, entity: str, golden: str) -> bool:
        return golden in self._undecided(entity) or golden in self._withheld[entity]

    def _withhold(self, entity: str, planned: Sequence[PlannedRow]) -> None:
        """Note rows that no load brings into the target: what belongs to them waits for the same person."""
        held = {row.migration_key: row.golden_key for row in planned if row.reason_code == PARENT_UNDECIDED}
        if held:
            loaded = self._parent_ids([{"": Reference(entity, key)} for key in held])
            self._withheld[entity] |= {golden for key, golden in held.items() if Reference(entity, key) not in loaded}

    def _keys(self, entity: str, golden_keys: Sequence[str]) -> dict[str, str]:
        with self._journal.transaction() as connection:
            return crosswalk.keys(connection, self._journal.project_id, entity, golden_keys)

    def _references(self, entity: str, batch: Sequence[GoldenRecord]) -> list[dict[str, Reference]]:
        fields = self._context.project.spec.entities[entity].references
        parents = {
            name: self._keys(parent, sorted({golden for r in batch if (golden := r.parents[name]) is not None}))
            for name, parent in fields.items()
        }
        if not fields:
            return [{}] * len(batch)
        return [
            {
                name: Reference(fields[name], parents[name][golden])
                for name, golden in record.parents.items()
                if golden is not None
            }
            for record in batch
        ]

    def _parent_ids(self, references: Sequence[dict[str, Reference]]) -> dict[Reference, str]:
        by_entity: dict[str, set[str]] = {}
        for row in references:
            for reference in row.values():
                by_entity.setdefault(reference.entity, set()).add(reference.migration_key)
        ids: dict[Reference, str] = {}
        with self._journal.transaction() as connection:
            for entity, keys in by_entity.items():
                if entity not in self._remembered:
                    continue
                found = crosswalk.target_ids(
                    connection, self._journal.project_id, entity, self._target_name, sorted(keys)
                )
                ids.update({Reference(entity, key): target_id for key, target_id in found.items()})
        return {**ids, **self._adopted} if self._adopted else ids

    def _waiting(
        self,
        entity: str,
        batch: Sequence[GoldenRecord],
        references: Sequence[dict[str, Reference]],
        parent_ids: Mapping[Reference, str],
    ) -> int:
        """How many records refer to one of another wave that is not in the target: only that wave's load makes it."""
        fields = self._context.project.spec.entities[entity].references
        if self._in_other_waves.isdisjoint(fields.values()):
            return 0
        missing = [
            {
                (fields[name], str(record.parents[name]))
                for name, parent in row.items()
                if fields[name] in self._in_other_waves and parent not in parent_ids
            }
            for record, row in zip(batch, references, strict=True)
        ]
        of_others: set[tuple[str, str]] = set()
        for parent in {parent for found in missing for parent, _ in found}:
            keys = sorted({golden for found in missing for name, golden in found if name == parent})
            with self._journal.transaction() as connection:
                waves = Ledger(self._journal.project_id).waves(connection, parent, keys)
            of_others |= {(parent, golden) for golden, wave in waves.items() if wave != self._wave}
        return sum(not found.isdisjoint(of_others) for found in missing)

    def _read(self, entity: str, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        size = self._target.capabilities.max_read_keys
        parts = [keys[start : start + size] for start in range(0, len(keys), size)]
        found: dict[str, Sequence[TargetRecord]] = {}
        with ThreadPoolExecutor(max_workers=self._calls_at_once) as pool:
            for records in pool.map(lambda part: self._timed_read(entity, part), parts):
                found.update(records)
        return found

    def _timed_read(self, entity: str, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        self._throttle.wait()
        begun_s = time.perf_counter()
        records = dict(self._target.read_by_keys(entity, keys))
        self.call_s.append(time.perf_counter() - begun_s)
        return records


class Known(NamedTuple):
    """What the target and the journal know of a batch's records."""

    current: Mapping[str, Sequence[TargetRecord]]
    """Of the target, by migration key."""
    bases: Mapping[str, Base]
    parent_ids: Mapping[Reference, str]


def given_values(record: GoldenRecord) -> Values:
    """A record's values; a reference is among them only where it is to have none."""
    cleared = {name: None for name, golden in record.parents.items() if golden is None}
    return {**record.values, **cleared} if cleared else record.values
