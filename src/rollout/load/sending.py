"""One batch of rows, from intent to outcome: the only place that calls a target to write (promise 3).

Order is everything here: intents are committed before the call, the answer is joined by key, what was stored is read
back, and only then the lines are closed. Whatever happens in between leaves open intents, which the next run probes;
what was never sent because another batch failed has none.
A batch that fails as a whole is halved until the row at which it fails stands alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from rollout.errors import OutcomeUnknown, Retryable, RowRejected
from rollout.journal.plans import StoredRow
from rollout.journal.rows import OpenLine
from rollout.load.batch_journal import MAX_ANSWERED, Batch, BatchJournal
from rollout.load.exposure import Exposure
from rollout.load.isolation import Isolation, batches_of_resent, halves, verdict
from rollout.load.looking import Looker
from rollout.load.machine import DONE, Decision, RowState
from rollout.load.plan import Action
from rollout.load.preparing import Fresh, Preparer
from rollout.load.work import LoadScope, Round, Work, split_answers
from rollout.model.target import RowResult, RowStatus, TargetRecord, WriteRow

BACKOFF_S = (0.2, 1.0, 3.0, 10.0, 30.0)
"""Pauses between attempts when the target does not name one."""
LONG_TURN_S = 1.0
"""Who waited longer for their turn asks once more whether the lease is ours: the machine may have slept."""


class _Call(NamedTuple):
    """How a call ended."""

    answers: Mapping[str, Sequence[RowResult]]
    """By migration key; none where nothing usable was answered."""
    busy: Retryable | None = None
    """The target did not take the call, and stored nothing."""
    refused: RowRejected | None = None
    """The target refused the call for what a row holds, and stored nothing."""
    heard: str = ""
    """What was heard instead of an answer."""


class Sender:
    """Applies batches of one entity. Thread-safe. Call :meth:`finish` when there are no more.

    Args:
        scope: The entity's load.
        calls_at_once: So many batches are with the target at a time; others wait, whoever called :meth:`apply`.
    """

    def __init__(self, scope: LoadScope, calls_at_once: int = 1) -> None:
        self._scope = scope
        self._turns = threading.BoundedSemaphore(calls_at_once)
        self._stopped = threading.Event()
        self._looker = Looker(scope)
        self._preparer = Preparer(scope)
        self._journal = BatchJournal(scope)
        self.exposure = Exposure()

    def prepare(self, rows: Sequence[StoredRow]) -> Fresh:
        """Make plan rows ready for :meth:`apply`. Nothing is journalled or called for it, so it can be done ahead."""
        return self._preparer.fresh(rows)

    def apply(self, fresh: Fresh) -> list[RowState]:
        """Take fresh rows to an outcome; answers their states. After :meth:`stop`, or where a batch failed, none.

        Raises:
            Retryable: The target did not take the batch after all attempts; nothing of it is open.
            Fatal: The target refuses for good. Open intents stay for the next run.
            LeaseHeld: Another process took over.
        """
        with self._stopping_others():
            if self._may_go_ahead(fresh.works) and not self._stopped.is_set():
                batch, states = self._begin(fresh)
                intended_s = self._scope.clock_s()
                with self._turns:
                    if self._stopped.is_set():  # nothing was sent
                        self._journal.withdraw(batch)
                        return states
                    if self._scope.clock_s() - intended_s > LONG_TURN_S:
                        self._journal.assert_fence()
                    states += self._send_until_closed(batch, may_wait=True)
            else:
                with self._turns:
                    if self._stopped.is_set():
                        return []
                    batch, states = self._begin(fresh)
                    # Where a rate makes the next call wait, so would the outcomes of this one.
                    may_wait = not self._scope.target.capabilities.rate_per_s
                    states += self._send_until_closed(batch, may_wait=may_wait)
            self._journal.close_answered(but=MAX_ANSWERED)
        return states

    def stop(self) -> None:
        """Make no further calls but those of batches that have begun to call; what waits for its turn is let go.

        For good: rows that are given to a sender that has stopped come to no state, and stay for the next run.
        """
        self._stopped.set()

    def finish(self) -> None:
        """Close the batches that no further one came to close.

        Raises:
            LeaseHeld: Another process took over. It probes what is still open.
        """
        self._journal.close_answered()

    def resume(self, lines: Sequence[OpenLine]) -> list[RowState]:
        """Decide open lines by looking at the target, and send what was not stored."""
        with self._stopping_others(), self._turns:
            if self._stopped.is_set():
                return []
            round_ = self._looker.probe(self._preparer.reopened(lines))
            states = self._journal.close(round_, batch=None)
            for works in batches_of_resent(round_.send):
                pending = self._next_attempt(works, tries=0, states=states)
                states += self._send_until_closed(pending)
        return states

    def settle(self, lines: Sequence[OpenLine]) -> list[RowState]:
        """Decide open lines by looking, and send nothing: what was not stored is closed as retried."""
        round_ = self._looker.probe(self._preparer.reopened(lines))
        return self._journal.close(round_, batch=None) + [RowState.RETRIED] * len(round_.send)

    def conclude(
        self, lines: Sequence[OpenLine], decided: Mapping[str, tuple[Decision, TargetRecord | None]]
    ) -> list[RowState]:
        """Close open lines as a person decided.

        Args:
            lines: The lines.
            decided: By migration key the outcome, and the record that the row became; `SEND`: nothing was stored.
        """
        round_ = Round()
        for work in self._preparer.reopened(lines):
            decision, work.record = decided[work.key]
            work.probed = True
            if decision.send:
                round_.send.append(work)
            else:
                round_.decided.append((work, decision))
        return self._journal.close(round_, batch=None)

    # Intent

    def _look(self, works: Sequence[Work]) -> Round:
        looked_s = self._scope.clock_s()
        round_ = self._looker.before(works)
        for work in round_.send:
            if work.record is not None:
                work.looked_s = looked_s
        return round_

    @contextmanager
    def _stopping_others(self) -> Iterator[None]:
        """Where a batch fails, those that wait for their turn are let go."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def _may_go_ahead(self, works: Sequence[Work]) -> bool:
        """Whether intents may be journalled while earlier batches still call, so that the target need not wait for us.

        Only where the time between intent and call decides nothing: what is not found was not stored, however long ago
        the intent was, if the target enforces the key (`Capabilities.absence_decides_after_s`; the journal knows when
        a call was intended, not when it began). An update's call must follow the look at its record, and where calls
        are rationed, what waits for its turn would do so with a ration in its hand.
        """
        capabilities = self._scope.target.capabilities
        creates = all(work.row.action is Action.CREATE for work in works)
        return creates and capabilities.enforces_unique and not capabilities.rate_per_s

    def _begin(self, fresh: Fresh) -> tuple[Batch, list[RowState]]:
        """Look, and journal intents; the batch to be sent, and the states of rows that need no call."""
        first = self._look(fresh.works)
        decided = [*fresh.decided, *first.decided]
        return self._intend(first.send, decided), [decision.state for _, decision in decided if decision.state]

    def _intend(self, works: Sequence[Work], decided: Sequence[tuple[Work, Decision]] = ()) -> Batch:
        """Journal intents, and rows that are decided without a call.

        The token and the lease are seen to first, so that between intent and call nothing lies but the commit, and for
        what goes ahead its turn.
        """
        if works:
            self._scope.throttle.wait()
            self._scope.lease.check(call_timeout_s=self._scope.target.capabilities.call_timeout_s)
        return self._journal.intend(works, decided)

    # The call and its answer

    def _send_until_closed(self, batch: Batch, *, may_wait: bool = False) -> list[RowState]:
        isolation = Isolation(len(batch.works), self._scope.max_attempts)
        states = self._deliver(batch, isolation, tries=0, may_wait=may_wait)
        return states + self._judge(isolation) if isolation.suspects else states

    def _deliver(self, batch: Batch, isolation: Isolation, *, tries: int, may_wait: bool = False) -> list[RowState]:
        """Send a batch, and again what of it was not stored: in halves where it fails as a whole."""
        states: list[RowState] = []
        while batch.works:
            tries += 1
            call = self._call(batch.works)
            round_ = self._learn(batch.works, call)
            decided = self._journal.close(round_, batch=batch.number, may_wait=may_wait)
            # What was stored though the call failed shows as well that it is not the target.
            isolation.note(answered=bool(call.answers) or not DONE.isdisjoint(decided))
            states += decided
            left = round_.send
            if call.busy is None and left and self._is_to_be_parted(left, call, tries):
                if len(left) == 1:
                    isolation.suspects.append((left[0], call.heard))
                    return states
                for half in halves(left):
                    part = self._next_attempt(half, tries=1, states=states, isolation=isolation)
                    states += self._deliver(part, isolation, tries=1)
                return states
            batch = self._next_attempt(left, tries=tries, states=states, busy=call.busy, isolation=isolation)
        return states

    def _is_to_be_parted(self, left: Sequence[Work], call: _Call, tries: int) -> bool:
        """One failure may be an accident; what fails again is looked into, and a lone row gets all its tries."""
        if len(left) == 1 or call.answers:
            return tries >= self._scope.max_attempts
        return tries > 1 or call.refused is not None

    def _learn(self, works: Sequence[Work], call: _Call) -> Round:
        """What became of the rows: what the target stored, by its answers or by looking."""
        if call.busy is not None:
            return Round(send=list(works))
        if call.refused is not None:
            if len(works) > 1:
                return Round(send=list(works))
            reason, told = call.refused.reason_code, call.refused.message
            refusal = RowResult(works[0].key, RowStatus.REJECTED, works[0].row.target_id, reason, told)
            return self._looker.after([(works[0], refusal)])
        answered, doubtful = split_answers(works, call.answers)
        round_ = self._looker.after(answered)
        again = self._looker.probe(doubtful)
        return Round([*round_.decided, *again.decided], again.send)

    def _call(self, works: Sequence[Work]) -> _Call:
        scope = self._scope
        capabilities = scope.target.capabilities
        scope.lease.check(call_timeout_s=capabilities.call_timeout_s)
        rows = [
            WriteRow(
                migration_key=work.key,
                op=work.op,
                values=work.sends,
                target_id=work.row.target_id,
                expected_version=work.record.version if work.record and capabilities.conditional_update else None,
            )
            for work in works
        ]
        answers: dict[str, list[RowResult]] = {}
        try:
            for answer in scope.target.write(scope.entity, rows):
                answers.setdefault(answer.migration_key, []).append(answer)
        except OutcomeUnknown as error:
            return _Call({}, heard=error.message)
        except Retryable as error:
            return _Call({}, busy=error)
        except RowRejected as error:
            return _Call({}, refused=error)
        finally:
            if not capabilities.conditional_update:
                ended_s = scope.clock_s()
                self.exposure.note(ended_s - work.looked_s for work in works if work.looked_s is not None)
        return _Call(answers)

    def _judge(self, isolation: Isolation) -> list[RowState]:
        """Decide about the rows that failed by themselves.

        Raises:
            Retryable: Nothing shows that it is them, and not the target. Nothing of them is open.
        """
        decided = []
        for work, heard in isolation.suspects:
            if not isolation.blames(work):
                raise self._not_stored([work], work.attempt)
            decided.append((replace(work, attempt=work.attempt + 1, sent_s=None), verdict(work, heard)))
        self._intend((), decided)
        return [decision.state for _, decision in decided if decision.state]

    def _not_stored(self, works: Sequence[Work], attempts: int) -> Retryable:
        return Retryable(
            f"{len(works)} rows were not stored in {attempts} attempts",
            where=f"{self._scope.target.name}, {self._scope.entity} {works[0].key}",
            hint="see the target's own log for these records, then run `rollout load` again",
        )

    def _next_attempt(
        self,
        works: Sequence[Work],
        *,
        tries: int,
        states: list[RowState],
        isolation: Isolation | None = None,
        busy: Retryable | None = None,
    ) -> Batch:
        """Look again after the pause, and journal the next attempts of rows that were not stored.

        Rows that need no call any more are journalled as decided and join ``states``.

        Raises:
            Retryable: The tries are spent. Nothing is open; the next run sends these rows again.
        """
        if not works:
            return Batch((), None)
        scope = self._scope
        if busy is not None and tries >= scope.max_attempts:
            raise busy
        if isolation is not None and isolation.is_in_vain:
            raise self._not_stored(works, isolation.failures)
        pause_s = BACKOFF_S[min(max(tries, 1), len(BACKOFF_S)) - 1]
        scope.sleep(max((busy.retry_after_s or 0.0) if busy else 0.0, pause_s))
        fresh = [
            replace(
                work, attempt=work.attempt + 1, answer=None, sent_s=None, record=None, before_image=None, chosen=None
            )
            for work in works
        ]
        round_ = self._look(fresh)
        batch = self._intend(round_.send, round_.decided)
        states.extend(decision.state for _, decision in round_.decided if decision.state)
        return batch
