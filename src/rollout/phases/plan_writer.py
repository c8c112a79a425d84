"""Puts the rows of a plan, of any kind, where the approval, the load and people find them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from rollout.journal.crypto import Sealer, canonical_json
from rollout.journal.plans import Plans, StoredRow
from rollout.journal.store import Journal
from rollout.load.plan import PlanHash, PlannedRow
from rollout.load.work import row_place
from rollout.phases.plan_file import PlanFile

BEHIND = 2
"""Batches that may wait to be written while the next one is planned: enough to keep the database at work."""


class PlanWriter:
    """Seals planned rows into the journal, hashes them, and writes them to the plan's file.

    It does so behind the back of who plans: in one thread for the journal and one for the file, each in the order of
    the rows. When the block ends well, everything is written; an error of the threads is raised there at the latest.

    Args:
        journal: The journal.
        plan_id: A draft.
        sealer: The plan's.
        plan_hash: Begun with the plan's inputs.
        file: For the person who approves the plan.
    """

    def __init__(self, journal: Journal, plan_id: str, sealer: Sealer, plan_hash: PlanHash, file: PlanFile) -> None:
        self._journal = journal
        self._plan_id = plan_id
        self._sealer = sealer
        self._hash = plan_hash
        self._file = file
        self._ordinals: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(1, "plan-journal"), ThreadPoolExecutor(1, "plan-file")
        self._under_way: deque[tuple[Future[None], Future[None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.shutdown(cancel_futures=error is not None)
        while error is None and self._under_way:
            self._wait_for_oldest()

    def add(self, entity: str, planned: Sequence[PlannedRow]) -> None:
        """Take over the next rows of an entity, in order."""
        if len(self._under_way) > BEHIND:
            self._wait_for_oldest()
        first = self._ordinals[entity]
        self._ordinals[entity] += len(planned)
        journalling, filing = self._threads
        self._under_way.append(
            (
                journalling.submit(self._journalled, entity, planned, first),
                filing.submit(self._file.add, entity, planned),
            )
        )

    def _wait_for_oldest(self) -> None:
        for written in self._under_way.popleft():
            written.result()

    def _journalled(self, entity: str, planned: Sequence[PlannedRow], first: int) -> None:
        stored = self._sealed(entity, planned, first)
        with self._journal.transaction() as connection:
            Plans(self._journal.project_id).add_rows(connection, self._plan_id, entity, stored)
        self._hash.add(entity, [row.identity for row in stored])

    def _sealed(self, entity: str, planned: Sequence[PlannedRow], first: int) -> list[StoredRow]:
        digest = self._sealer.digest
        payloads = [canonical_json(row.payload()) for row in planned]
        places = [row_place(self._plan_id, entity, row.migration_key) for row in planned]
        return [
            StoredRow(
                ordinal,
                row.migration_key,
                row.golden_key,
                row.action.value,
                row.reason_code,
                digest(payload),
                sealed,
            )
            for ordinal, (row, payload, sealed) in enumerate(
                zip(planned, payloads, self._sealer.seal_all(payloads, places), strict=True), first
            )
        ]
