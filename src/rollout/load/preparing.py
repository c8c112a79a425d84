"""From a plan's sealed rows to work on its way: payloads opened, parents' target ids put in place.

In the second step a row is an update of the record that the first one left: it sets the references that had to wait.
Before an undo deletes records of a cycle it clears these references again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rollout.journal import crosswalk
from rollout.journal.plans import Plans, StoredRow
from rollout.journal.rows import PARTING, SECOND_STEP, OpenLine
from rollout.load.machine import Decision, RowState
from rollout.load.plan import Action, PlannedRow, Reference
from rollout.load.work import LoadScope, Work, row_place

_WITHOUT_CALL = {
    Action.UNCHANGED: RowState.UNCHANGED,
    Action.CONFLICT: RowState.CONFLICT,
    Action.SKIP: RowState.SKIPPED,
    Action.KEEP: RowState.KEPT,
}
"""What the plan itself decided."""


class Fresh(NamedTuple):
    """A batch of rows that no call was made for yet."""

    works: Sequence[Work]
    """To be sent."""
    decided: Sequence[tuple[Work, Decision]]
    """Those that need no call, or must wait for a parent."""


class Preparer:
    """Prepares the rows of one entity. Thread-safe: it keeps no state of its own."""

    def __init__(self, scope: LoadScope) -> None:
        self._scope = scope

    def fresh(self, rows: Sequence[StoredRow]) -> Fresh:
        """Rows that no call was made for yet."""
        decided: list[tuple[Work, Decision]] = []
        to_send: list[Work] = []
        for stored, row in self._opened(rows):
            work = Work(row.migration_key, row, stored.digest, stored.attempt + 1, row.new)
            state = _WITHOUT_CALL.get(row.action)
            if state is None:
                to_send.append(work)
            elif state is RowState.UNCHANGED:
                decided.append((work, Decision(state, row.target_id)))
            else:
                reason = row.reason_code or ("skipped_by_person" if row.action is Action.SKIP else None)
                decided.append((work, Decision(state, row.target_id, reason, row.message)))
        works, waiting = self._resolve(to_send)
        for work, missing in waiting:
            told = f"waits for {missing}"
            decided.append((work, Decision(RowState.WAITING, reason_code="parent_not_loaded", message=told)))
        return Fresh(works, decided)

    def reopened(self, lines: Sequence[OpenLine]) -> list[Work]:
        """The work that open lines stand for."""
        scope = self._scope
        with scope.journal.transaction() as connection:
            stored = Plans(scope.journal.project_id).rows_by_key(
                connection, scope.plan.plan_id, scope.entity, [line.migration_key for line in lines]
            )
        now_s, by_key = scope.clock_s(), {line.migration_key: line for line in lines}
        works, waiting = self._resolve(
            [
                Work(
                    row.migration_key,
                    row,
                    sealed.digest,
                    (line := by_key[row.migration_key]).attempt,
                    row.new,
                    sent_s=now_s - line.elapsed_s,
                    claimed_id=line.target_id,
                )
                for sealed, row in self._opened([stored[key] for key in by_key])
            ]
        )
        assert not waiting, "a row is only sent when its parents are loaded"
        return works

    def _resolve(self, works: Sequence[Work]) -> tuple[list[Work], list[tuple[Work, str]]]:
        """Put target ids in place of parents; rows whose parents have none yet wait."""
        ids = self._parent_ids(works)
        ready, waiting = [], []
        for work in works:
            references = work.row.references
            if not references:
                ready.append(work)
                continue
            missing = next((parent for parent in references.values() if parent not in ids), None)
            if missing is not None:
                waiting.append((work, f"{missing.entity} {missing.migration_key}"))
                continue
            work.new = {**work.new, **{name: ids[parent] for name, parent in references.items()}}
            ready.append(work)
        return ready, waiting

    def _parent_ids(self, works: Sequence[Work]) -> Mapping[Reference, str]:
        scope = self._scope
        wanted: dict[str, set[str]] = {}
        for work in works:
            for reference in work.row.references.values():
                wanted.setdefault(reference.entity, set()).add(reference.migration_key)
        ids: dict[Reference, str] = {}
        for entity, keys in wanted.items():
            with scope.journal.transaction() as connection:
                found = crosswalk.target_ids(
                    connection, scope.journal.project_id, entity, scope.plan.target, sorted(keys)
                )
            ids.update({Reference(entity, key): target_id for key, target_id in found.items()})
        return ids

    def _opened(self, rows: Sequence[StoredRow]) -> list[tuple[StoredRow, PlannedRow]]:
        """The rows as this step has them; those that it has nothing to do for are left out."""
        opened = list(zip(rows, self._unsealed(rows), strict=True))
        step, deferred = self._scope.states.step, self._scope.deferred
        if step == SECOND_STEP:
            return self._completing(opened)
        if step == PARTING:
            return self._parting(opened)
        return self._parted(opened) if deferred and any(row.action is Action.DELETE for _, row in opened) else opened

    def _parting(self, opened: Sequence[tuple[StoredRow, PlannedRow]]) -> list[tuple[StoredRow, PlannedRow]]:
        """Rows to be deleted, as updates that clear their references."""
        scope = self._scope
        with scope.journal.transaction() as connection:
            parted = scope.states.undone(connection, [row.migration_key for _, row in opened])
        rows = [
            (stored, parting(row, scope.deferred))
            for stored, row in opened
            if row.action is Action.DELETE and row.migration_key not in parted
        ]
        return [(stored, row) for stored, row in rows if row.new]

    def _parted(self, opened: Sequence[tuple[StoredRow, PlannedRow]]) -> list[tuple[StoredRow, PlannedRow]]:
        """Rows to be deleted, as they are once their references are cleared."""
        scope, cleared = self._scope, dict.fromkeys(self._scope.deferred)
        with scope.journal.transaction() as connection:
            keys = [row.migration_key for _, row in opened]
            parted = scope.states.of_step(PARTING).undone(connection, keys)
        return [
            (stored, row._replace(old={**row.old, **cleared}) if row.migration_key in parted else row)
            for stored, row in opened
        ]

    def _completing(self, opened: Sequence[tuple[StoredRow, PlannedRow]]) -> list[tuple[StoredRow, PlannedRow]]:
        scope = self._scope
        deferring = [(stored, row) for stored, row in opened if row.deferred]
        with scope.journal.transaction() as connection:
            ids = crosswalk.target_ids(
                connection,
                scope.journal.project_id,
                scope.entity,
                scope.plan.target,
                [row.migration_key for _, row in deferring],
            )
        return [(stored, completion(row, ids.get(row.migration_key))) for stored, row in deferring]

    def _unsealed(self, rows: Sequence[StoredRow]) -> list[PlannedRow]:
        plan_id, entity = self._scope.plan.plan_id, self._scope.entity
        payloads = self._scope.sealer.open_all(
            [stored.payload for stored in rows], [row_place(plan_id, entity, stored.migration_key) for stored in rows]
        )
        return [
            PlannedRow.from_payload(stored.migration_key, stored.golden_key, stored.action, stored.reason_code, payload)
            for stored, payload in zip(rows, payloads, strict=True)
        ]


def completion(row: PlannedRow, target_id: str | None) -> PlannedRow:
    """The second step of a row, as an update of the record that its first step left."""
    return PlannedRow(
        row.migration_key,
        row.golden_key,
        Action.UPDATE,
        old={name: row.old.get(name) for name in row.deferred},
        references=row.deferred,
        target_id=row.target_id or target_id,
        base={name: row.base.get(name) for name in row.deferred},
    )


def parting(row: PlannedRow, deferred: Sequence[str]) -> PlannedRow:
    """What clears the references of a record that is to be deleted, so that those it refers to can be as well."""
    held = {name: value for name in deferred if (value := row.old.get(name)) is not None}
    return PlannedRow(
        row.migration_key,
        row.golden_key,
        Action.RESTORE,
        new=dict.fromkeys(held),
        old=held,
        base=dict.fromkeys(held),
        target_id=row.target_id,
    )
