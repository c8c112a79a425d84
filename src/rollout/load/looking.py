"""Looking at the target: before a write, after it, and where an answer is missing. Never writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.connectors.reasons import Reason
from rollout.load import machine
from rollout.load.inspecting import Inspector
from rollout.load.machine import Decision, RowState
from rollout.load.work import BY_ID, LoadScope, Round, Work, after_read_back
from rollout.model.target import Op, RowResult, TargetRecord

PROBE_WAIT_S = 30.0
"""How long an undecided row is waited for within a run; after that it is parked as unknown and a later run decides."""
PROBE_PAUSE_S = 0.5


class Looker:
    """Reads one entity's records and decides about rows by them. Thread-safe: it keeps no state of its own."""

    def __init__(self, scope: LoadScope) -> None:
        self._scope = scope
        self._inspector = Inspector(scope)

    def before(self, works: Sequence[Work]) -> Round:
        """Look before anything is sent, where the plan could be out of date."""
        enforces = self._scope.target.capabilities.enforces_unique
        by_id = [work for work in works if work.row.action in BY_ID]
        round_ = Round()
        if by_id:
            round_.note(self._inspector.before(by_id))
            works = [work for work in works if work.row.action not in BY_ID]
        current = self._read([work.key for work in works if work.op is Op.UPDATE or not enforces])
        for work in works:
            records = current.get(work.key, ())
            if work.op is Op.UPDATE:
                decision = machine.before_update(work.row.old, work.new, records, work.row.target_id)
            else:
                decision = machine.before_create(records)
            if decision.send:
                work.record = records[0] if records else None
                round_.send.append(work)
            else:
                round_.decided.append((work, decision))
        return round_

    def after(self, answered: Sequence[tuple[Work, RowResult]]) -> Round:
        """Learn what the target really stored: from its answer if it is of that kind, otherwise by reading back."""
        by_id = [pair for pair in answered if pair[0].row.action in BY_ID]
        round_ = Round(self._inspector.after(by_id) if by_id else [])
        if by_id:
            answered = [pair for pair in answered if pair[0].row.action not in BY_ID]
        stored: dict[str, Sequence[TargetRecord]] = {}
        capabilities = self._scope.target.capabilities
        if capabilities.returns_stored and capabilities.enforces_unique:
            stored = {
                work.key: (record,)
                for work, result in answered
                if (record := result.stored) is not None and record.migration_key == work.key
            }
        decisions = [(work, machine.after_answer(result)) for work, result in answered]
        landed = [work for work, decision in decisions if decision.state in machine.LANDED]
        stored.update(self._read_back([work for work in landed if work.key not in stored]))
        round_.decided += [
            after_read_back(work, decision, stored.get(work.key, ()))
            if decision.state in machine.LANDED
            else (work, decision)
            for work, decision in decisions
        ]
        return round_

    def probe(self, works: Sequence[Work]) -> Round:
        """Decide rows without a usable answer by looking, for up to PROBE_WAIT_S."""
        round_, waited_s = Round(), 0.0
        undecided = list(works)
        while undecided:
            looked = self._look_again(undecided)
            undecided = []
            for work, decision in looked:
                if decision.state is RowState.UNKNOWN and waited_s < PROBE_WAIT_S and not work.claimed_id:
                    undecided.append(work)
                else:
                    round_.note([(work, decision)])
            if undecided:
                self._scope.sleep(PROBE_PAUSE_S)
                waited_s += PROBE_PAUSE_S
        return round_

    def _look_again(self, works: Sequence[Work]) -> list[tuple[Work, Decision]]:
        by_key = [work for work in works if work.row.action not in BY_ID]
        current = self._read([work.key for work in by_key])
        found = self._inspector.again([work for work in works if work.row.action in BY_ID])
        for work in by_key:
            records = current.get(work.key, ())
            decision = self._decide(work, records)
            if decision.send:
                work.record = records[0] if records else None
            elif decision.state in machine.LANDED:
                work.probed = True
                work, decision = after_read_back(work, decision, records)  # noqa: PLW2901 - the same work
            found.append((work, decision))
        return found

    def _decide(self, work: Work, records: Sequence[TargetRecord]) -> Decision:
        assert work.sent_s is not None
        capabilities = self._scope.target.capabilities
        elapsed_s = self._scope.clock_s() - work.sent_s
        decision = machine.probe(
            work.op,
            work.new,
            work.row.old,
            records,
            target_id=work.row.target_id,
            elapsed_s=elapsed_s,
            capabilities=capabilities,
        )
        if not decision.send:
            return decision
        if work.claimed_id:
            return Decision(
                RowState.UNKNOWN,
                work.claimed_id,
                "not_readable",
                "stored, says the target, but its reads do not show it: a person must look it up",
            )
        if work.answer is None or work.answer.reason_code == Reason.VERSION_CHANGED:
            return decision
        if work.op is Op.CREATE and work.answer.reason_code == Reason.KEY_EXISTS:
            # The target holds our key, though reads do not show it yet: most likely our own call whose answer was lost.
            return Decision(
                RowState.UNKNOWN,
                work.answer.target_id,
                "key_exists",
                "the key is taken, but reads do not show the record",
            )
        return machine.after_answer(work.answer)  # something else is in the way: sending again would not help

    def _read(self, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        scope, found = self._scope, dict[str, Sequence[TargetRecord]]()
        size = scope.target.capabilities.max_read_keys
        for start in range(0, len(keys), size):
            scope.throttle.wait()
            found.update(scope.target.read_by_keys(scope.entity, keys[start : start + size]))
        return found

    def _read_back(self, works: Sequence[Work]) -> Mapping[str, Sequence[TargetRecord]]:
        """Read rows that the target says are stored, waiting for those its reads do not show as sent yet."""
        found = self._read([work.key for work in works])
        left_s = self._scope.target.capabilities.read_your_writes_delay_s
        while left_s > 0 and (stale := [work.key for work in works if not _shows(work, found.get(work.key, ()))]):
            self._scope.sleep(PROBE_PAUSE_S)
            left_s -= PROBE_PAUSE_S
            found.update(self._read(stale))
        return found


def _shows(work: Work, records: Sequence[TargetRecord]) -> bool:
    return bool(records) and all(records[0].values.get(name) == value for name, value in work.new.items())
