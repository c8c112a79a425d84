"""What became of a wave's rows, over all plans that touched them: the load, and the retries and undos after it.

The newest begun plan of kind load or delta is the base of a wave: it holds every record of the wave. Plans that only
hold some of them (retries, undos) lie over it, the one begun last on top. A record's state is the one of the topmost
plan that came to an end with it. A line ``retried`` (provably nothing was stored) or ``kept`` (an undo left the record
alone) changes nothing: what lies beneath still shows. Accounting, verification, the queue of rejects and the status all
ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, text

from rollout.journal import schema
from rollout.journal.plans import COVERING, PlanRecord
from rollout.model.outcome import LOADED

_LANDED = ", ".join(f"'{bucket.value}'" for bucket in LOADED)

# Ranks count the plans of a wave from the topmost down. The last is the base, whose ``retried`` lines say that a row
# is not loaded yet. A step behind the first only completes a record: where it landed, the first step tells the state.
_EFFECTIVE = f"""
    SELECT DISTINCT ON (wave, entity, migration_key) wave, plan_id, entity, migration_key, step, attempt,
      CASE WHEN step > 1 AND state IN ({_LANDED}) THEN (
        SELECT s.state FROM row_state s WHERE s.plan_id = line.plan_id AND s.entity = line.entity
          AND s.migration_key = line.migration_key AND s.step = 1 ORDER BY s.attempt DESC LIMIT 1
      ) ELSE state END AS state
    FROM (
        SELECT l.*, array_position(CAST(:plans AS text[]), l.plan_id) AS rank,
          (CAST(:waves AS text[]))[array_position(CAST(:plans AS text[]), l.plan_id)] AS wave
        FROM row_line l
        WHERE l.plan_id = ANY(CAST(:plans AS text[])) AND (CAST(:only AS text) IS NULL OR l.entity = :only) {{and_only}}
    ) line
    WHERE state <> 'kept' AND (state <> 'retried' OR step > 1 OR plan_id = ANY(CAST(:bases AS text[])))
    ORDER BY wave, entity, migration_key, rank, step DESC, attempt DESC
"""

EFFECTIVE = f"effective AS MATERIALIZED ({_EFFECTIVE.format(and_only='')})"
"""SQL: the newest state of every record that any plan of the overlays came to, by wave; see :func:`parameters`."""
# Few rows have a reason: only theirs are sorted.
_EFFECTIVE_OF_TOLD = _EFFECTIVE.format(
    and_only="AND (l.entity, l.migration_key) IN (SELECT entity, migration_key FROM told)"
)

_CHOSEN = text("""
    WITH base AS (
        SELECT DISTINCT ON (wave) plan_id, wave, target, begun_at, seq FROM plan
        WHERE project_id = :project AND begun_at IS NOT NULL AND kind = ANY(:kinds)
          AND (CAST(:target AS text) IS NULL OR target = :target) AND (CAST(:wave AS text) IS NULL OR wave = :wave)
        ORDER BY wave, begun_at DESC, seq DESC
    )
    SELECT b.plan_id AS base, p.plan_id FROM base b
    JOIN plan p ON p.project_id = :project AND p.target = b.target AND p.wave = b.wave AND p.begun_at IS NOT NULL
      AND (p.plan_id = b.plan_id OR p.kind <> ALL(:kinds) AND (p.begun_at, p.seq) > (b.begun_at, b.seq))
    ORDER BY b.wave, p.begun_at DESC, p.seq DESC
""")


@dataclass(frozen=True)
class Overlay:
    """The plans that tell what became of a wave's rows in a target."""

    base: PlanRecord
    """The newest begun plan that holds all of them."""
    over: tuple[PlanRecord, ...] = ()
    """Retries and undos begun since, newest first."""

    @property
    def plans(self) -> tuple[PlanRecord, ...]:
        """All of them, topmost first."""
        return (*self.over, self.base)

    @property
    def newest(self) -> PlanRecord:
        """The topmost."""
        return self.plans[0]


class Line(NamedTuple):
    """The line that tells a record's state."""

    plan_id: str
    entity: str
    migration_key: str
    golden_key: str
    step: int
    attempt: int
    state: str
    """A state of `rollout.load.machine`; ``none`` where no load came to the row yet, or it provably was not stored."""
    target_id: str | None
    reason_code: str | None
    message: str | None


def overlays(connection: Connection, project_id: str, target: str | None, *, wave: str | None = None) -> list[Overlay]:
    """The overlay of a wave (None: of each) in a target (None: the one loaded last); none of unloaded waves."""
    found: dict[str, list[str]] = {}
    chosen = {"project": project_id, "target": target, "wave": wave, "kinds": list(COVERING)}
    for row in connection.execute(_CHOSEN, chosen):
        found.setdefault(row.base, []).append(row.plan_id)
    records = _records(connection, [plan_id for plans in found.values() for plan_id in plans])
    return [
        Overlay(records[base], tuple(records[plan_id] for plan_id in plans if plan_id != base))
        for base, plans in found.items()
    ]


