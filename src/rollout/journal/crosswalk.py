"""The crosswalk: source key ↔ migration key ↔ target id. Migration keys are assigned once and never derived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, text

from rollout.journal.engine import ANY_TEXT, analyze, driver_cursor, texts
from rollout.journal.schema import key_assignment

UNDECIDED = "undecided:"
"""Prefix of the stand-in for the migration key of a record about which a person must decide."""

_MEMBERS = """
    SELECT source_key, CASE disposition WHEN 'golden' THEN source_key ELSE golden_key END AS golden_key
    FROM source_row WHERE project_id = :project AND entity = :entity AND disposition IN ('golden', 'merged')
"""

# Golden records none of whose source rows has a key yet get a new one; PostgreSQL draws it.
_NEW = """
    INSERT INTO key_assignment (project_id, entity, source_key, migration_key)
    SELECT :project, :entity, m.golden_key, {draw}()::text
    FROM ({members}) m
    LEFT JOIN key_assignment k ON k.project_id = :project AND k.entity = :entity AND k.source_key = m.source_key
    GROUP BY m.golden_key HAVING count(k.migration_key) = 0 ORDER BY m.golden_key
    ON CONFLICT DO NOTHING
"""
_UUIDV7_SINCE = 180_000

_RECORDS = text(f"SELECT count(*) FROM (SELECT DISTINCT golden_key FROM ({_MEMBERS}) m) record")

# Every other source row of a record whose rows agree on one key shares that key from now on.
_SHARE = text(f"""
    INSERT INTO key_assignment (project_id, entity, source_key, migration_key)
    SELECT :project, :entity, source_key, lowest FROM (
        SELECT m.source_key, k.migration_key AS own, min(k.migration_key) OVER of_record AS lowest,
          max(k.migration_key) OVER of_record AS highest
        FROM ({_MEMBERS}) m LEFT JOIN key_assignment k
          ON k.project_id = :project AND k.entity = :entity AND k.source_key = m.source_key
        WINDOW of_record AS (PARTITION BY m.golden_key)) member
    WHERE own IS NULL AND lowest = highest
    ON CONFLICT DO NOTHING
""")

# Records whose rows were loaded under several keys (joined), and records that share a key with another (split).
_UNDECIDED = text(f"""
    WITH held AS MATERIALIZED (
        SELECT m.golden_key, k.migration_key FROM ({_MEMBERS}) m JOIN key_assignment k
          ON k.project_id = :project AND k.entity = :entity AND k.source_key = m.source_key
    )
    SELECT golden_key, 'cluster_joined' AS reason FROM held
    GROUP BY golden_key HAVING min(migration_key) <> max(migration_key)
    UNION ALL
    SELECT DISTINCT unnest(array_agg(golden_key)), 'cluster_split' FROM held
    GROUP BY migration_key HAVING min(golden_key) <> max(golden_key)
""")


# A key that no target has ever seen binds nobody: matching may still change its mind.
_UNSEEN = """
    NOT EXISTS (SELECT 1 FROM target_record t WHERE t.project_id = :project AND t.entity = :entity
                  AND t.migration_key = k.migration_key)
    AND NOT EXISTS (SELECT 1 FROM row_line s JOIN plan p USING (plan_id) WHERE p.project_id = :project
                      AND s.entity = :entity AND s.state IN ('intent', 'unknown')
                      AND s.migration_key = k.migration_key)
"""
_FORGET = text(f"""
    DELETE FROM key_assignment k USING ({_MEMBERS}) m
    WHERE k.project_id = :project AND k.entity = :entity AND k.source_key = m.source_key
      AND m.golden_key = ANY(:golden_keys) AND {_UNSEEN}
""")

# Records of ours that no row stands for any more: their rows are held back or gone, and those of no other wave are.
_DESERTED = text("""
    SELECT h.migration_key, h.target_id FROM target_record h
    WHERE h.project_id = :project AND h.entity = :entity AND h.target = :target AND NOT EXISTS (
        SELECT FROM key_assignment k JOIN source_row r USING (project_id, entity, source_key)
        WHERE k.project_id = h.project_id AND k.entity = h.entity AND k.migration_key = h.migration_key
          AND r.disposition IN ('golden', 'merged'))
