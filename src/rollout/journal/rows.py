"""Row states as the journal keeps them: one line an attempt, intents before calls, outcomes after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line whose outcome is not decided: an intent without an outcome, or unknown."""

    migration_key: str
    attempt: int
    state: str
    intent_at: datetime


@dataclass(frozen=True, slots=True)
class LoadedRecord:
    """What we last saw stored under a migration key."""

    target_id: str
    plan_id: str
    key_id: str
    attempt: int
    after_image: bytes | None


class RowStates:
    """The row states of one plan's entity."""

    def __init__(self, plan_id: str, entity: str, run_id: str) -> None:
        self.plan_id = plan_id
        self.entity = entity
        self._run_id = run_id

    def attempts(self, connection: Connection, migration_keys: Sequence[str]) -> dict[str, int]:
        """The highest attempt by key; keys without one are missing."""
        rows = connection.execute(
            text(
                "SELECT migration_key, max(attempt) AS attempt FROM row_state WHERE plan_id = :plan"
                " AND entity = :entity AND migration_key = ANY(:keys) GROUP BY migration_key"
            ),
            {"plan": self.plan_id, "entity": self.entity, "keys": list(migration_keys)},
        )
        return {row.migration_key: row.attempt for row in rows}

    def intend(self, connection: Connection, intents: Sequence[Intent], *, at: datetime) -> None:
        """Journal intents. The caller commits before it calls the target."""
        if not intents:
            return
        driver_cursor(connection).execute(
            "INSERT INTO row_state (plan_id, entity, step, run_id, state, intent_at,"
            " migration_key, attempt, digest, before_image)"
            " SELECT %s, %s, %s, %s, 'intent', %s, *"
            " FROM unnest(%s::text[], %s::int[], %s::text[], %s::bytea[])",
            (
                self.plan_id,
                self.entity,
                STEP,
                self._run_id,
                at,
                [intent.migration_key for intent in intents],
                [intent.attempt for intent in intents],
                [intent.digest for intent in intents],
                [intent.before_image for intent in intents],
            ),
        )

    def close(self, connection: Connection, outcomes: Sequence[Outcome], *, at: datetime) -> None:
        """Close open lines. A line that somebody else has closed is a defect or a second worker: nothing is written."""
        if not outcomes:
            return
        cursor = driver_cursor(connection)
        cursor.execute(
            "UPDATE row_state s SET state = o.state, target_id = o.target_id, reason_code = o.reason_code,"
            " message = o.message, after_image = o.after_image, ended_at = %s, run_id = %s"
            " FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])"
            " AS o(migration_key, attempt, state, target_id, reason_code, message, after_image)"
            " WHERE s.plan_id = %s AND s.entity = %s AND s.step = %s AND s.migration_key = o.migration_key"
            " AND s.attempt = o.attempt AND s.state IN ('intent', 'unknown')",
            (at, self._run_id, *_columns(outcomes), self.plan_id, self.entity, STEP),
        )
        if cursor.rowcount != len(outcomes):
            raise Fatal(
                f"{len(outcomes) - cursor.rowcount} of {len(outcomes)} journal lines were closed by another process",
                where=f"{self.entity}, plan {self.plan_id}",
                hint="see that only one load runs, then run `rollout load` again: it decides by looking at the target",
            )

    def decide(self, connection: Connection, outcomes: Sequence[Outcome], *, at: datetime) -> None:
        """Journal rows that were decided without a call (unchanged, conflict, waiting)."""
        if not outcomes:
            return
        driver_cursor(connection).execute(
            "INSERT INTO row_state (plan_id, entity, step, run_id, digest, intent_at, ended_at,"
            " migration_key, attempt, state, target_id, reason_code, message, after_image)"
            " SELECT %s, %s, %s, %s, '', %s, %s, *"
            " FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])"
            " ON CONFLICT (plan_id, entity, migration_key, step, attempt) DO UPDATE"
            " SET reason_code = excluded.reason_code, message = excluded.message, run_id = excluded.run_id"
            " WHERE row_state.state = 'waiting' AND excluded.state = 'waiting'",
            (self.plan_id, self.entity, STEP, self._run_id, at, at, *_columns(outcomes)),
        )

    def open_lines(self, connection: Connection) -> list[OpenLine]:
        """Intents without outcome, and unknown lines."""
        rows = connection.execute(
            text(
                "SELECT migration_key, attempt, state, intent_at FROM row_state"
                " WHERE plan_id = :plan AND entity = :entity AND state IN ('intent', 'unknown')"
                " ORDER BY migration_key"
            ),
            {"plan": self.plan_id, "entity": self.entity},
        )
        return [OpenLine(row.migration_key, row.attempt, row.state, row.intent_at) for row in rows]

    def written(self, connection: Connection) -> None:
        """Tell the planner that many lines were written."""
        analyze(connection, schema.row_state, schema.target_record)


def remember_records(
    connection: Connection, project_id: str, target: str, states: RowStates, outcomes: Sequence[Outcome]
) -> None:
    """Write the crosswalk's last leg for rows that are in the target.

    A record found as planned without a call (no after-image) is only added, so that an older after-image stays known.
    """
    for known, statement in (
        ([o for o in outcomes if o.target_id and o.after_image is not None], _REMEMBER + _REPLACE),
        ([o for o in outcomes if o.target_id and o.after_image is None and o.state == "unchanged"], _REMEMBER + _KEEP),
    ):
        if known:
            driver_cursor(connection).execute(
                statement,
                (
                    project_id,
                    target,
                    states.entity,
                    states.plan_id,
                    STEP,
                    [outcome.migration_key for outcome in known],
                    [outcome.target_id for outcome in known],
                    [outcome.attempt for outcome in known],
                ),
            )


_REMEMBER = (
    "INSERT INTO target_record (project_id, target, entity, plan_id, step, migration_key, target_id, attempt)"
    " SELECT %s, %s, %s, %s, %s, * FROM unnest(%s::text[], %s::text[], %s::int[])"
    " ON CONFLICT (project_id, target, entity, migration_key) "
)
_REPLACE = (
    "DO UPDATE SET target_id = excluded.target_id, plan_id = excluded.plan_id,"
    " step = excluded.step, attempt = excluded.attempt"
)
_KEEP = "DO NOTHING"


def loaded_records(
    connection: Connection, project_id: str, target: str, entity: str, migration_keys: Sequence[str]
) -> dict[str, LoadedRecord]:
    """What we last saw stored, by migration key, with the after-image still sealed."""
    rows = connection.execute(
        text(
            "SELECT t.migration_key, t.target_id, t.plan_id, p.key_id, t.attempt, s.after_image FROM target_record t"
            " JOIN plan p USING (plan_id)"
            " LEFT JOIN row_state s USING (plan_id, entity, migration_key, step, attempt)"
            " WHERE t.project_id = :project AND t.target = :target AND t.entity = :entity"
            " AND t.migration_key = ANY(:keys)"
        ),
        {"project": project_id, "target": target, "entity": entity, "keys": list(migration_keys)},
    )
    return {
        row.migration_key: LoadedRecord(row.target_id, row.plan_id, row.key_id, row.attempt, row.after_image)
        for row in rows
    }


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
