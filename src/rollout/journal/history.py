"""What the plans of a target did to a record, line by line over all of them: what an undo is planned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from rollout.journal.engine import ANY_TEXT, driver_cursor, texts

# Lines that changed a record or may have. Conflicts of two kinds are found after a call: without an answer some fields
# were stored, then people changed others; or a record that was to be adopted took the fields, and not our key.
_MATTERS = """(s.state IN ('created', 'updated', 'adopted', 'undone', 'unknown', 'intent')
  OR s.state = 'conflict' AND s.reason_code IN ('neither_old_nor_new', 'key_not_stored'))"""


class HistoryLine(NamedTuple):
    """A line of a record, with the row of the plan that it carried out; images and payload still sealed."""

    migration_key: str
    golden_key: str
    plan_id: str
    key_id: str
    kind: str
    """Of the plan: load | delta | retry | undo | unmerge."""
    scope: dict[str, Any]
    """Of the plan."""
    action: str
    step: int
    attempt: int
    state: str
    target_id: str | None
    before_image: bytes | None
    after_image: bytes | None
    payload: bytes


def begun_plans(connection: Connection, project_id: str, target: str) -> list[str]:
    """Ids of the plans of a target that a load or an undo has begun, in that order."""
    rows = connection.execute(
        text(
            "SELECT plan_id FROM plan WHERE project_id = :project AND target = :target AND begun_at IS NOT NULL"
            " ORDER BY begun_at, seq"
        ),
        {"project": project_id, "target": target},
    )
    return list(rows.scalars())


def plans_of_run(connection: Connection, project_id: str, target: str, run_id: str) -> list[str]:
    """The plan that a run applied, or that is called so: plan ids of a target, none if there is neither."""
    query = text("""
        SELECT p.plan_id FROM plan p
        WHERE p.project_id = :project AND p.target = :target AND p.begun_at IS NOT NULL AND (
          p.plan_id = :run
          OR EXISTS (SELECT FROM run r WHERE r.run_id = :run AND r.project_id = p.project_id AND r.phase <> 'settle'
            AND (r.summary->>'plan_id' = p.plan_id
              OR EXISTS (SELECT FROM row_state s WHERE s.plan_id = p.plan_id AND s.run_id = r.run_id))))
        ORDER BY p.begun_at
    """)
    rows = connection.execute(query, {"project": project_id, "target": target, "run": run_id})
    return list(rows.scalars())


def touched_keys(connection: Connection, entity: str, plan_ids: Sequence[str]) -> list[str]:
    """Migration keys of the records of an entity that these plans changed, or may have, in order."""
    rows = connection.execute(
        text(
            f"SELECT DISTINCT s.migration_key FROM row_state s"
            f" WHERE s.plan_id = ANY(:plans) AND s.entity = :entity AND {_MATTERS} ORDER BY 1"
        ),
        {"plans": list(plan_ids), "entity": entity},
    )
    return list(rows.scalars())


def history_lines(
    connection: Connection, entity: str, plan_ids: Sequence[str], migration_keys: Sequence[str]
) -> dict[str, list[HistoryLine]]:
    """The lines of records by migration key, in the order in which they were closed.

    Runs that write to a target exclude each other, and none sends a record whose line of another is still open: so the
    number of the run, then step and attempt, say which of a record's lines came first.
    """
    rows = driver_cursor(connection).execute(
        "SELECT s.migration_key, r.golden_key, s.plan_id, p.key_id, p.kind, p.scope, r.action, s.step, s.attempt,"
        " s.state, s.target_id, s.before_image, s.after_image, r.payload"
        " FROM row_state s JOIN plan p ON p.plan_id = s.plan_id JOIN run ON run.run_id = s.run_id"
        " JOIN plan_row r ON r.plan_id = s.plan_id AND r.entity = s.entity AND r.migration_key = s.migration_key"
        f" WHERE s.plan_id = {ANY_TEXT} AND s.entity = %s AND s.migration_key = {ANY_TEXT} AND {_MATTERS}"
        " ORDER BY s.migration_key, run.seq, s.step, s.attempt",
        (texts(plan_ids), entity, texts(migration_keys)),
    )
    found: dict[str, list[HistoryLine]] = {}
    for row in rows:
        line = HistoryLine(*row)  # type: ignore[arg-type]
        found.setdefault(line.migration_key, []).append(line)
    return found


def held_by_other_waves(
    connection: Connection, target: str, entity: str, plan_ids: Sequence[str], migration_keys: Sequence[str]
) -> Counter[tuple[str, str]]:
    """Of these records those that the newest load of another wave, begun after these plans, found or put in place.

    They moved there since. Answers how many by (wave, plan id); what was taken back of other waves is not counted.
    """
    rows = connection.execute(
        text("""
            WITH chosen AS (SELECT project_id, wave, begun_at FROM plan WHERE plan_id = ANY(:plans)),
            newest AS (
              SELECT DISTINCT ON (p.wave) p.plan_id, p.wave, p.begun_at, p.project_id FROM plan p
              WHERE p.project_id = (SELECT min(project_id) FROM chosen) AND p.target = :target
                AND p.kind IN ('load', 'delta') AND p.begun_at > (SELECT min(begun_at) FROM chosen)
                AND p.wave NOT IN (SELECT wave FROM chosen)
              ORDER BY p.wave, p.begun_at DESC, p.seq DESC)
            SELECT n.wave, n.plan_id, count(DISTINCT s.migration_key) AS records
            FROM newest n JOIN row_state s ON s.plan_id = n.plan_id AND s.entity = :entity
              AND s.migration_key = ANY(:keys) AND s.state IN ('created', 'updated', 'unchanged', 'adopted')
            WHERE NOT EXISTS (
              SELECT FROM plan u WHERE u.project_id = n.project_id AND u.target = :target AND u.kind = 'undo'
                AND u.begun_at IS NOT NULL AND u.scope -> 'plans' @> to_jsonb(n.plan_id))
            GROUP BY 1, 2
        """),
        {"plans": list(plan_ids), "target": target, "entity": entity, "keys": list(migration_keys)},
    )
    return Counter({(row.wave, row.plan_id): row.records for row in rows})


def written_at(connection: Connection, project_id: str, plan_ids: Sequence[str]) -> dict[str, tuple[str, datetime]]:
    """By plan its wave, and when the last run that applied it ended; of one never begun, when it was made."""
    rows = connection.execute(
        text("""
            SELECT p.plan_id, p.wave, coalesce(max(r.ended_at), p.begun_at, p.created_at) AS written_at
            FROM plan p LEFT JOIN run r ON r.project_id = p.project_id AND r.summary->>'plan_id' = p.plan_id
              AND r.phase IN ('load', 'undo', 'unmerge')
            WHERE p.project_id = :project AND p.plan_id = ANY(:plans) GROUP BY p.plan_id
        """),
        {"project": project_id, "plans": list(plan_ids)},
    )
    return {row.plan_id: (row.wave, row.written_at) for row in rows}


def newest_run(connection: Connection, project_id: str) -> int:
    """The number of the newest run of a project."""
    query = text("SELECT coalesce(max(seq), 0) FROM run WHERE project_id = :project")
    return int(connection.execute(query, {"project": project_id}).scalar_one())


def loaded_since(connection: Connection, project_id: str, target: str, run_seq: int) -> list[str]:
    """The plans that a run after this one loaded something of into a target."""
    rows = connection.execute(
        text("""
            SELECT DISTINCT p.plan_id FROM run r JOIN row_state s ON s.run_id = r.run_id
            JOIN plan p ON p.plan_id = s.plan_id AND p.target = :target AND p.kind <> 'undo'
            WHERE r.project_id = :project AND r.seq > :seq AND r.phase <> 'settle' ORDER BY 1
        """),
        {"project": project_id, "target": target, "seq": run_seq},
    )
    return list(rows.scalars())


def retire(connection: Connection, plan_ids: Sequence[str]) -> None:
    """What these plans applied is being taken back: none of them counts as applied any more."""
    connection.execute(
        text("UPDATE plan SET state = 'superseded' WHERE plan_id = ANY(:plans) AND state = 'applied'"),
        {"plans": list(plan_ids)},
    )


def remove_rows(connection: Connection, plan_id: str, entity: str, migration_keys: Sequence[str]) -> None:
    """Take rows out of a draft."""
    connection.execute(
        text(
            "DELETE FROM plan_row r USING plan p WHERE p.plan_id = r.plan_id AND p.state = 'draft'"
            " AND r.plan_id = :plan AND r.entity = :entity AND r.migration_key = ANY(:keys)"
        ),
        {"plan": plan_id, "entity": entity, "keys": list(migration_keys)},
    )


class UndoLine(NamedTuple):
    """What became of one row of an undo."""

    entity: str
    golden_key: str
    migration_key: str
    action: str
    planned: str | None
    """The reason code that the plan gave."""
    state: str
    """Of the newest line; ``open``: there is none yet."""
    reason: str | None
    message: str | None
    target_id: str | None
    payload: bytes


_NEWEST = """plan_row p LEFT JOIN LATERAL (
  SELECT s.state, s.reason_code, s.message, s.target_id FROM row_state s WHERE s.plan_id = p.plan_id
    AND s.entity = p.entity AND s.migration_key = p.migration_key ORDER BY s.step DESC, s.attempt DESC LIMIT 1) n
  ON true
