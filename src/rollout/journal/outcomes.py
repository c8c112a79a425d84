"""What became of a plan's rows, as the verification reads it: keys, target ids, latest states."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

# Rows of earlier plans whose source is gone keep their record in the target; they are told apart by their state.
_OUTCOMES = text("""
WITH newest AS (
    SELECT DISTINCT ON (migration_key) migration_key, state FROM row_state
    WHERE plan_id = :plan AND entity = :entity ORDER BY migration_key, step DESC, attempt DESC
), held AS (
    SELECT migration_key, target_id FROM target_record
    WHERE project_id = :project AND target = :target AND entity = :entity
)
SELECT p.golden_key, p.migration_key, h.target_id,
    CASE WHEN n.state IS NULL OR n.state = 'retried' THEN 'not_loaded' WHEN n.state = 'intent' THEN 'unknown'
        ELSE n.state END AS state
FROM plan_row p LEFT JOIN newest n USING (migration_key) LEFT JOIN held h USING (migration_key)
WHERE p.plan_id = :plan AND p.entity = :entity
UNION ALL
SELECT NULL, h.migration_key, h.target_id, 'gone' FROM held h
WHERE NOT EXISTS (SELECT 1 FROM plan_row p WHERE p.plan_id = :plan AND p.entity = :entity
    AND p.migration_key = h.migration_key)
""")

OutcomeRow = tuple[str | None, str, str | None, str]
"""(golden key, migration key, target id, state)."""


def outcome_rows(
    connection: Connection, project_id: str, target: str, plan_id: str, entity: str, *, batch_rows: int = 50_000
) -> Iterator[list[OutcomeRow]]:
    """Every migration key that a target has, or should have, from us, in batches.

    The state is the newest one in the plan: a bucket, `not_loaded`, or `gone` for keys that the plan does not have.
    An open intent is `unknown`: whether it landed has not been decided yet.
    """
    rows = connection.execute(
        _OUTCOMES.execution_options(yield_per=batch_rows),
        {"project": project_id, "target": target, "plan": plan_id, "entity": entity},
    )
    for batch in rows.partitions():
        yield [(row.golden_key, row.migration_key, row.target_id, row.state) for row in batch]
