"""`undo` planned: what taking a load back changes, record by record. Writes nothing to the target."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rollout.connectors.base import LinkReader, RecordLink
from rollout.errors import ApprovalError
from rollout.journal.history import held_by_other_waves, touched_keys
from rollout.journal.leases import Throttle
from rollout.load.plan import Action, PlannedRow
from rollout.load.undo import History, UndoScope, later_plans, linked, undo_row
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.directory import people
from rollout.phases.pace import calls_at_once
from rollout.phases.undo_draft import UndoDraft, parts
from rollout.phases.undo_history import Histories
from rollout.phases.undo_links import Links, Place
from rollout.phases.undo_syncs import CarriedRecords

BATCH_ROWS = 1_000


class UndoPlanner:
    """Plans the rows of an undo.

    Args:
        context: The phase's context.
        target_name: The target's name in the project.
        target: Its connector.
        plans: The plans that are taken back.
        begun: Every plan that was begun in this target.
        through: What later plans did to the same records goes back as well.
        draft: Gets the rows.
    """

    def __init__(
        self,
        context: PhaseContext,
        target_name: str,
        target: TargetConnector,
        *,
        plans: Sequence[str],
        begun: Sequence[str],
        through: bool,
        draft: UndoDraft,
    ) -> None:
        self._context = context
        self._target = target
        self._target_name = target_name
        self._begun = begun
        self._draft = draft
        connector = context.connector(context.project.spec.targets[target_name].system)
        self._links = connector if isinstance(connector, LinkReader) else None
        self._scope = UndoScope(
            frozenset(plans), through, target.capabilities.can_delete, can_tell_links=self._links is not None
        )
        self._people = people(context, target_name)
        self._carried = CarriedRecords(context, target_name)
        self._throttle = Throttle(context.journal, target.name, target.capabilities, time.sleep)
        self._calls_at_once = calls_at_once(context.project.spec.targets[target_name], target.capabilities)
        spec = context.project.spec
        self._told = {name: entity.target_name or name for name, entity in spec.entities.items()}
        self._deletions: dict[Place, tuple[str, str]] = {}
        self._relinked: set[tuple[Place, Place]] = set()
        self._later: Counter[str] = Counter()
        self._moved: Counter[tuple[str, str]] = Counter()
        self.conflicts = 0
        """Records in which people changed what would go back."""
        self.call_s: list[float] = []
        """What reading calls took."""

    @property
    def order(self) -> tuple[str, ...]:
        """Entities in the order that they are taken back in: what refers to others first."""
        own = tuple(reversed(self._context.project.spec.load_order))
        return (*(name for name in self._carried.entities if name not in own), *own)

    def plan(self) -> None:
        """Plan everything.

        Raises:
            ApprovalError: Later plans wrote to the same records, and ``through`` is not set; or records that would go
                belong to another wave by now.
        """
        for entity in self.order:
            if entity in self._told:
                self._plan_entity(entity)
        self._refuse_later()
        self._keep_linked()

    def _plan_entity(self, entity: str) -> None:
        with self._context.journal.transaction() as connection:
            keys = touched_keys(connection, entity, sorted(self._scope.plans))
        histories = Histories(self._context.journal, entity, self._begun)
        with shown(self._context.progress, f"plan undo of {entity}", len(keys), "records") as progress:
            for batch in parts(keys, BATCH_ROWS):
                rows = self._rows(entity, histories, batch)
                self._draft.add(entity, rows)
                self._note(entity, rows)
                self._moved += self._held_elsewhere(entity, rows)
                progress.advance(len(batch))

    def _held_elsewhere(self, entity: str, rows: Sequence[PlannedRow]) -> Counter[tuple[str, str]]:
        """Records that would go, and that another wave counts as loaded since they moved there."""
        keys = [row.migration_key for row in rows if row.action in (Action.DELETE, Action.RELEASE)]
        with self._context.journal.transaction() as connection:
            return held_by_other_waves(connection, self._target_name, entity, sorted(self._scope.plans), keys)

    def _rows(self, entity: str, histories: Histories, keys: Sequence[str]) -> list[PlannedRow]:
        rows = []
        found = histories.read(keys)
        now = self._now(entity, list(found.values()))
        for key, history in found.items():
            if not self._scope.through:
                self._later.update(later_plans(history, self._scope))
            record = now.get(key)
            is_persons = record is not None and record.modified_by in self._people
            row = undo_row(history, self._scope, record, is_persons=is_persons)
            if row is not None:
                rows.append(row)
                self.conflicts += record is not None and _conflicts(row, record)
        return rows

    def _now(self, entity: str, histories: Sequence[History]) -> dict[str, TargetRecord]:
        """The records as the target holds them, by migration key; those that are gone are absent."""
        ids = {
            history.migration_key: target_id
            for history in histories
            if (target_id := next((line.target_id for line in reversed(history.lines) if line.target_id), None))
        }
        records = self._read(entity, list(ids.values()))
        return {key: records[target_id] for key, target_id in ids.items() if target_id in records}

    def _read(self, entity: str, target_ids: Sequence[str]) -> dict[str, TargetRecord]:
        def read(part: Sequence[str]) -> dict[str, TargetRecord]:
            self._throttle.wait()
            begun_s = time.perf_counter()
            records = dict(self._target.read_by_ids(entity, part))
            self.call_s.append(time.perf_counter() - begun_s)
            return records

        found: dict[str, TargetRecord] = {}
        with ThreadPoolExecutor(max_workers=self._calls_at_once) as pool:
            for records in pool.map(read, parts(target_ids, self._target.capabilities.max_read_keys)):
                found.update(records)
        return found

    def _note(self, entity: str, rows: Sequence[PlannedRow]) -> None:
        """Remember what is to be deleted, and which references go back to another record."""
        references = self._context.project.spec.entities[entity].references
        for row in rows:
            place = Place(self._told[entity], row.target_id or "")
            if row.action is Action.DELETE:
                self._deletions[place] = (entity, row.migration_key)
            for name, parent in references.items():
                if (held := row.old.get(name)) and name in row.new and row.new[name] != held:
                    self._relinked.add((place, Place(self._told[parent], held)))

    def _refuse_later(self) -> None:
        if self._later:
            told = ", ".join(f"{rows:,} by plan {plan}" for plan, rows in sorted(self._later.items()))
            raise ApprovalError(
                f"later loads wrote to the same records: {told}",
                hint="take those back first (--run PLAN), or with --through along with these",
            )
        if self._moved:
            told = ", ".join(f"{rows:,} to wave '{wave}' (plan {plan})" for (wave, plan), rows in self._moved.items())
            raise ApprovalError(
                f"records that would go belong to another wave by now: {told}",
                hint="take that wave back first (--wave), so that nothing counts as loaded that is gone",
            )

    # Records that others refer to

    def _keep_linked(self) -> None:
        if not self._deletions:
            return
        links = Links(self._links_to, self._carried.untouched, frozenset(self._relinked))
        links.gather(self._deletions)
        stays = links.staying()
        by_entity: dict[str, dict[str, set[str]]] = {}
        for place, entities in stays.items():
            if place in self._deletions:
                entity, key = self._deletions[place]
                by_entity.setdefault(entity, {})[key] = entities
        for entity, kept in by_entity.items():
            for batch in parts(sorted(kept), BATCH_ROWS):
                self._draft.replace(entity, self._linked_rows(entity, {key: kept[key] for key in batch}))
        for entity in self._carried.entities:
            along = [place for place in sorted(links.along - stays.keys()) if place.entity == entity]
            for part in parts(along, BATCH_ROWS):
                self._draft.add(entity, [self._carried.rows[place] for place in part])

    def _links_to(self, told: str, target_ids: Sequence[str]) -> dict[str, Sequence[RecordLink]]:
        """By id the records that refer to these, of an entity as the target calls it."""
        assert self._links is not None  # without it nothing is planned to be deleted
        found: dict[str, Sequence[RecordLink]] = {}
        for part in parts(target_ids, self._target.capabilities.max_read_keys):
            self._throttle.wait()
            found.update(self._links.links_to(told, part))
        return found

    def _linked_rows(self, entity: str, kept: dict[str, set[str]]) -> list[PlannedRow]:
        """The rows of records that were to be deleted, and that others refer to."""
        found = Histories(self._context.journal, entity, self._begun).read(list(kept))
        now = self._now(entity, list(found.values()))
        return [
            linked(history, self._scope, row, record, sorted(kept[key]))
            for key, history in found.items()
            if (record := now.get(key)) is not None and (row := undo_row(history, self._scope, record)) is not None
        ]


def _conflicts(row: PlannedRow, record: TargetRecord) -> bool:
    """Whether a field that would go back holds neither what we wrote nor what was before."""
    return any(record.values.get(name) not in (value, row.old.get(name)) for name, value in row.new.items())
