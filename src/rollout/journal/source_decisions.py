"""What named persons said about source rows that were held back: one line a decision, the newest counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from rollout.journal.crypto import Sealer
from rollout.journal.schema_data import source_decision

Action = Literal["repair", "leave_out"]


@dataclass(frozen=True)
class SourceDecision:
    """One decision about one source row."""

    entity: str
    source_key: str
    action: Action
    row_hash: str
    """The row as the person saw it; see `rollout.cleanse.words`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """All repairs of the row by field, those of earlier decisions included."""

    @property
    def details(self) -> dict[str, Any]:
        """What is kept sealed: values may be personal, and the hash of a short row can be guessed."""
        return {"row": self.row_hash, "values": dict(self.values)}


class _Stored(NamedTuple):
    source_key: str
    action: Action
    key_id: str
    values: bytes


def record(
    connection: Connection,
    project_id: str,
    decisions: Iterable[tuple[SourceDecision, str, str | None]],
    sealer: Sealer,
    *,
    person: str,
    reason: str,
    at: datetime,
) -> int:
    """Record decisions.

    Args:
        connection: A transaction of the journal.
        project_id: Whose.
        decisions: Each with the keyed digest of its row, and the workbook that it came in.
        sealer: Seals their values.
        person: Who decided.
        reason: Why.
        at: When; aware.

    Returns:
        How many there were.
    """
    rows = [
        {
            "project_id": project_id,
            "entity": decision.entity,
            "source_key": decision.source_key,
            "action": decision.action,
            "row_hash": version,
            "key_id": sealer.key_id,
            "values": sealer.seal(decision.details, _place(decision.entity, decision.source_key)),
            "handout_id": handout_id,
            "person": person,
            "reason": reason,
            "at": at,
        }
        for decision, version, handout_id in decisions
    ]
    if rows:
        connection.execute(insert(source_decision), rows)
    return len(rows)


def newest(
    connection: Connection, project_id: str, entity: str, *, open_sealer: Callable[[str], Sealer]
) -> dict[str, SourceDecision]:
    """The newest decision about each row of an entity, by source key."""
    query = (
        select(*(source_decision.c[name] for name in _Stored._fields))
        .ext(distinct_on(source_decision.c.source_key))
        .where(source_decision.c.project_id == project_id, source_decision.c.entity == entity)
        .order_by(source_decision.c.source_key, source_decision.c.seq.desc())
    )
    found = [_Stored(*row) for row in connection.execute(query)]
    sealers = {key_id: open_sealer(key_id) for key_id in {stored.key_id for stored in found}}
    decisions = {}
    for stored in found:
        details = sealers[stored.key_id].open(stored.values, _place(entity, stored.source_key))
        decisions[stored.source_key] = SourceDecision(
            entity, stored.source_key, stored.action, details["row"], details["values"]
        )
    return decisions


def _place(entity: str, source_key: str) -> str:
    """Where a decision's sealed details belong."""
    return f"source/{entity}/{source_key}"
