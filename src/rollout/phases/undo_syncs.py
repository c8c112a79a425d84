"""What our own syncs linked to a record that an undo deletes: it goes along, unless people worked on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from rollout.connectors.base import RecordLink, TargetRecord
from rollout.journal.crypto import canonical_json
from rollout.journal.syncs import CarriedRecord, Syncs
from rollout.load.plan import Action, PlannedRow
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.directory import own_login
from rollout.phases.undo_links import Place
from rollout.project.spec_around import SyncSpec


class CarriedRecords:
    """Finds carried records among those that refer to ours.

    Args:
        context: The phase's context.
        target_name: The target's name in the project.
    """

    def __init__(self, context: PhaseContext, target_name: str) -> None:
        spec = context.project.spec
        self._journal = context.journal
        self._syncs = Syncs(context.journal.project_id, target_name)
        self._specs: Mapping[str, SyncSpec] = dict(spec.integration.syncs) if spec.integration else {}
        # Syncs speak the target's own names.
        self._target = cast("TargetConnector", context.connector(spec.targets[target_name].system))
        self._own_login = own_login(context, target_name)
        self._digest = context.journal.ledger_sealer().digest
        # A name that means one entity to the project and another to the target cannot be told apart in a plan.
        self._ambiguous = {name for name, entity in spec.entities.items() if entity.target_name not in (None, name)}
        self.rows: dict[Place, PlannedRow] = {}
        """The rows that delete what was found."""

    @property
    def entities(self) -> tuple[str, ...]:
        """The target's entities that syncs carry records into."""
        return tuple(dict.fromkeys(sync.entity for sync in self._specs.values() if sync.entity not in self._ambiguous))

    def untouched(self, entity: str, links: Sequence[RecordLink]) -> Iterable[str]:
        """The ids of those that a sync carried and nobody changed since."""
        if entity not in self.entities:
            return []
        keys = [link.migration_key for link in links if link.migration_key is not None]
        with self._journal.transaction() as connection:
            carried = self._syncs.carried_by_key(connection, entity, keys)
        by_id = {record.target_id: (sync, record) for sync, record in carried.values() if sync in self._specs}
        ids = [link.target_id for link in links if link.target_id in by_id]
        size, found = self._target.capabilities.max_read_keys, list[str]()
        for start in range(0, len(ids), size):
            for target_id, now in self._target.read_by_ids(entity, ids[start : start + size]).items():
                if self._is_untouched(*by_id[target_id], now):
                    found.append(target_id)
                    self.rows[Place(entity, target_id)] = _deletion(by_id[target_id][1], now)
        return found

    def _is_untouched(self, sync: str, record: CarriedRecord, now: TargetRecord) -> bool:
        spec = self._specs[sync]
        carried = (*spec.fields, *spec.references)
        if self._own_login is not None and now.modified_by != self._own_login:
            return False
        if self._own_login is None and any(value for name, value in now.values.items() if name not in carried):
            return False  # nothing says that it was not a person who filled that in
        held = {name: now.values.get(name) for name in carried}
        return now.migration_key == record.migration_key and self._digest(canonical_json(held)) == record.digest


def _deletion(record: CarriedRecord, now: TargetRecord) -> PlannedRow:
    return PlannedRow(
        record.migration_key, record.source_id, Action.DELETE, old=dict(now.values), target_id=now.target_id
    )
