"""One batch of rows, from intent to outcome: the only place that calls a target to write (promise 3).

Order is everything here: intents are committed before the call, the answer is joined by key, what was stored is read
back, and only then the lines are closed. Whatever happens in between leaves open intents, which the next run probes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from rollout.errors import OutcomeUnknown, Retryable
from rollout.journal import crosswalk
from rollout.journal.leases import reserve_call
from rollout.journal.plans import Plans, StoredRow
from rollout.journal.rows import Intent, Outcome, remember_records
from rollout.load import machine
from rollout.load.machine import Decision, RowState
from rollout.load.plan import Action, PlannedRow
from rollout.load.work import LoadScope, Round, Work, after_read_back, image_place, row_place, split_answers
from rollout.model.target import Op, RowResult, TargetRecord, WriteRow

BACKOFF_S = (0.2, 1.0, 3.0, 10.0, 30.0)
"""Pauses between attempts when the target does not name one."""
PROBE_WAIT_S = 30.0
"""How long an undecided row is waited for within a run; after that it is parked as unknown and a later run decides."""
PROBE_PAUSE_S = 0.5


class _NothingStored(Exception):  # noqa: N818 - says what is known, and never leaves this module
    """The target did not take the call; the cause is its Retryable."""

    def __init__(self, cause: Retryable) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Sender:
    """Applies batches of one entity. Thread-safe: it keeps no state of its own."""

    def __init__(self, scope: LoadScope) -> None:
        self._scope = scope

    def apply(self, rows: Sequence[StoredRow]) -> list[RowState]:
        """Take fresh rows to an outcome; answers their states.

        Raises:
            Retryable: The target did not take the batch after all attempts; nothing of it is open.
            Fatal: The target refuses for good. Open intents stay for the next run.
            LeaseHeld: Another process took over.
        """
        works, decided = self._prepare(rows)
        first = self._look(works)
        decided.extend(first.decided)
        sent = self._intend(first.send, decided)
        return [decision.state for _, decision in decided if decision.state] + self._send_until_closed(sent)

    def resume(self, rows: Sequence[tuple[StoredRow, int, datetime]]) -> list[RowState]:
        """Decide open lines (row, attempt, time of the intent) by looking; send what was not stored."""
        works, waiting = self._resolve([(self._unseal(stored), stored, attempt) for stored, attempt, _ in rows])
        assert not waiting, "a row is only sent when its parents are loaded"
        intent_at = {stored.migration_key: at for stored, _, at in rows}
        works = [replace(work, intent_at=intent_at[work.key]) for work in works]
        round_ = self._probe_until_decided(works)
        states = self._close(round_.decided)
        return states + self._send_until_closed(self._next_attempt(round_.send))

    def settle(self) -> list[RowState]:
        """Decide all open lines by looking, and send nothing: what was not stored is closed as retried."""
        scope, plans = self._scope, Plans(self._scope.journal.project_id)
        with scope.journal.transaction() as connection:
            lines = scope.states.open_lines(connection)
            stored = plans.rows_by_key(
                connection, scope.plan.plan_id, scope.entity, [line.migration_key for line in lines]
            )
        rows = [(stored[line.migration_key], line.attempt) for line in lines]
        works, _ = self._resolve([(self._unseal(row), row, attempt) for row, attempt in rows])
        intent_at = {line.migration_key: line.intent_at for line in lines}
        round_ = self._probe_until_decided([replace(work, intent_at=intent_at[work.key]) for work in works])
        decided = self._close(round_.decided)
        return decided + self._close([(work, Decision(RowState.RETRIED)) for work in round_.send])

    # From plan to intent

    def _prepare(self, rows: Sequence[StoredRow]) -> tuple[list[Work], list[tuple[Work, Decision]]]:
        decided: list[tuple[Work, Decision]] = []
        to_send: list[tuple[PlannedRow, StoredRow, int]] = []
        for stored in rows:
            row = self._unseal(stored)
            work = Work(row, stored.digest, stored.attempt + 1, row.new)
            if row.action is Action.UNCHANGED:
                decided.append((work, Decision(RowState.UNCHANGED, target_id=row.target_id)))
            elif row.action is Action.CONFLICT:
                decided.append((work, Decision(RowState.CONFLICT, row.target_id, row.reason_code, row.message)))
            else:
                to_send.append((row, stored, stored.attempt + 1))
        works, waiting = self._resolve(to_send)
        decided.extend(
            (
                replace(work, attempt=0),
                Decision(RowState.WAITING, reason_code="parent_not_loaded", message=f"waits for {missing}"),
            )
            for work, missing in waiting
        )
        return works, decided

    def _resolve(self, rows: Sequence[tuple[PlannedRow, StoredRow, int]]) -> tuple[list[Work], list[tuple[Work, str]]]:
        """Put target ids in place of parents; rows whose parents have none yet wait."""
        scope = self._scope
        wanted: dict[str, set[str]] = {}
        for row, _, _ in rows:
            for reference in row.references.values():
                wanted.setdefault(reference.entity, set()).add(reference.migration_key)
        ids: dict[tuple[str, str], str] = {}
        with scope.journal.transaction() as connection:
            for entity, keys in wanted.items():
                found = crosswalk.target_ids(
                    connection, scope.journal.project_id, entity, scope.plan.target, sorted(keys)
                )
                ids.update({(entity, key): target_id for key, target_id in found.items()})
        works, waiting = [], []
        for row, stored, attempt in rows:
            parents = {
                name: ids.get((reference.entity, reference.migration_key)) for name, reference in row.references.items()
            }
            work = Work(row, stored.digest, attempt, {**row.new, **parents})
            missing = [row.references[name] for name, target_id in parents.items() if target_id is None]
            if missing:
                waiting.append((work, f"{missing[0].entity} {missing[0].migration_key}"))
            else:
                works.append(work)
        return works, waiting

    def _look(self, works: Sequence[Work]) -> Round:
        """Look at the target before anything is sent, where the plan could be out of date."""
        unsure = [w for w in works if w.op is Op.UPDATE or not self._scope.target.capabilities.enforces_unique]
        current = self._read([work.key for work in unsure])
        looked_at = {work.key for work in unsure}
        round_ = Round()
        for work in works:
            if work.key not in looked_at:
                round_.send.append(work)
                continue
            records = current.get(work.key, ())
            if work.op is Op.UPDATE:
                decision = machine.before_update(work.row.old, work.new, records)
            else:
                decision = machine.before_create(records)
            if decision.send:
                round_.send.append(replace(work, record=records[0] if records else None))
            else:
                round_.decided.append((work, decision))
        return round_

    def _intend(self, works: Sequence[Work], decided: Sequence[tuple[Work, Decision]] = ()) -> list[Work]:
        scope = self._scope
        at = scope.clock()
        outcomes = [self._outcome(work, decision) for work, decision in decided]
        with scope.journal.transaction() as connection:
            scope.lease.assert_fence(connection)
            scope.states.decide(connection, outcomes, at=at)
            remember_records(connection, scope.journal.project_id, scope.plan.target, scope.states, outcomes)
            scope.states.intend(
                connection,
                [Intent(work.key, work.attempt, work.digest, self._before_image(work)) for work in works],
                at=at,
            )
        return [replace(work, intent_at=at) for work in works]

    # The call and its answer

    def _send_until_closed(self, works: Sequence[Work]) -> list[RowState]:
        pending, states = list(works), []
        while pending:
            try:
                results = self._call(pending)
            except _NothingStored as refused:
                pending = self._next_attempt(pending, cause=refused.cause)
                continue
            answered, doubtful = split_answers(pending, results)
            round_ = self._settle(answered)
            again = self._probe_until_decided(doubtful)
            states += self._close([*round_.decided, *again.decided])
            pending = self._next_attempt(again.send)
        return states

    def _call(self, works: Sequence[Work]) -> Mapping[str, RowResult]:
        scope = self._scope
        capabilities = scope.target.capabilities
        if capabilities.rate_per_s:
            scope.sleep(
                reserve_call(
                    scope.journal, scope.target.name, rate_per_s=capabilities.rate_per_s, burst=capabilities.concurrency
                )
            )
        scope.lease.check(call_timeout_s=capabilities.call_timeout_s)
        rows = [
            WriteRow(
                migration_key=work.key,
                op=work.op,
                values=work.new,
                target_id=work.row.target_id,
                expected_version=work.record.version if work.record and capabilities.conditional_update else None,
            )
            for work in works
        ]
        try:
            answers = scope.target.write(scope.entity, rows)
        except OutcomeUnknown:
            return {}
        except Retryable as error:
            raise _NothingStored(error) from error
        sent = {work.key for work in works}
        return {answer.migration_key: answer for answer in answers if answer.migration_key in sent}

    def _settle(self, answered: Sequence[tuple[Work, RowResult]]) -> Round:
        """Read back what the target says it stored; its answer alone is no proof."""
        landed = [work.key for work, result in answered if machine.after_answer(result).state in machine.LANDED]
        stored = self._read_back(landed)
        round_ = Round()
        for work, result in answered:
            decision = machine.after_answer(result)
            if decision.state in machine.LANDED:
                decision, work = after_read_back(work, decision, stored.get(work.key, ()))  # noqa: PLW2901
            round_.decided.append((work, decision))
        return round_

    def _probe_until_decided(self, works: Sequence[Work]) -> Round:
        """Decide rows without a usable answer by looking, for up to PROBE_WAIT_S."""
        scope, round_, waited_s = self._scope, Round(), 0.0
        undecided = list(works)
        while undecided:
            current = self._read([work.key for work in undecided])
            still: list[Work] = []
            for work in undecided:
                records = current.get(work.key, ())
                assert work.intent_at is not None
                decision = machine.probe(
                    work.op,
                    work.new,
                    work.row.old,
                    records,
                    elapsed_s=(scope.clock() - work.intent_at).total_seconds(),
                    capabilities=scope.target.capabilities,
                )
                if decision.send and work.op is Op.CREATE and work.answer is not None and work.answer.reason_code:
                    round_.decided.append((work, machine.after_answer(work.answer)))  # another record is in its way
                elif decision.send:
                    round_.send.append(replace(work, record=records[0] if records else None))
                elif decision.state is RowState.UNKNOWN and waited_s < PROBE_WAIT_S:
                    still.append(work)
                elif decision.state in machine.LANDED:
                    decision, landed = after_read_back(work, decision, records)
                    round_.decided.append((landed, decision))
                else:
                    round_.decided.append((work, decision))
            undecided = still
            if undecided:
                scope.sleep(PROBE_PAUSE_S)
                waited_s += PROBE_PAUSE_S
        return round_

    def _next_attempt(self, works: Sequence[Work], *, cause: Retryable | None = None) -> list[Work]:
        """Close attempts that stored nothing, and journal the next ones.

        Raises:
            Retryable: The attempts are spent. Nothing is open; the next run sends these rows again.
        """
        if not works:
            return []
        attempt = max(work.attempt for work in works)
        self._close([(work, Decision(RowState.RETRIED)) for work in works])
        if attempt >= self._scope.max_attempts:
            raise cause or Retryable(
                f"{len(works)} rows were not stored in {attempt} attempts",
                where=f"{self._scope.target.name}, {self._scope.entity} {works[0].key}",
                hint="see the target's own log for these records, then run `rollout load` again",
            )
        self._scope.sleep(
            max((cause.retry_after_s or 0.0) if cause else 0.0, BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1])
        )
        return self._intend([replace(work, attempt=work.attempt + 1, answer=None) for work in works])

    # Journal

    def _close(self, decided: Iterable[tuple[Work, Decision]]) -> list[RowState]:
        scope = self._scope
        pairs = list(decided)
        if not pairs:
            return []
        outcomes = [self._outcome(work, decision) for work, decision in pairs]
        with scope.journal.transaction() as connection:
            scope.lease.assert_fence(connection)
            scope.states.close(connection, outcomes, at=scope.clock())
            remember_records(connection, scope.journal.project_id, scope.plan.target, scope.states, outcomes)
        return [decision.state for _, decision in pairs if decision.state]

    def _outcome(self, work: Work, decision: Decision) -> Outcome:
        assert decision.state is not None
        landed_record = work.record if decision.state in machine.LANDED and work.intent_at else None
        return Outcome(
            migration_key=work.key,
            attempt=work.attempt,
            state=decision.state.value,
            target_id=decision.target_id,
            reason_code=decision.reason_code,
            message=decision.message or None,
            after_image=self._scope.sealer.seal(landed_record.values, self.place(work, "after"))
            if landed_record
            else None,
        )

    def _before_image(self, work: Work) -> bytes | None:
        if work.record is None:
            return None
        return self._scope.sealer.seal(work.record.values, self.place(work, "before"))

    def place(self, work: Work, kind: str) -> str:
        """Where a sealed image belongs."""
        return image_place(self._scope.plan.plan_id, self._scope.entity, work.key, work.attempt, kind)

    def _unseal(self, stored: StoredRow) -> PlannedRow:
        payload = self._scope.sealer.open(
            stored.payload, row_place(self._scope.plan.plan_id, self._scope.entity, stored.migration_key)
        )
        return PlannedRow.from_payload(
            stored.migration_key, stored.golden_key, stored.action, stored.reason_code, payload
        )

    # Reading

    def _read(self, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        scope, found = self._scope, dict[str, Sequence[TargetRecord]]()
        size = scope.target.capabilities.max_read_keys
        for start in range(0, len(keys), size):
            found.update(scope.target.read_by_keys(scope.entity, keys[start : start + size]))
        return found

    def _read_back(self, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        """Read rows that the target says are stored, waiting for those its reads do not show yet."""
        scope = self._scope
        found = self._read(keys)
        left_s = scope.target.capabilities.read_your_writes_delay_s
        while left_s > 0 and (missing := [key for key in keys if not found.get(key)]):
            scope.sleep(PROBE_PAUSE_S)
            left_s -= PROBE_PAUSE_S
            found.update(self._read(missing))
        return found
