"""What named persons decided about rows that a load could not finish: one line a decision, the newest counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Connection, Text, cast, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from rollout.journal import schema
from rollout.model.choice import Choice


class Repair(NamedTuple):
    """A field's value that a person put right."""

    was: str | None
    """What the source said when they did; of a reference the golden key it led to."""
    now: str | None


@dataclass(frozen=True)
class RowDecision:
    """One decision about one row."""

    entity: str
    migration_key: str
    golden_key: str
    plan_id: str
    """The plan whose outcome it is about."""
    action: Choice
    target_id: str | None = None
    """The record it names."""
    repairs: Mapping[str, Repair] = field(default_factory=dict)
    """All repairs of the row by field, those of earlier decisions included."""
    by_field: Mapping[str, Choice] = field(default_factory=dict)
    """Whose value counts, by field, where that is the decision."""
    seen: Mapping[str, str | None] = field(default_factory=dict)
    """What the target held then, by field, where somebody decided whose value counts."""

    def details(self) -> dict[str, Any]:
        """What is kept sealed: values may be personal."""
        repairs = {name: list(repair) for name, repair in self.repairs.items()}
        return {"repairs": repairs, "by_field": self.by_field, "seen": self.seen}

    def counting(self, held: Mapping[str, str | None]) -> dict[str, Choice]:
        """Whose value counts, by field; ours is written over nothing else than what the person saw.

        Args:
            held: What the target holds now.
        """
        return {
            name: choice
            for name, choice in self.by_field.items()
            if choice is not Choice.USE_LEGACY or (name in self.seen and self.seen[name] == held.get(name))
        }


class StoredDecision(NamedTuple):
    """A decision as the journal keeps it; its details are sealed under ``key_id``."""

    entity: str
    migration_key: str
    golden_key: str
    plan_id: str
    action: str
    target_id: str | None
    key_id: str | None
    values: bytes | None

    def opened(self, details: Mapping[str, Any]) -> RowDecision:
        """The decision with its details."""
        return RowDecision(
            entity=self.entity,
            migration_key=self.migration_key,
            golden_key=self.golden_key,
            plan_id=self.plan_id,
            action=Choice(self.action),
            target_id=self.target_id,
            repairs={name: Repair(*pair) for name, pair in details.get("repairs", {}).items()},
            by_field={name: Choice(choice) for name, choice in details.get("by_field", {}).items()},
            seen=details.get("seen", {}),
        )


def place(entity: str, migration_key: str) -> str:
    """Where a decision's sealed details belong."""
    return f"decision/{entity}/{migration_key}"


def record(
    connection: Connection,
    project_id: str,
    target: str,
    decisions: Iterable[tuple[RowDecision, bytes]],
    *,
    key_id: str,
    person: str,
    reason: str,
    at: datetime,
) -> None:
    """Record decisions, each with its sealed details."""
    rows = [
        {
            "project_id": project_id,
            "target": target,
            "entity": decision.entity,
            "migration_key": decision.migration_key,
            "golden_key": decision.golden_key,
            "plan_id": decision.plan_id,
            "action": decision.action.value,
            "target_id": decision.target_id,
            "key_id": key_id,
            "values": sealed,
            "person": person,
            "reason": reason,
            "at": at,
        }
        for decision, sealed in decisions
    ]
    if rows:
        connection.execute(insert(schema.row_decision), rows)


def newest(
    connection: Connection, project_id: str, target: str, entity: str, migration_keys: Sequence[str] | None = None
) -> dict[str, StoredDecision]:
    """The newest decision about each row of an entity, by migration key; of these rows, or of all (None)."""
    table = schema.row_decision
    query = (
        select(*(table.c[name] for name in StoredDecision._fields))
        .ext(distinct_on(table.c.migration_key))
        .where(table.c.project_id == project_id, table.c.target == target, table.c.entity == entity)
        .order_by(table.c.migration_key, table.c.seq.desc())
    )
    if migration_keys is not None:
        query = query.where(table.c.migration_key == func.any(cast(list(migration_keys), ARRAY(Text))))
    return {row.migration_key: StoredDecision(*row) for row in connection.execute(query)}
