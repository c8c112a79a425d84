"""Looking at records by their ids: those that an undo takes back, and those that people made and that become ours.

One look decides before the call, after it, and after a crash: see `rollout.load.machine_undo` and `machine_adopt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.connectors.base import LinkReader, RecordLink
from rollout.connectors.reasons import Reason
from rollout.journal.rows import still_to_take_back
from rollout.load import machine, machine_adopt, machine_undo
from rollout.load.machine import Decision
from rollout.load.plan import Action
from rollout.load.work import LoadScope, Work
from rollout.model.target import RowResult, RowStatus, TargetRecord

PAUSE_S = 0.5


class Inspector:
    """Decides about rows of one entity whose records are found by id. Thread-safe: it keeps no state of its own."""

    def __init__(self, scope: LoadScope) -> None:
        self._scope = scope

    def before(self, works: Sequence[Work]) -> list[tuple[Work, Decision]]:
        """Look before anything is sent."""
        records, taken = self._read(works), self._taken(works)
        decided = [(work, taken.get(work.key) or self._look(work, records.get(work.key))) for work in works]
        return self._unless_linked(decided)

    def again(self, works: Sequence[Work]) -> list[tuple[Work, Decision]]:
        """Look where an answer is missing, or does not say enough."""
        scope = self._scope
        return [(work, self._in_time(work, decision, scope.clock_s())) for work, decision in self.before(works)]

    def after(self, answered: Sequence[tuple[Work, RowResult]]) -> list[tuple[Work, Decision]]:
        """Decide with the records as they are read back, waiting for those that reads do not show as sent yet."""
        accepted = [work for work, result in answered if result.status is not RowStatus.REJECTED]
        records = self._read_back(accepted)
        return [
            (work, self._refused(work, result) if result.status is RowStatus.REJECTED else self._after(work, records))
            for work, result in answered
        ]

    def _look(self, work: Work, record: TargetRecord | None) -> Decision:
        work.record = record
        row = work.row
        if row.action is Action.DELETE:
            decision = machine_undo.look_at_deletion(
                work.key, row.old, record, row.target_id, is_sent=work.sent_s is not None
            )
        elif row.action is Action.ADOPT:
            decision = machine_adopt.look(work.key, work.new, row.old, record)
            work.probed = True
        else:
            decision = machine_undo.look_at_return(
                work.key, work.new, row.old, record, releases=row.action is Action.RELEASE
            )
        work.chosen = decision.values
        return decision

    def _after(self, work: Work, records: Mapping[str, TargetRecord]) -> Decision:
        record = records.get(work.key)
        action = work.row.action
        if action is Action.DELETE:
            target_id = work.row.target_id or ""
            return machine_undo.still_there(target_id) if record else Decision(machine.RowState.UNDONE, target_id)
        work.record, work.probed = record, False
        if action is Action.ADOPT:
            return machine_adopt.after(work.key, work.new, work.sends, record)
        return machine_undo.after_return(work.key, work.new, work.sends, record, releases=action is Action.RELEASE)

    def _refused(self, work: Work, result: RowResult) -> Decision:
        if work.row.action is Action.ADOPT:
            return machine.after_answer(result)
        return machine_undo.after_refusal(result, work.row.target_id)

    def _in_time(self, work: Work, decision: Decision, now_s: float) -> Decision:
        """What looking again says, where sending again is neither too early nor in vain."""
        assert work.sent_s is not None
        answer = work.answer
        if not decision.send or answer is None or answer.reason_code == Reason.VERSION_CHANGED:
            return machine.unless_late(
                decision, elapsed_s=now_s - work.sent_s, capabilities=self._scope.target.capabilities
            )
        if answer.reason_code == Reason.REFERENCED:
            return machine_undo.linked(work.row.target_id or "", ())
        return machine.after_answer(answer)

    def _unless_linked(self, decided: list[tuple[Work, Decision]]) -> list[tuple[Work, Decision]]:
        """Records to be deleted that others refer to stay, or wait for those that still go back themselves."""
        deleted = [work for work, decision in decided if decision.send and _deletes(work)]
        if not deleted:
            return decided
        reader = self._scope.links
        if reader is None:
            return [(work, _unlooked(work, decision)) for work, decision in decided]
        links = self._links(reader, [work.row.target_id or "" for work in deleted])
        found = {link.migration_key for of_record in links.values() for link in of_record if link.migration_key}
        leaving = self._leaving(found) if found else set()
        return [
            (work, self._linked(work, links.get(work.row.target_id or "", ()), leaving) or decision)
            if decision.send and _deletes(work)
            else (work, decision)
            for work, decision in decided
        ]

    def _linked(self, work: Work, links: Sequence[RecordLink], leaving: set[str]) -> Decision | None:
        target_id = work.row.target_id or ""
        others = [link for link in links if link.target_id != target_id]  # that it refers to itself is no obstacle
        staying = {link.entity for link in others if link.migration_key not in leaving}
        if staying:
            return machine_undo.linked(target_id, staying)
        return machine_undo.awaits(target_id, len(others)) if others else None

    def _links(self, reader: LinkReader, target_ids: Sequence[str]) -> dict[str, Sequence[RecordLink]]:
        scope, found = self._scope, dict[str, Sequence[RecordLink]]()
        size = scope.target.capabilities.max_read_keys
        for start in range(0, len(target_ids), size):
            scope.throttle.wait()
            found.update(reader.links_to(scope.entity, target_ids[start : start + size]))
        return found

    def _taken(self, works: Sequence[Work]) -> dict[str, Decision]:
        """Conflicts of records to be adopted whose key another record has, where the target would not refuse it."""
        scope, found = self._scope, dict[str, Decision]()
        adopted = {work.key: work.row.target_id for work in works if work.row.action is Action.ADOPT}
        if not adopted or scope.target.capabilities.enforces_unique:
            return found
        keys, size = list(adopted), scope.target.capabilities.max_read_keys
        for start in range(0, len(keys), size):
            scope.throttle.wait()
            for key, records in scope.target.read_by_keys(scope.entity, keys[start : start + size]).items():
                if any(record.target_id != adopted[key] for record in records):
                    found[key] = machine_adopt.taken(records)
        return found

    def _leaving(self, migration_keys: set[str]) -> set[str]:
        scope = self._scope
        with scope.journal.transaction() as connection:
            return still_to_take_back(connection, scope.plan.plan_id, sorted(migration_keys))

    def _read(self, works: Sequence[Work]) -> dict[str, TargetRecord]:
        """Records by migration key of the rows that they are for."""
        scope = self._scope
        size = scope.target.capabilities.max_read_keys
        ids = [work.row.target_id or "" for work in works]
        found: dict[str, TargetRecord] = {}
        for start in range(0, len(ids), size):
            scope.throttle.wait()
            found.update(scope.target.read_by_ids(scope.entity, ids[start : start + size]))
        return {work.key: found[target_id] for work, target_id in zip(works, ids, strict=True) if target_id in found}

    def _read_back(self, works: Sequence[Work]) -> dict[str, TargetRecord]:
        found = self._read(works)
        left_s = self._scope.target.capabilities.read_your_writes_delay_s
        while left_s > 0 and (stale := [work for work in works if not _shows(work, found.get(work.key))]):
            self._scope.sleep(PAUSE_S)
            left_s -= PAUSE_S
            shown = self._read(stale)
            for work in stale:
                found.pop(work.key, None)
            found.update(shown)
        return found


def _unlooked(work: Work, decision: Decision) -> Decision:
    """Nobody can say whether people linked records to it: it stays."""
    return machine_undo.links_unknown(work.row.target_id or "") if decision.send and _deletes(work) else decision


def _deletes(work: Work) -> bool:
    return work.row.action is Action.DELETE


def _shows(work: Work, record: TargetRecord | None) -> bool:
    action = work.row.action
    if action is Action.DELETE or record is None:
        return action is Action.DELETE and record is None
    has_key = record.migration_key == work.key
    return has_key is not (action is Action.RELEASE) and work.sends.items() <= record.values.items()