WHERE p.plan_id = :plan"""


def count_undone(connection: Connection, plan_id: str) -> Counter[tuple[str, str, str | None, str | None]]:
    """Rows of an undo by action, state of their newest line, and the reason codes of plan and line."""
    rows = connection.execute(
        text(
            "SELECT p.action, coalesce(n.state, 'open') AS state, p.reason_code AS planned, n.reason_code AS reason,"
            f" count(*) AS rows FROM {_NEWEST} GROUP BY 1, 2, 3, 4"
        ),
        {"plan": plan_id},
    )
    return Counter({(row.action, row.state, row.planned, row.reason): row.rows for row in rows})


def left_lines(connection: Connection, plan_id: str) -> Iterator[UndoLine]:
    """The rows of an undo that were not wholly taken back, by entity and golden key."""
    rows = connection.execute(
        text(
            "SELECT p.entity, p.golden_key, p.migration_key, p.action, p.reason_code AS planned,"
            " coalesce(n.state, 'open') AS state, n.reason_code AS reason, n.message, n.target_id, p.payload"
            f" FROM {_NEWEST} AND (coalesce(n.state, 'open') <> 'undone' OR n.reason_code = 'partly_undone'"
            "  OR p.action = 'restore' AND p.reason_code IS NOT NULL) ORDER BY p.entity, p.golden_key"
        ).execution_options(yield_per=5_000),
        {"plan": plan_id},
    )
    for row in rows:
        yield UndoLine(*row)


def seconds_since_begun(connection: Connection, plan_id: str) -> float:
    """Seconds since the first run that applied a plan began, by the database's clock."""
    query = text("SELECT extract(epoch FROM clock_timestamp() - begun_at) FROM plan WHERE plan_id = :plan")
    return float(connection.execute(query, {"plan": plan_id}).scalar_one())


def golden_records(connection: Connection, project_id: str) -> int:
    """How many records the sources make, of all entities and waves."""
    query = text("SELECT count(*) FROM source_row WHERE project_id = :project AND disposition = 'golden'")
    return int(connection.execute(query, {"project": project_id}).scalar_one())
