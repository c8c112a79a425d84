"""What the journal is told of the batches of one entity: intents before calls, outcomes after them.

A batch whose rows all landed need not be closed at once: its outcomes are journalled along with the next intents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from rollout.journal.engine import Connection
from rollout.journal.rows import Intent, Outcome, forget_records, knows_records, remember_records
from rollout.load.machine import DONE, Decision, RowState
from rollout.load.scribe import Scribe
from rollout.load.work import LoadScope, Round, Work

MAX_ANSWERED = 1
"""So many answered batches may be left for the next intents to close; where there are more, intents are getting few."""


class Batch(NamedTuple):
    """Rows that are being sent, and the number that their intents are journalled under."""

    works: Sequence[Work]
    number: int | None


class _Answered(NamedTuple):
    """A batch that nothing is left to do for but to journal what became of its rows."""

    number: int
    decided: Sequence[tuple[Work, Decision]]


class BatchJournal:
    """Journals batches of one entity's load. Thread-safe. Call :meth:`close_answered` when there are no more.

    Every method raises LeaseHeld where another process took over.
    """

    def __init__(self, scope: LoadScope) -> None:
        self._scope = scope
        self._scribe = Scribe(scope)
        self._answered: deque[_Answered] = deque()
        """To be closed along with the next intents."""
        with scope.journal.transaction() as connection:
            # A plan has a key once, and we hold the lease: what nobody remembers now, only its one row will.
            self._all_new = not knows_records(connection, scope.journal.project_id, scope.plan.target, scope.entity)

    def intend(self, works: Sequence[Work], decided: Sequence[tuple[Work, Decision]] = ()) -> Batch:
        """Journal intents, and rows that are decided without a call; after this commit the call may begin."""
        scope = self._scope
        self._scribe.note_before(works)
        intents = [Intent(work.key, work.attempt, work.before_image) for work in works]
        outcomes = self._scribe.outcomes(decided)
        answered = self._oldest_answered()
        try:
            closed = self._scribe.outcomes(answered.decided) if answered else []
            with scope.journal.transaction() as connection:
                scope.lease.assert_fence(connection)
                if answered:
                    scope.states.close_batch(connection, answered.number, closed)
                scope.states.decide(connection, outcomes)
                self._remember(connection, [*closed, *outcomes])
                number = scope.states.intend(connection, intents) if intents else None
        except BaseException:
            if answered:
                self._answered.append(answered)
            raise
        now_s = scope.clock_s()
        for work in works:
            work.sent_s = now_s
        return Batch(works, number)

    def close(self, round_: Round, *, batch: int | None, may_wait: bool = False) -> list[RowState]:
        """Journal what became of a batch's rows, or of open lines (None); attempts that stored nothing are retried.

        With ``may_wait`` a batch of which every row landed is left for the next intents to close.
        """
        scope = self._scope
        states = [decision.state for _, decision in round_.decided if decision.state]
        if may_wait and batch is not None and not round_.send and DONE.issuperset(states):
            self._answered.append(_Answered(batch, round_.decided))
            return states
        outcomes = self._scribe.outcomes(
            [*round_.decided, *((work, Decision(RowState.RETRIED)) for work in round_.send)]
        )
        with scope.journal.transaction() as connection:
            scope.lease.assert_fence(connection)
            if batch is None:
                scope.states.close(connection, outcomes)
            else:
                scope.states.close_batch(connection, batch, outcomes)
            self._remember(connection, outcomes)
        return states

    def withdraw(self, batch: Batch) -> None:
        """Take back the intents of a batch that was not sent: its rows are as if nobody had begun with them."""
        if batch.number is None:
            return
        with self._scope.journal.transaction() as connection:
            self._scope.lease.assert_fence(connection)
            self._scope.states.withdraw_batch(connection, batch.number)

    def assert_fence(self) -> None:
        """Make sure that nobody took over since the intents."""
        with self._scope.journal.transaction() as connection:
            self._scope.lease.assert_fence(connection)

    def close_answered(self, *, but: int = 0) -> None:
        """Close the batches that no further one came to close, all ``but`` the newest so many.

        Every one is tried; the first error is raised at the end.
        """
        failed: list[tuple[_Answered, Exception]] = []
        while len(self._answered) > but and (answered := self._oldest_answered()):
            try:
                self._close_answered(answered)
            except Exception as error:  # noqa: BLE001 - it is raised below
                failed.append((answered, error))
        self._answered.extend(answered for answered, _ in failed)
        if failed:
            raise failed[0][1]

    def _close_answered(self, answered: _Answered) -> None:
        scope = self._scope
        outcomes = self._scribe.outcomes(answered.decided)
        with scope.journal.transaction() as connection:
            scope.lease.assert_fence(connection)
            scope.states.close_batch(connection, answered.number, outcomes)
            self._remember(connection, outcomes)

    def _oldest_answered(self) -> _Answered | None:
        try:
            return self._answered.popleft()
        except IndexError:
            return None

    def _remember(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        scope = self._scope
        remember_records(
            connection,
            scope.journal.project_id,
            scope.plan.target,
            scope.entity,
            outcomes,
            all_new=self._all_new,
        )
        gone = [outcome.migration_key for outcome in outcomes if outcome.is_forgotten]
        if gone:
            forget_records(connection, scope.journal.project_id, scope.plan.target, scope.entity, gone)
