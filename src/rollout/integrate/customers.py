"""From the customer number another system knows to the record of the CRM, through the journal's crosswalk."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.connectors.base import ChangedRecord
from rollout.journal import crosswalk
from rollout.journal.store import Journal
from rollout.project.spec_around import SyncSpec

Problem = tuple[str, str]
"""Reason code and message."""


class Customers:
    """Finds the records that a sync's references point to.

    Args:
        journal: Knows which source row became which record.
        target: The target's name.
        spec: The sync.
        row_sources: Names of the legacy sources whose row keys the references hold.
    """

    def __init__(self, journal: Journal, target: str, spec: SyncSpec, row_sources: Sequence[str]) -> None:
        self._journal = journal
        self._target = target
        self._spec = spec
        self._row_sources = row_sources

    def resolve(self, records: Sequence[ChangedRecord]) -> tuple[dict[str, str], dict[str, Problem]]:
        """Find what the records point to.

        Returns:
            Target ids by customer number, and by source id why a record's customer cannot be told.
        """
        numbers = {number for record in records for number in self._numbers(record)}
        if not numbers:
            return {}, {}
        entity = self._spec.references_entity
        candidates = {number: [f"{source}:{number}" for source in self._row_sources] for number in numbers}
        with self._journal.transaction() as connection:
            project = self._journal.project_id
            flat = [key for keys in candidates.values() for key in keys]
            assigned = crosswalk.keys(connection, project, entity, flat)
            ids = crosswalk.target_ids(connection, project, entity, self._target, sorted(set(assigned.values())))
        found: dict[str, str] = {}
        problems: dict[str, Problem] = {}
        for number, keys in candidates.items():
            known = {assigned[key] for key in keys if key in assigned}
            loaded = {ids[key] for key in known if key in ids}
            if len(loaded) == 1:
                found[number] = loaded.pop()
            elif loaded:
                problems[number] = ("customer_ambiguous", "several records of the CRM go by this customer number")
            elif known:
                problems[number] = ("customer_not_loaded", "the customer is not in the CRM yet")
            else:
                problems[number] = ("customer_unknown", "no golden record goes by this customer number")
        missing = {
            record.source_id: problems[number]
            for record in records
            for number in self._numbers(record)
            if number in problems
        }
        return found, missing

    def _numbers(self, record: ChangedRecord) -> list[str]:
        told = (record.values.get(name) for name in self._spec.references.values())
        return [number for number in told if number is not None]
