"""Whether a delta found anything that is not on people's desks already: what is open and unchanged is not news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rollout.errors import ConfigError
from rollout.journal.crypto import Sealer
from rollout.journal.overlay import Line, lines, overlay_of
from rollout.journal.plans import Plans, StoredRow
from rollout.load.work import row_place
from rollout.phases.context import PhaseContext

OPEN = ("conflict", "rejected", "waiting", "unknown", "intent")
"""States of rows that the queue of rejects shows, or that wait for such a row."""
_UNDECIDED = ("unknown", "intent")


class _Opener:
    """Opens rows of several plans."""

    def __init__(self, context: PhaseContext) -> None:
        self._journal = context.journal
        self._sealers: dict[str, Sealer | None] = {}

    def open(self, plan_id: str, entity: str, row: StoredRow) -> Mapping[str, Any] | None:
        """A row's payload; None where its values were destroyed."""
        if plan_id not in self._sealers:
            self._sealers[plan_id] = self._sealer(plan_id)
        sealer = self._sealers[plan_id]
        if sealer is None:
            return None
        found: Mapping[str, Any] = sealer.open(row.payload, row_place(plan_id, entity, row.migration_key))
        return found

    def _sealer(self, plan_id: str) -> Sealer | None:
        with self._journal.transaction() as connection:
            plan = Plans(self._journal.project_id).get(connection, plan_id)
        try:
            return self._journal.sealer(plan.key_id) if plan else None
        except ConfigError:
            return None


def nothing_new(context: PhaseContext, plan_id: str, target_name: str, wave: str, *, open_rows: int) -> bool:
    """Whether all rows that a draft would write or leave to people are open already, for the same reason and values.

    Args:
        context: The phase's context.
        plan_id: The draft.
        target_name: Its target.
        wave: Its wave.
        open_rows: How many such rows it has.
    """
    journal = context.journal
    with journal.transaction() as connection:
        overlay = overlay_of(connection, journal.project_id, target_name, wave)
        if overlay is not None and any(plan.kind == "undo" for plan in overlay.over):
            return False  # what stands is to be told as loaded again, not as taken back
        known = (
            {(line.entity, line.migration_key): line for line in lines(connection, overlay, states=OPEN)}
            if overlay
            else {}
        )
    if len(known) != open_rows:
        return False
    rows = _rows(context, plan_id)
    if rows.keys() != known.keys():
        return False
    opener, before = _Opener(context), _rows_of_lines(context, known.values())
    return all(_is_same(opener, plan_id, line, rows[place], before.get(place)) for place, line in known.items())


_Rows = dict[tuple[str, str], StoredRow]
"""By entity and migration key."""


def _rows(context: PhaseContext, plan_id: str) -> _Rows:
    """The rows of the draft that are not at rest."""
    with context.journal.transaction() as connection:
        rows = Plans(context.journal.project_id).not_at_rest(connection, plan_id)
        return {(entity, row.migration_key): row for entity, row in rows}


def _rows_of_lines(context: PhaseContext, known: Iterable[Line]) -> _Rows:
    """The rows that open lines are of."""
    keys: dict[tuple[str, str], list[str]] = {}
    for line in known:
        keys.setdefault((line.plan_id, line.entity), []).append(line.migration_key)
    found: _Rows = {}
    for (plan_id, entity), wanted in keys.items():
        with context.journal.transaction() as connection:
            rows = Plans(context.journal.project_id).rows_by_key(connection, plan_id, entity, wanted)
        found |= {(entity, key): row for key, row in rows.items()}
    return found


def _is_same(opener: _Opener, plan_id: str, line: Line, row: StoredRow, before: StoredRow | None) -> bool:
    if line.state in _UNDECIDED:
        return row.reason_code == "outcome_unknown"
    if before is None or (before.action, before.reason_code) != (row.action, row.reason_code):
        return False
    then, now = opener.open(line.plan_id, line.entity, before), opener.open(plan_id, line.entity, row)
    return then is not None and now is not None and _sides(then) == _sides(now)


def _sides(payload: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(
        payload.get(part) or None
        for part in ("new", "old", "references", "deferred", "clashing", "target_id", "message")
    )