def overlay_of(connection: Connection, project_id: str, target: str, wave: str) -> Overlay | None:
    """The overlay of one wave in one target; None where nothing of it was loaded."""
    return next(iter(overlays(connection, project_id, target, wave=wave)), None)


def parameters(found: Sequence[Overlay], *, only: str | None = None) -> dict[str, Any]:
    """What :data:`EFFECTIVE` must be told: the plans, topmost first within their wave, and which of them are bases.

    ``only`` is an entity; None: all of them.
    """
    plans = [plan for overlay in found for plan in overlay.plans]
    return {
        "plans": [plan.plan_id for plan in plans],
        "waves": [plan.wave for plan in plans],
        "bases": [overlay.base.plan_id for overlay in found],
        "only": only,
    }


def lines(
    connection: Connection, overlay: Overlay, *, entity: str | None = None, states: Sequence[str] | None = None
) -> Iterator[Line]:
    """The line of every record of a wave, by entity and migration key.

    Args:
        connection: Must stay open while the lines are read.
        overlay: The wave's.
        entity: Only its records; None: of all.
        states: Only records in these states; None: in any. An open intent is ``intent``.
    """
    rows = connection.execute(
        _LINES.execution_options(yield_per=20_000),
        {**parameters([overlay], only=entity), "states": list(states) if states is not None else None},
    )
    for row in rows:
        yield Line(*row)


# Records that no plan came to an end with are those of the base: only it holds all.
_LINES = text(f"""
    WITH {EFFECTIVE}, row AS (
        SELECT DISTINCT ON (entity, migration_key) entity, migration_key, golden_key, ordinal FROM plan_row
        WHERE plan_id = ANY(CAST(:plans AS text[])) AND (CAST(:only AS text) IS NULL OR entity = :only)
        ORDER BY entity, migration_key, array_position(CAST(:plans AS text[]), plan_id)
    ), known AS (
        SELECT coalesce(e.plan_id, (CAST(:bases AS text[]))[1]) AS plan_id, r.entity, r.migration_key, r.golden_key,
          coalesce(e.step, 1) AS step, coalesce(e.attempt, 0) AS attempt,
          CASE WHEN e.state IS NULL OR e.state = 'retried' THEN 'none' ELSE e.state END AS state
        FROM row r LEFT JOIN effective e USING (entity, migration_key)
    )
    SELECT k.plan_id, k.entity, k.migration_key, k.golden_key, k.step, k.attempt, k.state,
      s.target_id, s.reason_code, s.message
    FROM known k LEFT JOIN row_state s ON s.plan_id = k.plan_id AND s.entity = k.entity
      AND s.migration_key = k.migration_key AND s.step = k.step AND s.attempt = k.attempt
    WHERE CAST(:states AS text[]) IS NULL OR k.state = ANY(CAST(:states AS text[]))
    ORDER BY k.entity, k.migration_key
""")


def reasons(connection: Connection, overlay: Overlay) -> dict[str, dict[str, int]]:
    """Rows by `bucket/reason code`, an entity each; rows without a reason are left out."""
    query = text(f"""
        WITH told AS MATERIALIZED (
            SELECT entity, migration_key FROM row_state
            WHERE plan_id = ANY(CAST(:plans AS text[])) AND reason_code IS NOT NULL
        ), effective AS MATERIALIZED ({_EFFECTIVE_OF_TOLD})
        SELECT e.entity, CASE e.state WHEN 'undone' THEN 'skipped' ELSE e.state END || '/' || s.reason_code AS reason,
          count(*) AS rows
        FROM effective e JOIN row_state s USING (plan_id, entity, migration_key, step, attempt)
        WHERE s.reason_code IS NOT NULL AND e.state <> 'retried' GROUP BY 1, 2 ORDER BY 1, 2
    """)
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(query, parameters([overlay])):
        found.setdefault(row.entity, {})[row.reason] = row.rows
    return found


def is_finished(connection: Connection, overlay: Overlay) -> bool:
    """Whether every row of a wave has a closed outcome, and nothing of the wave was taken back."""
    if any(plan.kind == "undo" for plan in overlay.over):
        return False
    query = text(f"""
        WITH {EFFECTIVE}
        SELECT EXISTS (
          SELECT 1 FROM plan_row p LEFT JOIN effective e USING (entity, migration_key)
          WHERE p.plan_id = ANY(CAST(:bases AS text[]))
            AND coalesce(e.state, 'retried') IN ('intent', 'unknown', 'waiting', 'retried'))
    """)
    return not connection.execute(query, parameters([overlay])).scalar_one()


def _records(connection: Connection, plan_ids: Sequence[str]) -> dict[str, PlanRecord]:
    rows = connection.execute(select(schema.plan).where(schema.plan.c.plan_id.in_(plan_ids))).mappings()
    return {row["plan_id"]: PlanRecord(**{name: row[name] for name in PlanRecord.__dataclass_fields__}) for row in rows}
