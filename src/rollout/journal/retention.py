"""What the journal keeps sealed of plans, and its destruction: without its key nobody opens it any more."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text


class SealedPlan(NamedTuple):
    """A plan whose values and images can still be opened."""

    plan_id: str
    kind: str
    wave: str
    state: str
    key_id: str
    has_open_rows: bool
    """What became of some of its calls is not decided yet: that takes the values."""
    is_needed: bool
    """Something besides the plan is sealed under its key."""


def sealed_plans(connection: Connection, project_id: str) -> list[SealedPlan]:
    """All of them, oldest first."""
    rows = connection.execute(
        text("""
            SELECT p.plan_id, p.kind, p.wave, p.state, p.key_id,
              EXISTS (SELECT FROM row_line s WHERE s.plan_id = p.plan_id AND s.state IN ('intent', 'unknown')),
              EXISTS (SELECT FROM row_decision d WHERE d.key_id = p.key_id)
            FROM plan p JOIN data_key k ON k.key_id = p.key_id AND k.wrapped IS NOT NULL
            WHERE p.project_id = :project ORDER BY p.seq
        """),
        {"project": project_id},
    )
    return [SealedPlan(*row) for row in rows]


def count_sealed(connection: Connection, plan_id: str) -> tuple[int, int]:
    """How many rows, and how many images before and after writes, a plan keeps sealed."""
    row = connection.execute(
        text("""
            SELECT (SELECT count(*) FROM plan_row WHERE plan_id = :plan) AS rows,
              (SELECT count(before_image) + count(after_image) FROM row_state WHERE plan_id = :plan) AS images
        """),
        {"plan": plan_id},
    ).one()
    return row.rows, row.images
