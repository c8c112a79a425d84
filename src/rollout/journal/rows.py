"""Row states as the journal keeps them: one line an attempt, intents before calls, outcomes after them.

Many rows travel as arrays in PostgreSQL's binary format (``%b``): as text, sealed values would be escaped byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from rollout.errors import Fatal
from rollout.journal import schema
from rollout.journal.engine import analyze, driver_cursor

STEP = 1
"""All rows load in one step so far; deferred look-ups will be the second."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A line to be journalled before the call it speaks of."""

    migration_key: str
    attempt: int
    digest: str
    before_image: bytes | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, or what was decided without a call."""

    migration_key: str
    attempt: int
    state: str
    target_id: str | None = None
    reason_code: str | None = None
    message: str | None = None
    after_image: bytes | None = None
    base: Mapping[str, str] | None = None
    """What the merge base learns from this row, by field (`rollout.load.merge_base`); None: nothing."""


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line whose outcome is not decided: an intent without an outcome, or unknown."""

    migration_key: str
    attempt: int
    elapsed_s: float
    """Since the intent was journalled, by the database's clock."""
    target_id: str | None
    """Set if the target said it stored the row, and its reads do not show it."""


class RowStates:
    """The row states of one plan's entity."""

    def __init__(self, plan_id: str, entity: str, run_id: str) -> None:
        self.plan_id = plan_id
        self.entity = entity
        self._run_id = run_id

    def intend(self, connection: Connection, intents: Sequence[Intent]) -> None:
        """Journal intents. The caller commits before it calls the target."""
        if not intents:
            return
        driver_cursor(connection).execute(
            "INSERT INTO row_state (plan_id, entity, step, run_id, state, intent_at,"
            " migration_key, attempt, digest, before_image)"
            " SELECT %s, %s, %s, %s, 'intent', clock_timestamp(), *"
            " FROM unnest(%b::text[], %b::int[], %b::text[], %b::bytea[])",
            (
                self.plan_id,
                self.entity,
                STEP,
                self._run_id,
                [intent.migration_key for intent in intents],
                [intent.attempt for intent in intents],
                [intent.digest for intent in intents],
                [intent.before_image for intent in intents],
            ),
        )

    def close(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """Close open lines. A line that somebody else has closed is a defect or a second worker: nothing is written."""
        if not outcomes:
            return
        cursor = driver_cursor(connection)
        cursor.execute(
            "UPDATE row_state s SET state = o.state, target_id = o.target_id, reason_code = o.reason_code,"
            " message = o.message, after_image = o.after_image, ended_at = clock_timestamp(), run_id = %s"
            " FROM unnest(%b::text[], %b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[])"
            " AS o(migration_key, attempt, state, target_id, reason_code, message, after_image)"
            " WHERE s.plan_id = %s AND s.entity = %s AND s.step = %s AND s.migration_key = o.migration_key"
            " AND s.attempt = o.attempt AND s.state IN ('intent', 'unknown')",
            (self._run_id, *_columns(outcomes), self.plan_id, self.entity, STEP),
        )
        if cursor.rowcount != len(outcomes):
            raise Fatal(
                f"{len(outcomes) - cursor.rowcount} of {len(outcomes)} journal lines were closed by another process",
                where=f"{self.entity}, plan {self.plan_id}",
                hint="see that only one load runs, then run `rollout load` again: it decides by looking at the target",
            )

    def decide(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """Journal rows that were decided without a call (unchanged, conflict, waiting)."""
        if not outcomes:
            return
        driver_cursor(connection).execute(
            "INSERT INTO row_state (plan_id, entity, step, run_id, digest, intent_at, ended_at,"
            " migration_key, attempt, state, target_id, reason_code, message, after_image)"
            " SELECT %s, %s, %s, %s, '', clock_timestamp(), clock_timestamp(), *"
            " FROM unnest(%b::text[], %b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[])"
            " ON CONFLICT (plan_id, entity, migration_key, step, attempt) DO UPDATE"
            " SET reason_code = excluded.reason_code, message = excluded.message, run_id = excluded.run_id"
            " WHERE row_state.state = 'waiting' AND excluded.state = 'waiting'",
            (self.plan_id, self.entity, STEP, self._run_id, *_columns(outcomes)),
        )

    def open_lines(self, connection: Connection) -> list[OpenLine]:
        """Intents without outcome, and unknown lines."""
        rows = connection.execute(
            text(
                "SELECT migration_key, attempt, target_id,"
                " extract(epoch FROM clock_timestamp() - intent_at) AS elapsed_s FROM row_state"
                " WHERE plan_id = :plan AND entity = :entity AND state IN ('intent', 'unknown')"
                " ORDER BY migration_key"
            ),
            {"plan": self.plan_id, "entity": self.entity},
        )
        return [OpenLine(row.migration_key, row.attempt, float(row.elapsed_s), row.target_id) for row in rows]

    def drifted(self, connection: Connection) -> int:
        """Rows in conflict that the plan did not plan as conflicts."""
        rows: int = connection.execute(
            text(
                "SELECT count(*) FROM row_state s JOIN plan_row p USING (plan_id, entity, migration_key)"
                " WHERE s.plan_id = :plan AND s.entity = :entity AND s.state = 'conflict' AND p.action <> 'conflict'"
            ),
            {"plan": self.plan_id, "entity": self.entity},
        ).scalar_one()
        return rows


def rows_written(connection: Connection) -> None:
    """Tell the planner that a load wrote many lines."""
    analyze(connection, schema.row_state, schema.target_record)


def remember_records(
    connection: Connection, project_id: str, target: str, entity: str, outcomes: Sequence[Outcome]
) -> None:
    """Write the crosswalk's last leg for rows that are in the target; bases grow field by field."""
    known = [outcome for outcome in outcomes if outcome.target_id and outcome.base is not None]
    if not known:
        return
    driver_cursor(connection).execute(
        "INSERT INTO target_record (project_id, target, entity, migration_key, target_id, base)"
        " SELECT %s, %s, %s, key, id, base::jsonb FROM unnest(%b::text[], %b::text[], %b::text[]) AS r(key, id, base)"
        " ON CONFLICT (project_id, target, entity, migration_key) DO UPDATE SET target_id = excluded.target_id,"
        " base = target_record.base || excluded.base",
        (
            project_id,
            target,
            entity,
            [outcome.migration_key for outcome in known],
            [outcome.target_id for outcome in known],
            [json.dumps(outcome.base) for outcome in known],
        ),
    )


def merge_bases(
    connection: Connection, project_id: str, target: str, entity: str, migration_keys: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The merge bases of records we know in a target, by migration key."""
    rows = connection.execute(
        text(
            "SELECT migration_key, base FROM target_record WHERE project_id = :project AND target = :target"
            " AND entity = :entity AND migration_key = ANY(:keys)"
        ),
        {"project": project_id, "target": target, "entity": entity, "keys": list(migration_keys)},
    )
    return {row.migration_key: row.base for row in rows}


def _columns(outcomes: Sequence[Outcome]) -> tuple[list[object], ...]:
    return (
        [outcome.migration_key for outcome in outcomes],
        [outcome.attempt for outcome in outcomes],
        [outcome.state for outcome in outcomes],
        [outcome.target_id for outcome in outcomes],
        [outcome.reason_code for outcome in outcomes],
        [outcome.message for outcome in outcomes],
        [outcome.after_image for outcome in outcomes],
    )
