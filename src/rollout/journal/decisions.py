"""Go and no-go by name, each bound to the judgements that were seen, and written to the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from rollout.journal import audit_trail, schema
from rollout.journal.store import Journal
from rollout.model.progress import Decision, Seen


def record(
    journal: Journal,
    *,
    phase: str,
    wave: str,
    is_go: bool,
    is_override: bool,
    person: str,
    reason: str,
    gates: Mapping[str, Seen],
) -> Decision:
    """Record a decision, and that it was taken.

    Args:
        journal: Where it is kept.
        phase: What is decided.
        wave: Of which wave; `all` for what concerns the whole rollout.
        is_go: Go, or no-go.
        is_override: Something it needs is not PASS.
        person: Who decided; their code was checked.
        reason: Why.
        gates: What they saw, by gate.
    """
    seen = {name: found.model_dump(mode="json") for name, found in gates.items()}
    with journal.transaction() as connection:
        row = (
            connection.execute(
                insert(schema.decision)
                .values(
                    project_id=journal.project_id,
                    phase=phase,
                    wave=wave,
                    is_go=is_go,
                    is_override=is_override,
                    person=person,
                    reason=reason,
                    gates=seen,
                    at=journal.clock(),
                )
                .returning(schema.decision)
            )
            .mappings()
            .one()
        )
        detail = {"wave": wave, "go": is_go, "override": is_override, "reason": reason, "gates": seen}
        audit_trail.append(connection, journal.project_id, person, "phase.decided", phase, detail)
    return _decision(row)


def decided(connection: Connection, project_id: str) -> list[Decision]:
    """All decisions of a project, oldest first."""
    table = schema.decision
    rows = connection.execute(select(table).where(table.c.project_id == project_id).order_by(table.c.seq)).mappings()
    return [_decision(row) for row in rows]


def _decision(row: RowMapping) -> Decision:
    values: dict[str, Any] = {name: row[name] for name in Decision.model_fields}
    return Decision.model_validate(values)
