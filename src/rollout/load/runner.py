"""Loads one entity of an approved plan: first what an earlier run left open, then the rest, several batches at once."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import replace
from typing import TypeVar

from rollout.errors import DriftError, RolloutError
from rollout.journal import second_step
from rollout.journal.plans import Plans, StoredRow
from rollout.journal.rows import PARTING, SECOND_STEP, OpenLine
from rollout.load.machine import RowState
from rollout.load.sending import Sender
from rollout.load.work import LoadScope

T = TypeVar("T", OpenLine, StoredRow)
B = TypeVar("B")

MIN_CONFLICTS = 3
"""So many conflicts never stop a load, however small it is."""


class EntityLoad:
    """The load of one entity. Run it under the lease that its scope carries."""

    def __init__(
        self,
        scope: LoadScope,
        *,
        batch_rows: int,
        concurrency: int,
        max_conflict_share: float,
        advance: Callable[[int], None],
    ) -> None:
        self._scope = scope
        self._batch_rows = batch_rows
        self._concurrency = concurrency
        self._max_conflict_share = max_conflict_share
        self._advance = advance
        self._plans = Plans(scope.journal.project_id)
        self._sender = Sender(scope, concurrency)
        self.exposure = self._sender.exposure
        self.states: Counter[RowState] = Counter()
        """What this run decided."""

    def run(self) -> None:
        """Take every row of the plan to an outcome, or raise and leave the rest for the next run."""
        self._refuse_drift()
        scope = self._scope
        with scope.journal.transaction() as connection:
            begun = self._plans.has_lines(connection, scope.plan.plan_id, scope.entity)
        self._resume()
        self._apply(self._fresh_batches(begun=begun))
        self._advance = _nobody_watches
        while self.states[RowState.WAITING] and (self._take_up_waiting() or self._part()):
            pass

    def release(self) -> bool:
        """Decide what is still open by looking once more, and take up the rows that wait; whether any went through.

        For after the other entities: what a row waits for may have come about since.
        """
        unknown = self.states.pop(RowState.UNKNOWN, 0)
        settled = bool(unknown) and self._resume() > self.states[RowState.UNKNOWN]
        return self._take_up_waiting() or settled

    def _part(self) -> bool:
        """Clear the references of records that are to be deleted and wait for each other; whether any was."""
        scope = self._scope
        if not scope.deferred or scope.plan.kind != "undo":
            return False
        parting = replace(scope, states=scope.states.of_step(PARTING))
        sender, states = Sender(parting), list[RowState]()
        with scope.journal.transaction() as connection:
            lines = parting.states.open_lines(connection)
        for open_batch in self._batches(lines):
            states += sender.resume(open_batch)
        for batch in self._batches(self._waiting_rows()):
            states += sender.apply(sender.prepare(batch))
        sender.finish()
        self.exposure.add(sender.exposure)
        return RowState.UNDONE in states

    def _resume(self) -> int:
        """Decide open lines; how many there were."""
        with self._scope.journal.transaction() as connection:
            lines = self._scope.states.open_lines(connection)
        self._run_batches(self._sender.resume, self._batches(lines))
        return len(lines)

    def _apply(self, batches: Iterator[Sequence[StoredRow]]) -> None:
        try:
            # Rows are prepared in this thread, which would otherwise be idle, while those before them are on their way.
            self._run_batches(self._sender.apply, map(self._sender.prepare, batches))
        except BaseException:
            with contextlib.suppress(RolloutError):  # the first error is the one to tell; what stays open is probed
                self._sender.finish()
            raise
        self._sender.finish()

    def _take_up_waiting(self) -> bool:
        rows = self._waiting_rows()
        self.states.pop(RowState.WAITING, None)
        done = self.states.total()
        self._apply(self._batches(rows))
        return self.states.total() - self.states[RowState.WAITING] > done

    def _waiting_rows(self) -> list[StoredRow]:
        scope = self._scope
        with scope.journal.transaction() as connection:
            attempts = scope.states.waiting(connection)
            rows = self._plans.rows_by_key(connection, scope.plan.plan_id, scope.entity, list(attempts))
        return sorted(row._replace(attempt=attempts[key]) for key, row in rows.items())

    def _batches(self, given: Sequence[T]) -> Iterator[Sequence[T]]:
        return (given[start : start + self._batch_rows] for start in range(0, len(given), self._batch_rows))

    def _fresh_batches(self, *, begun: bool) -> Iterator[Sequence[StoredRow]]:
        after: int | None = -1
        page_rows = self._batch_rows * self._concurrency * 2
        while after is not None:
            page, after = self._page(after, page_rows, begun=begun)
            yield from self._batches(page)

    def _page(self, after: int, limit: int, *, begun: bool) -> tuple[list[StoredRow], int | None]:
        scope = self._scope
        plan_id, entity = scope.plan.plan_id, scope.entity
        with scope.journal.transaction() as connection:
            if scope.states.step == SECOND_STEP:
                return second_step.page(connection, plan_id, entity, after=after, limit=limit)
            return self._plans.page(connection, plan_id, entity, after=after, limit=limit, begun=begun)

    def _run_batches(self, apply: Callable[[B], list[RowState]], batches: Iterable[B]) -> None:
        """Keep ``concurrency`` batches with the target, and one ready to call as soon as one of them is back.

        Where calls are made one at a time, intents are as well. After the first error no batch begins to call; those
        that have begun are waited for.
        """
        workers = self._concurrency + 1 if self._concurrency > 1 else 1
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix=f"load-{self._scope.entity}") as pool:
            under_way: set[Future[list[RowState]]] = set()
            try:
                for batch in batches:
                    under_way.add(pool.submit(apply, batch))
                    if len(under_way) > workers:
                        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                        for future in done:
                            self._note(future.result())
                for future in as_completed(under_way):
                    self._note(future.result())
            except BaseException:
                self._sender.stop()
                raise

    def _note(self, states: Sequence[RowState]) -> None:
        self.states.update(states)
        self._advance(len(states) - states.count(RowState.RETRIED))
        if RowState.CONFLICT in states:
            self._refuse_drift()

    def _refuse_drift(self) -> None:
        """Stop when more rows than allowed are in conflict, whichever run of this plan found them."""
        with self._scope.journal.transaction() as connection:
            drifted = self._scope.states.drifted(connection)
        planned = sum(self._scope.plan.counts.get(self._scope.entity, {}).values())
        if drifted > max(self._max_conflict_share * planned, MIN_CONFLICTS):
            raise DriftError(
                f"{drifted} of {planned} rows hold neither what the plan saw nor what it wants",
                where=self._scope.entity,
                hint="somebody changed the target since the plan: make a new plan with `rollout plan`",
            )


def release(loads: Sequence[EntityLoad]) -> None:
    """Take up the rows that wait, as long as that lets others go."""
    while any(load.states[RowState.WAITING] for load in loads):
        if not sum(load.release() for load in loads):
            return


def _nobody_watches(_: int) -> None:
    """In place of a progress display that is over."""