""")
_TAKE_OVER = text(f"""
    UPDATE key_assignment k SET migration_key = :migration_key
    WHERE k.project_id = :project AND k.entity = :entity AND k.migration_key = (
        SELECT migration_key FROM key_assignment
        WHERE project_id = :project AND entity = :entity AND source_key = :golden_key)
      AND {_UNSEEN}
""")


def assign(connection: Connection, project_id: str, entity: str) -> dict[str, str]:
    """Give every golden record of the ledger its migration key, once and for all.

    A record keeps the key that any of its source rows was given before, whatever becomes of the clusters or waves.

    Returns:
        Golden keys about which a person must decide, with the reason: rows that have keys of their own were joined
        (`cluster_joined`), or rows of one key were parted (`cluster_split`).
    """
    parameters = {"project": project_id, "entity": entity}
    undecided = _spread(connection, parameters)
    if undecided:
        connection.execute(_FORGET, {**parameters, "golden_keys": list(undecided)})
        undecided = _spread(connection, parameters)
    return undecided


def _spread(connection: Connection, parameters: dict[str, str]) -> dict[str, str]:
    # Random behind the time, where the server can: keys of one load are then neighbours in every index that has them.
    draw = "uuidv7" if driver_cursor(connection).connection.info.server_version >= _UUIDV7_SINCE else "gen_random_uuid"
    drawn = connection.execute(text(_NEW.format(draw=draw, members=_MEMBERS)), parameters).rowcount
    if drawn:
        analyze(connection, key_assignment)
    connection.execute(_SHARE, parameters)
    if drawn and drawn == connection.execute(_RECORDS, parameters).scalar_one():
        return {}  # no row of any record had a key before: none can have been joined or parted
    return {row.golden_key: row.reason for row in connection.execute(_UNDECIDED, parameters)}


def deserted(connection: Connection, project_id: str, entity: str, target: str) -> dict[str, str]:
    """Records of ours in a target whose source rows are all held back or gone: migration keys by target id."""
    found = connection.execute(_DESERTED, {"project": project_id, "entity": entity, "target": target})
    return {row.target_id: row.migration_key for row in found}


def take_over(connection: Connection, project_id: str, entity: str, golden_key: str, migration_key: str) -> bool:
    """Let a golden record go on as a record that is in the target already; False where it is in a target itself."""
    parameters = {
        "project": project_id,
        "entity": entity,
        "golden_key": golden_key,
        "migration_key": migration_key,
    }
    return connection.execute(_TAKE_OVER, parameters).rowcount > 0


def keys(connection: Connection, project_id: str, entity: str, source_keys: Sequence[str]) -> dict[str, str]:
    """Migration keys by source key, for those that have one."""
    return _pairs(
        connection,
        "SELECT source_key, migration_key FROM key_assignment"
        f" WHERE project_id = %s AND entity = %s AND source_key = {ANY_TEXT}",
        (project_id, entity, texts(source_keys)),
    )


def target_ids(
    connection: Connection, project_id: str, entity: str, target: str, migration_keys: Sequence[str]
) -> dict[str, str]:
    """Target ids by migration key, for records that were loaded."""
    return _pairs(
        connection,
        "SELECT migration_key, target_id FROM target_record"
        f" WHERE project_id = %s AND target = %s AND entity = %s AND migration_key = {ANY_TEXT}",
        (project_id, target, entity, texts(migration_keys)),
    )


def lacks_records(connection: Connection, project_id: str, entity: str, target: str, wave: str) -> bool:
    """Whether any golden record of a wave has no record in a target that the journal knows of."""
    query = text("""
        SELECT EXISTS (
            SELECT FROM source_row r
            LEFT JOIN key_assignment k USING (project_id, entity, source_key)
            LEFT JOIN target_record t ON t.project_id = r.project_id AND t.target = :target AND t.entity = r.entity
              AND t.migration_key = k.migration_key
            WHERE r.project_id = :project AND r.entity = :entity AND r.wave = :wave AND r.disposition = 'golden'
              AND t.migration_key IS NULL)
    """)
    parameters = {"project": project_id, "entity": entity, "target": target, "wave": wave}
    return bool(connection.execute(query, parameters).scalar_one())


def _pairs(connection: Connection, query: str, parameters: tuple[object, ...]) -> dict[str, str]:
    rows = driver_cursor(connection).execute(query, parameters, binary=True).fetchall()
    return dict(cast("list[tuple[str, str]]", rows))
