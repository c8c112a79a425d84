"""Row states as the journal keeps them: one line an attempt, intents before calls, outcomes after them.

Many rows travel as arrays in PostgreSQL's binary format (``%b``): as text, sealed values would be escaped byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import orjson
from sqlalchemy import Connection, text

from rollout.errors import Fatal
from rollout.journal import schema
from rollout.journal.engine import ANY_TEXT, ROUGHLY, TEXT_ARRAY, analyze, driver_cursor, texts

PARTING = 0
"""Of an undo: where references within a cycle are cleared, so that its records can be deleted one after the other."""
STEP = 1
"""Where a row's record is written as far as it goes."""
SECOND_STEP = 2
"""Where references are set that could not be before all records of their cycle were there."""


class Intent(NamedTuple):
    """A row of a batch that is to be journalled before the call it speaks of."""

    migration_key: str
    attempt: int
    before_image: bytes | None


class Outcome(NamedTuple):
    """How an attempt ended, or what was decided without a call."""

    migration_key: str
    attempt: int
    state: str
    digest: str = ""
    before_image: bytes | None = None
    after_image: bytes | None = None
    target_id: str | None = None
    reason_code: str | None = None
    message: str | None = None
    base: Mapping[str, str | None] | None = None
    """What the merge base learns from this row, by field (`rollout.load.merge_base`); None: nothing.

    An entry of None goes."""
    is_forgotten: bool = False
    """The record is not ours any more."""


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
    """The row states of one plan's entity, in one step of the load."""

    def __init__(self, plan_id: str, entity: str, run_id: str, step: int = STEP) -> None:
        self.plan_id = plan_id
        self.entity = entity
        self.step = step
        self._run_id = run_id

    def of_step(self, step: int) -> RowStates:
        """The same rows in another step."""
        return RowStates(self.plan_id, self.entity, self._run_id, step)

    def intend(self, connection: Connection, intents: Sequence[Intent]) -> int:
        """Journal a batch's intents; answers the batch's number. The caller commits before it calls the target."""
        images = [intent.before_image for intent in intents]
        inserted = driver_cursor(connection).execute(
            "INSERT INTO open_batch (plan_id, entity, step, run_id, intent_at, migration_keys, attempts, before_images)"
            f" VALUES (%s, %s, %s, %s, clock_timestamp(), {TEXT_ARRAY}, {TEXT_ARRAY}::int[], %b::bytea[])"
            " RETURNING batch",
            (
                self.plan_id,
                self.entity,
                self.step,
                self._run_id,
                texts(intent.migration_key for intent in intents),
                texts(str(intent.attempt) for intent in intents),
                images if any(images) else [],  # whoever reads the line finds NULL for what is not there
            ),
        )
        return cast("tuple[int]", inserted.fetchone())[0]

    def close_batch(self, connection: Connection, batch: int, outcomes: Sequence[Outcome]) -> None:
        """Write the lines of a batch, which is then no longer open. ``outcomes`` are those of all its rows."""
        cursor = driver_cursor(connection)
        closed = cursor.execute(
            "DELETE FROM open_batch WHERE batch = %s RETURNING intent_at, clock_timestamp()", (batch,)
        ).fetchone()
        if closed is None:
            raise self._closed_by_another(len(outcomes), len(outcomes))
        with cursor.copy(_COPY_LINES) as copy:
            copy.set_types(_LINE_TYPES)
            for outcome in outcomes:
                copy.write_row((self.plan_id, self.entity, self.step, self._run_id, *closed, *outcome[:-2]))

    def withdraw_batch(self, connection: Connection, batch: int) -> None:
        """Take back the intents of a batch that no call was made for: they leave no line."""
        if driver_cursor(connection).execute("DELETE FROM open_batch WHERE batch = %s", (batch,)).rowcount != 1:
            raise Fatal(
                "the journal's intents of a batch were closed by another process",
                where=f"{self.entity}, plan {self.plan_id}",
                hint="see that only one load runs, then run `rollout load` again",
            )

    def close(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """Close lines that were open. One that somebody else has closed is a defect or a second worker."""
        if not outcomes:
            return
        cursor = driver_cursor(connection)
        cursor.execute(
            "UPDATE row_state s SET state = o.state, target_id = o.target_id, reason_code = o.reason_code,"
            " message = o.message, after_image = o.after_image, ended_at = clock_timestamp(), run_id = %s"
            f" FROM {_UNNESTED}"
            " WHERE s.plan_id = %s AND s.entity = %s AND s.step = %s AND s.migration_key = o.migration_key"
            " AND s.attempt = o.attempt AND s.state IN ('intent', 'unknown')",
            (self._run_id, *_columns(outcomes), self.plan_id, self.entity, self.step),
        )
        if cursor.rowcount != len(outcomes):
            raise self._closed_by_another(len(outcomes) - cursor.rowcount, len(outcomes))

    def _closed_by_another(self, lines: int, of: int) -> Fatal:
        return Fatal(
            f"{lines} of {of} journal lines were closed by another process",
            where=f"{self.entity}, plan {self.plan_id}",
            hint="see that only one load runs, then run `rollout load` again: it decides by looking at the target",
        )

    def decide(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """Journal rows that were decided without a call (unchanged, conflict, waiting)."""
        if not outcomes:
            return
        driver_cursor(connection).execute(
            "INSERT INTO row_state (plan_id, entity, step, run_id, digest, intent_at, ended_at,"
            " migration_key, attempt, state, after_image, target_id, reason_code, message)"
            f" SELECT %s, %s, %s, %s, '', clock_timestamp(), clock_timestamp(), * FROM {_UNNESTED}"
            " ON CONFLICT (plan_id, entity, migration_key, step, attempt) DO UPDATE"
            " SET reason_code = excluded.reason_code, message = excluded.message, run_id = excluded.run_id"
            " WHERE row_state.state = 'waiting' AND excluded.state = 'waiting'",
            (self.plan_id, self.entity, self.step, self._run_id, *_columns(outcomes)),
        )

    def open_lines(self, connection: Connection) -> list[OpenLine]:
        """Intents without outcome, and unknown lines."""
        rows = connection.execute(
            text(
                "SELECT migration_key, attempt, target_id,"
                " extract(epoch FROM clock_timestamp() - intent_at) AS elapsed_s FROM row_state"
                " WHERE plan_id = :plan AND entity = :entity AND step = :step AND state IN ('intent', 'unknown')"
                " ORDER BY migration_key"
            ),
            {"plan": self.plan_id, "entity": self.entity, "step": self.step},
        )
        return [OpenLine(row.migration_key, row.attempt, float(row.elapsed_s), row.target_id) for row in rows]

    def waiting(self, connection: Connection) -> dict[str, int]:
        """Rows that wait, with the attempts there have been."""
        rows = connection.execute(
            text(
                "SELECT migration_key, max(attempt) AS attempt FROM row_state"
                " WHERE plan_id = :plan AND entity = :entity AND step = :step GROUP BY migration_key"
                " HAVING bool_or(state = 'waiting') AND NOT bool_or(state NOT IN ('waiting', 'retried'))"
                " ORDER BY migration_key"
            ),
            {"plan": self.plan_id, "entity": self.entity, "step": self.step},
        )
        return {row.migration_key: row.attempt for row in rows}

    def undone(self, connection: Connection, migration_keys: Sequence[str]) -> set[str]:
        """Of these rows those that this step took back as a whole."""
        rows = driver_cursor(connection).execute(
            "SELECT migration_key FROM row_state WHERE plan_id = %s AND entity = %s AND step = %s"
            f" AND migration_key = {ANY_TEXT} AND state = 'undone' AND reason_code IS NULL",
            (self.plan_id, self.entity, self.step, texts(migration_keys)),
        )
        return {key for (key,) in cast("list[tuple[str]]", rows.fetchall())}

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
    analyze(connection, schema.row_state, schema.target_record, statistics_target=ROUGHLY)


def knows_records(connection: Connection, project_id: str, target: str, entity: str) -> bool:
    """Whether any record of an entity is remembered."""
    known = driver_cursor(connection).execute(
        "SELECT EXISTS (SELECT FROM target_record WHERE project_id = %s AND target = %s AND entity = %s)",
        (project_id, target, entity),
    )
    return cast("tuple[bool]", known.fetchone())[0]


def remember_records(
    connection: Connection,
    project_id: str,
    target: str,
    entity: str,
    outcomes: Sequence[Outcome],
    *,
    all_new: bool = False,
) -> None:
    """Write the crosswalk's last leg for rows that are in the target; bases grow field by field.

    ``all_new`` says that none of these records is remembered yet: they take the quicker way in.
    """
    known = [outcome for outcome in outcomes if outcome.target_id and outcome.base is not None]
    if not known:
        return
    if all_new:
        with driver_cursor(connection).copy(_COPY_RECORDS) as copy:
            copy.set_types(_RECORD_TYPES)
            for outcome in known:
                base = _JSONB_VERSION + orjson.dumps(outcome.base)
                copy.write_row((project_id, target, entity, outcome.migration_key, outcome.target_id, base))
        return
    driver_cursor(connection).execute(
        "INSERT INTO target_record (project_id, target, entity, migration_key, target_id, base)"
        " SELECT %s, %s, %s, key, id, base::jsonb FROM unnest(%b::text[], %b::text[], %b::text[]) AS r(key, id, base)"
        " ON CONFLICT (project_id, target, entity, migration_key) DO UPDATE SET target_id = excluded.target_id,"
        " base = jsonb_strip_nulls(target_record.base || excluded.base)",
        (
            project_id,
            target,
            entity,
            [outcome.migration_key for outcome in known],
            [outcome.target_id for outcome in known],
            [orjson.dumps(outcome.base).decode() for outcome in known],
        ),
    )


def forget_records(
    connection: Connection, project_id: str, target: str, entity: str, migration_keys: Sequence[str]
) -> None:
    """Remove the crosswalk's last leg of records that are not ours any more."""
    driver_cursor(connection).execute(
        "DELETE FROM target_record"
        f" WHERE project_id = %s AND target = %s AND entity = %s AND migration_key = {ANY_TEXT}",
        (project_id, target, entity, texts(migration_keys)),
    )


def still_to_take_back(connection: Connection, plan_id: str, migration_keys: Sequence[str]) -> set[str]:
    """Of these keys those whose records an undo deletes or changes back, and has not decided about yet."""
    rows = driver_cursor(connection).execute(
        "SELECT p.migration_key FROM plan_row p WHERE p.plan_id = %s AND p.action IN ('delete', 'release', 'restore')"
        f" AND p.migration_key = {ANY_TEXT} AND NOT EXISTS ("
        "SELECT FROM row_state s WHERE s.plan_id = p.plan_id AND s.entity = p.entity AND s.step > 0"
        " AND s.migration_key = p.migration_key AND s.state NOT IN ('intent', 'unknown', 'waiting', 'retried'))",
        (plan_id, texts(migration_keys)),
    )
    return {key for (key,) in cast("list[tuple[str]]", rows.fetchall())}


def merge_bases(
    connection: Connection, project_id: str, target: str, entity: str, migration_keys: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The merge bases of records we know in a target, by migration key."""
    rows = driver_cursor(connection).execute(
        "SELECT migration_key, base FROM target_record"
        f" WHERE project_id = %s AND target = %s AND entity = %s AND migration_key = {ANY_TEXT}",
        (project_id, target, entity, texts(migration_keys)),
    )
    return dict(cast("list[tuple[str, dict[str, str]]]", rows.fetchall()))


_COPY_RECORDS = (
    "COPY target_record (project_id, target, entity, migration_key, target_id, base) FROM STDIN (FORMAT BINARY)"
)
_RECORD_TYPES = ["text", "text", "text", "text", "text", "bytea"]
_JSONB_VERSION = b"\x01"
"""What a jsonb value begins with in the binary format; JSON text follows."""

_COPY_LINES = (
    "COPY row_state (plan_id, entity, step, run_id, intent_at, ended_at, migration_key, attempt, state, digest,"
    " before_image, after_image, target_id, reason_code, message) FROM STDIN (FORMAT BINARY)"
)
_LINE_TYPES = ["text", "text", "int4", "text", "timestamptz", "timestamptz", "text", "int4", "text", "text"]
_LINE_TYPES += ["bytea", "bytea", "text", "text", "text"]

_UNNESTED = (
    "unnest(%b::text[], %b::int[], %b::text[], %b::bytea[], %b::text[], %b::text[], %b::text[])"
    " AS o(migration_key, attempt, state, after_image, target_id, reason_code, message)"
)


def _columns(outcomes: Sequence[Outcome]) -> tuple[list[object], ...]:
    return (
        [outcome.migration_key for outcome in outcomes],
        [outcome.attempt for outcome in outcomes],
        [outcome.state for outcome in outcomes],
        [outcome.after_image for outcome in outcomes],
        [outcome.target_id for outcome in outcomes],
        [outcome.reason_code for outcome in outcomes],
        [outcome.message for outcome in outcomes],
    )


def reopen_batches(connection: Connection, project_id: str, target: str) -> None:
    """Give every row of the batches that a load left open an open line of its own, so that it can be decided by itself.

    The caller holds the target's lease: a batch that is still under way belongs to nobody else.
    """
    connection.execute(
        text("""
            WITH left_open AS (
                DELETE FROM open_batch b USING plan p
                WHERE p.plan_id = b.plan_id AND p.project_id = :project AND p.target = :target RETURNING b.*
            )
            INSERT INTO row_state (plan_id, entity, step, run_id, state, intent_at, migration_key, attempt, digest,
              before_image)
            SELECT b.plan_id, b.entity, b.step, b.run_id, 'intent', b.intent_at, r.migration_key, r.attempt, p.digest,
              r.before_image
            FROM left_open b
            CROSS JOIN LATERAL unnest(b.migration_keys, b.attempts, b.before_images)
              AS r(migration_key, attempt, before_image)
            JOIN plan_row p ON p.plan_id = b.plan_id AND p.entity = b.entity AND p.migration_key = r.migration_key
        """),
        {"project": project_id, "target": target},
    )
