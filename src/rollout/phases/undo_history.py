"""Opens what the journal sealed about a record's earlier writes, for the plan of an undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout.errors import ConfigError
from rollout.journal.crypto import Sealer
from rollout.journal.history import HistoryLine, history_lines
from rollout.journal.rows import PARTING
from rollout.journal.store import Journal
from rollout.load.machine import RowState
from rollout.load.plan import Action, PlannedRow
from rollout.load.undo import Deed, History, Written
from rollout.load.work import image_place, row_place
from rollout.model.entity import Values

_ENDING = (Action.DELETE, Action.RELEASE)


class Histories:
    """Reads the histories of an entity's records.

    Args:
        journal: The project's.
        entity: The entity.
        plan_ids: Every plan that a load or an undo of the target has begun.
    """

    def __init__(self, journal: Journal, entity: str, plan_ids: Sequence[str]) -> None:
        self._journal = journal
        self._entity = entity
        self._plan_ids = plan_ids
        self._sealers: dict[str, Sealer | None] = {}

    def read(self, migration_keys: Sequence[str]) -> dict[str, History]:
        """Histories by migration key."""
        with self._journal.transaction() as connection:
            found = history_lines(connection, self._entity, self._plan_ids, migration_keys)
        return {
            key: History(key, lines[-1].golden_key, tuple(self._written(line) for line in lines))
            for key, lines in found.items()
        }

    def _written(self, line: HistoryLine) -> Written:
        if line.state in (RowState.UNKNOWN, RowState.INTENT):
            return Written(line.plan_id, Deed.UNKNOWN, line.target_id)
        sealer = self._sealer(line.key_id)
        if sealer is None:
            return Written(line.plan_id, _deed(line), line.target_id, took_back=_took_back(line))
        place = row_place(line.plan_id, self._entity, line.migration_key)
        row = PlannedRow.from_payload(
            line.migration_key, line.golden_key, line.action, None, sealer.open(line.payload, place)
        )
        before = self._image(sealer, line, "before", line.before_image)
        after = self._image(sealer, line, "after", line.after_image)
        return Written(
            line.plan_id,
            _deed(line),
            line.target_id or row.target_id,
            _fields(line, row, before, after),
            before,
            # Without an image somebody else than the target said that the row landed as it was planned.
            after if after is not None else dict(row.new),
            row.base,
            _took_back(line),
        )

    def _image(self, sealer: Sealer, line: HistoryLine, kind: str, sealed: bytes | None) -> Values | None:
        if sealed is None:
            return None
        place = image_place(line.plan_id, self._entity, line.migration_key, line.attempt, kind, step=line.step)
        opened: Mapping[str, Any] = sealer.open(sealed, place)
        return opened

    def _sealer(self, key_id: str) -> Sealer | None:
        """None: what was sealed under the key was destroyed. Such a plan is never taken back itself."""
        if key_id not in self._sealers:
            try:
                self._sealers[key_id] = self._journal.sealer(key_id)
            except ConfigError:
                self._sealers[key_id] = None
        return self._sealers[key_id]


def _deed(line: HistoryLine) -> Deed:
    if line.state == RowState.UNDONE:
        # Before it deletes records of a cycle, an undo clears the references between them.
        return Deed.ENDED if line.action in _ENDING and line.step != PARTING else Deed.RESTORED
    if line.step > 1:
        return Deed.UPDATED
    if line.state == RowState.CONFLICT and line.action == Action.ADOPT:
        return Deed.ADOPTED
    return {RowState.CREATED: Deed.CREATED, RowState.ADOPTED: Deed.ADOPTED}.get(RowState(line.state), Deed.UPDATED)


def _fields(line: HistoryLine, row: PlannedRow, before: Values | None, after: Values | None) -> frozenset[str]:
    """The fields that the call set."""
    if line.state == RowState.UNDONE and after is not None:
        return frozenset(after)
    if line.step > 1:
        return frozenset(row.deferred)
    if line.state == RowState.CONFLICT and row.action is not Action.ADOPT:
        return frozenset(after if after is not None else row.new)
    if row.action in (Action.ADOPT, Action.RESTORE):
        # Those that did not hold what the plan saw were left alone; without a call all were.
        held = before if before is not None else {}
        sent = (*row.new, *row.references)
        return frozenset(name for name in sent if name in held and held[name] == row.old.get(name))
    return frozenset((*row.new, *row.references))


def _took_back(line: HistoryLine) -> frozenset[str]:
    return frozenset(line.scope.get("plans", ())) if line.kind == "undo" and line.step != PARTING else frozenset()
