"""Puts the rows of a plan, of any kind, where the approval, the load and people find them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rollout.journal.crypto import Sealer, canonical_json
from rollout.journal.plans import Plans, StoredRow
from rollout.journal.store import Journal
from rollout.load.plan import PlanHash, PlannedRow
from rollout.load.work import row_place
from rollout.phases.plan_file import PlanFile


class PlanWriter:
    """Seals planned rows into the journal, hashes them, and writes them to the plan's file.

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

    def __call__(self, entity: str, planned: Sequence[PlannedRow]) -> None:
        """Add the next rows of an entity, in order."""
        first = self._ordinals[entity]
        self._ordinals[entity] += len(planned)
        stored = self._sealed(entity, planned, first)
        with self._journal.transaction() as connection:
            Plans(self._journal.project_id).add_rows(connection, self._plan_id, entity, stored)
        self._hash.add(entity, [row.identity for row in stored])
        self._file.add(entity, planned)

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
