"""The rows of an undo while it is planned: some of them change their mind once it is known what refers to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rollout.journal.crypto import Sealer, canonical_json
from rollout.journal.history import remove_rows
from rollout.journal.plans import Plans, StoredRow
from rollout.journal.store import Journal
from rollout.load.plan import Action, PlanHash, PlannedRow
from rollout.load.work import row_place
from rollout.phases.plan_file import PlanFile

PAGE_ROWS = 2_000


T = TypeVar("T")


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, ``size`` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@dataclass
class UndoTally:
    """The rows of an undo, counted."""

    actions: dict[str, Counter[str]]
    """By entity and action."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why records are kept."""
    kept_and_restored: int = 0
    """Records that stay, and in which fields go back all the same."""

    def total(self, action: str) -> int:
        """Rows of an action, of all entities."""
        return sum(counted[action] for counted in self.actions.values())


class UndoDraft:
    """The rows of a plan that is not finished.

    Args:
        journal: The project's.
        plan_id: A draft.
        sealer: The plan's.
    """

    def __init__(self, journal: Journal, plan_id: str, sealer: Sealer) -> None:
        self._journal = journal
        self._plans = Plans(journal.project_id)
        self._plan_id = plan_id
        self._sealer = sealer
        self._ordinals: Counter[str] = Counter()

    @property
    def rows(self) -> int:
        """How many there are so far, of all entities."""
        return self._ordinals.total()

    def add(self, entity: str, rows: Sequence[PlannedRow]) -> None:
        """Add the next rows of an entity, in order."""
        first = self._ordinals[entity]
        self._ordinals[entity] += len(rows)
        stored = [self._sealed(ordinal, entity, row) for ordinal, row in enumerate(rows, first)]
        with self._journal.transaction() as connection:
            self._plans.add_rows(connection, self._plan_id, entity, stored)

    def replace(self, entity: str, rows: Sequence[PlannedRow]) -> None:
        """Put other rows in the place of those with their migration keys."""
        with self._journal.transaction() as connection:
            known = self._plans.rows_by_key(connection, self._plan_id, entity, [row.migration_key for row in rows])
            stored = [self._sealed(known[row.migration_key].ordinal, entity, row) for row in rows]
            remove_rows(connection, self._plan_id, entity, list(known))
            self._plans.add_rows(connection, self._plan_id, entity, stored)

    def finish(self, order: Sequence[str], plan_hash: PlanHash, file: PlanFile) -> UndoTally:
        """Hash all rows and write them to the file, in order; answers them counted."""
        tally = UndoTally({entity: Counter() for entity in order})
        for entity in order:
            for page in self._pages(entity):
                plan_hash.add(entity, [stored.identity for stored in page])
                file.add(entity, [self._opened(entity, stored) for stored in page])
                tally.actions[entity].update(stored.action for stored in page)
                tally.reasons.update(stored.reason_code for stored in page if stored.reason_code)
                tally.kept_and_restored += sum(
                    stored.action == Action.RESTORE and stored.reason_code is not None for stored in page
                )
        return tally

    def _pages(self, entity: str) -> Iterator[Sequence[StoredRow]]:
        after: int | None = -1
        while after is not None:
            with self._journal.transaction() as connection:
                page, after = self._plans.page(
                    connection, self._plan_id, entity, after=after, limit=PAGE_ROWS, begun=False
                )
            yield page

    def _sealed(self, ordinal: int, entity: str, row: PlannedRow) -> StoredRow:
        payload = canonical_json(row.payload())
        return StoredRow(
            ordinal,
            row.migration_key,
            row.golden_key,
            row.action.value,
            row.reason_code,
            self._sealer.digest(payload),
            self._sealer.seal_json(payload, row_place(self._plan_id, entity, row.migration_key)),
        )

    def _opened(self, entity: str, stored: StoredRow) -> PlannedRow:
        payload = self._sealer.open(stored.payload, row_place(self._plan_id, entity, stored.migration_key))
        return PlannedRow.from_payload(
            stored.migration_key, stored.golden_key, stored.action, stored.reason_code, payload
        )
