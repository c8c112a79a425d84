"""What becomes of each golden record of an entity: read, compared and decided in batches. Writes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

from pydantic import Field

from rollout.journal import crosswalk
from rollout.journal.leases import Throttle
from rollout.journal.ledger import Ledger
from rollout.journal.plans import Plans
from rollout.journal.rows import merge_bases
from rollout.load.plan import LOADING, Action, PlannedRow, Reference, plan_row
from rollout.load.work import record_fingerprint
from rollout.model.base import Frozen
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.golden import GoldenRecord, golden_paths, read_golden
from rollout.phases.pace import calls_at_once
from rollout.phases.plan_writer import PlanWriter

BATCH_ROWS = 2_000
"""Golden records that are planned at once."""


class EntityPlan(Frozen):
    """What the plan does with one entity."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    conflict: int = 0
    adopt: int = Field(default=0, description="Records that people created in the target and that become ours.")
    skip: int = Field(default=0, description="Rows that a named person said are not to be loaded.")
    fields: dict[str, int] = Field(default_factory=dict, description="Values that updates change, by field.")
    kept: dict[str, int] = Field(default_factory=dict, description="Fields people changed in the CRM; theirs stay.")
    conflicts: dict[str, int] = Field(default_factory=dict, description="Conflicts by reason code.")
    waits: int = Field(default=0, description="Records that will wait: a parent's earlier wave did not load it yet.")


class Planner:
    """Plans one entity after the other.

    Args:
        context: The phase's context.
        target: The target's connector.
        target_name: Its name in the project.
        wave: The wave to plan.
        background: Two threads: in one the entities to come get their keys, in the other what is planned is written.
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
        self._background = background
        # Parents come first, so an entity's keys are there when its children ask for them.
        order = context.project.spec.load_order
        self._assigned = {entity: background.submit(self._assign, entity) for entity in order}
        self._waits: Counter[str] = Counter()
        self.call_s: list[float] = []
        """What reading calls took."""

    def plan_entity(self, entity: str, add: PlanWriter) -> EntityPlan:
        """Plan every golden record of an entity."""
        spec = self._context.project.spec.entities[entity]
        with self._journal.transaction() as connection:
            open_keys = Plans(self._journal.project_id).undecided_keys(connection, self._target_name, entity)
        counts: Counter[Action] = Counter()
        fields: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        conflicts: Counter[str] = Counter()
        written: Future[None] | None = None
        with shown(self._context.progress, f"plan {entity}", None, "rows") as progress:
            for batch in read_golden(self._paths[entity], spec, self._wave, batch_rows=BATCH_ROWS):
                planned = self._plan_batch(entity, batch, open_keys)
                if written:
                    written.result()
                written = self._background.submit(add, entity, planned)
                for row in planned:
                    counts[row.action] += 1
                    kept.update(row.kept)
                    if row.action is Action.UPDATE:
                        fields.update(list(row.old))
                    if row.action is Action.CONFLICT:
                        conflicts[row.reason_code or ""] += 1
                progress.advance(len(batch))
            if written:
                written.result()
        return EntityPlan(
            **{action.value: counts[action] for action in LOADING},
            fields=dict(fields),
            kept=dict(kept),
            conflicts=dict(conflicts),
            waits=self._waits[entity],
        )

    def _assign(self, entity: str) -> dict[str, str]:
        with self._journal.transaction() as connection:
            return crosswalk.assign(connection, self._journal.project_id, entity)

    def _undecided(self, entity: str) -> dict[str, str]:
        """Golden keys about which a person must decide, with the reason."""
        return self._assigned[entity].result()

    def _plan_batch(self, entity: str, batch: Sequence[GoldenRecord], open_keys: set[str]) -> list[PlannedRow]:
        parents = self._context.project.spec.entities[entity].references
        # Waits until all of them have their keys.
        undecided = [self._undecided(name) for name in (entity, *parents.values())]
        doubtful = bool(open_keys) or any(undecided)
        keys = self._keys(entity, [record.golden_key for record in batch])
        planned: list[PlannedRow] = []
        to_compare: list[GoldenRecord] = []
        for record in batch:
            conflict = self._conflict(entity, record, keys[record.golden_key], open_keys) if doubtful else None
            if conflict is not None:
                planned.append(conflict)
            else:
                to_compare.append(record)
        references = self._references(entity, to_compare)
        parent_ids = self._parent_ids(references)
        self._waits[entity] += self._waiting(entity, to_compare, references, parent_ids)
        compared = [keys[record.golden_key] for record in to_compare]
        current = self._read(entity, compared)
        with self._journal.transaction() as connection:
            bases = merge_bases(connection, self._journal.project_id, self._target_name, entity, compared)
        for key, record, record_references in zip(compared, to_compare, references, strict=True):
            cleared = {name: None for name, golden in record.parents.items() if golden is None}
            planned.append(
                plan_row(
                    key,
                    record.golden_key,
                    {**record.values, **cleared} if cleared else record.values,
                    record_references,
                    current=current.get(key, ()),
                    base=bases.get(key),
                    parent_ids=parent_ids,
                    fingerprint=record_fingerprint(self._ledger, entity, key),
                )
            )
        return planned

    def _conflict(self, entity: str, record: GoldenRecord, key: str, open_keys: set[str]) -> PlannedRow | None:
        """What a person must decide before this record can be planned."""
        fields = self._context.project.spec.entities[entity].references
        if reason := self._undecided(entity).get(record.golden_key):
            key = crosswalk.UNDECIDED + record.golden_key
            told = "matching joined or parted records that are already loaded: a person decides"
        elif key in open_keys:
            reason, told = "outcome_unknown", "an earlier load sent this record, and what became of it is not known yet"
        elif any(golden in self._undecided(fields[name]) for name, golden in record.parents.items() if golden):
            reason, told = "parent_undecided", "a person must decide about the record it belongs to first"
        else:
            return None
        return PlannedRow(key, record.golden_key, Action.CONFLICT, reason_code=reason, message=told)

    def _keys(self, entity: str, golden_keys: Sequence[str]) -> dict[str, str]:
        with self._journal.transaction() as connection:
            return crosswalk.keys(connection, self._journal.project_id, entity, golden_keys)

    def _references(self, entity: str, batch: Sequence[GoldenRecord]) -> list[dict[str, Reference]]:
        fields = self._context.project.spec.entities[entity].references
        parents = {
            name: self._keys(parent, sorted({golden for r in batch if (golden := r.parents[name]) is not None}))
            for name, parent in fields.items()
        }
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
                found = crosswalk.target_ids(
                    connection, self._journal.project_id, entity, self._target_name, sorted(keys)
                )
                ids.update({Reference(entity, key): target_id for key, target_id in found.items()})
        return ids

    def _waiting(
        self,
        entity: str,
        batch: Sequence[GoldenRecord],
        references: Sequence[dict[str, Reference]],
        parent_ids: dict[Reference, str],
    ) -> int:
        """How many records refer to one of another wave that is not in the target: only that wave's load makes it."""
        if not self._context.project.spec.waves:
            return 0
        fields = self._context.project.spec.entities[entity].references
        missing = [
            {(fields[name], str(record.parents[name])) for name, parent in row.items() if parent not in parent_ids}
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
