"""From a plan's sealed rows to work on its way: payloads opened, parents' target ids put in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.journal import crosswalk
from rollout.journal.plans import Plans, StoredRow
from rollout.journal.rows import OpenLine
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


class Preparer:
    """Prepares the rows of one entity. Thread-safe: it keeps no state of its own."""

    def __init__(self, scope: LoadScope) -> None:
        self._scope = scope

    def fresh(self, rows: Sequence[StoredRow]) -> tuple[list[Work], list[tuple[Work, Decision]]]:
        """Rows to be sent, and those that need no call or must wait for a parent."""
        decided: list[tuple[Work, Decision]] = []
        to_send: list[Work] = []
        for stored in rows:
            row = self._unseal(stored)
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
        return works, decided

    def reopened(self, lines: Sequence[OpenLine]) -> list[Work]:
        """The work that open lines stand for."""
        scope = self._scope
        with scope.journal.transaction() as connection:
            stored = Plans(scope.journal.project_id).rows_by_key(
                connection, scope.plan.plan_id, scope.entity, [line.migration_key for line in lines]
            )
        now_s = scope.clock_s()
        works, waiting = self._resolve(
            [
                Work(
                    line.migration_key,
                    row := self._unseal(stored[line.migration_key]),
                    stored[line.migration_key].digest,
                    line.attempt,
                    row.new,
                    sent_s=now_s - line.elapsed_s,
                    claimed_id=line.target_id,
                )
                for line in lines
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

    def _unseal(self, stored: StoredRow) -> PlannedRow:
        payload = self._scope.sealer.open(
            stored.payload, row_place(self._scope.plan.plan_id, self._scope.entity, stored.migration_key)
        )
        return PlannedRow.from_payload(
            stored.migration_key, stored.golden_key, stored.action, stored.reason_code, payload
        )
