"""What became of a plan's rows, as the verification reads it: keys, target ids, latest states."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from rollout.journal.overlay import EFFECTIVE, overlay_of, parameters
from rollout.journal.plans import PlanRecord

# Rows of earlier plans whose source is gone keep their record in the target; they are told apart by their state, as
# are the records of other waves, which the ledger knows: whether loaded or not, they are judged with their own wave.
_OUTCOMES = text(f"""
WITH {EFFECTIVE}, mine AS (
    SELECT DISTINCT ON (migration_key) migration_key, golden_key FROM plan_row
    WHERE plan_id = ANY(CAST(:plans AS text[])) AND entity = :entity
    ORDER BY migration_key, array_position(CAST(:plans AS text[]), plan_id)
), held AS (
    SELECT migration_key, target_id FROM target_record
    WHERE project_id = :project AND target = :target AND entity = :entity
), other AS (
    SELECT r.golden_key, k.migration_key FROM source_row r
    JOIN key_assignment k ON k.project_id = r.project_id AND k.entity = r.entity AND k.source_key = r.source_key
    WHERE r.project_id = :project AND r.entity = :entity AND r.disposition = 'golden' AND r.wave <> :wave
)
SELECT p.golden_key, p.migration_key, h.target_id,
    CASE WHEN n.state IS NULL OR n.state = 'retried' THEN 'not_loaded' WHEN n.state = 'intent' THEN 'unknown'
        ELSE n.state END AS state
FROM mine p LEFT JOIN effective n ON n.entity = :entity AND n.migration_key = p.migration_key
LEFT JOIN held h ON h.migration_key = p.migration_key
UNION ALL
SELECT o.golden_key, coalesce(o.migration_key, h.migration_key), h.target_id,
    CASE WHEN o.migration_key IS NULL THEN 'gone' ELSE 'other_wave' END
FROM held h FULL JOIN other o USING (migration_key)
WHERE NOT EXISTS (SELECT 1 FROM mine p WHERE p.migration_key = coalesce(o.migration_key, h.migration_key))
""")

OutcomeRow = tuple[str | None, str, str | None, str]
"""(golden key, migration key, target id, state)."""


def outcome_rows(
    connection: Connection, project_id: str, plan: PlanRecord, entity: str, *, batch_rows: int = 50_000
) -> Iterator[list[OutcomeRow]]:
    """Every migration key that the plan's target has, or should have, from us, in batches.

    The state is the newest one in the plan, or in the retries and undos begun after it: a bucket, `undone` or
    `not_loaded`; of keys that no plan of the wave has `other_wave`, or `gone` where no wave has a golden record for
    them. An open intent is `unknown`: whether it landed has not been decided yet.
    """
    overlay = overlay_of(connection, project_id, plan.target, plan.wave)
    rows = connection.execute(
        _OUTCOMES.execution_options(yield_per=batch_rows),
        {
            **parameters([overlay] if overlay else [], only=entity),
            "project": project_id,
            "target": plan.target,
            "entity": entity,
            "wave": plan.wave,
        },
    )
    for batch in rows.partitions():
        yield [(row.golden_key, row.migration_key, row.target_id, row.state) for row in batch]
