"""The rows in quarantine with all their problems, for the people who can repair them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from rollout.cleanse.row_rules import REFUSED
from rollout.match.parquet import quoted, scan
from rollout.phases.cleansed_rows import LatestCleansing
from rollout.phases.stages import engine
from rollout.phases.worded import row_hashes, unreadable_hashes

WAITING = "parent_quarantined"
"""The problem of a row that has to wait for another one: nobody can repair it where it is."""


@dataclass(frozen=True)
class Problem:
    """One problem of a row."""

    field: str | None
    """None: of the row as a whole."""
    value: str | None
    """As the source has it."""
    reason_code: str
    message: str


@dataclass(frozen=True)
class HeldRow:
    """A row in quarantine."""

    entity: str
    source_key: str
    file: str
    line: int
    title: str | None
    whose: str | None
    """The owner or region; None: nobody knows."""
    problems: tuple[Problem, ...]
    row_hash: str


@dataclass(frozen=True)
class Held:
    """The rows of an entity in quarantine, and how many of them are not for people to repair."""

    rows: tuple[HeldRow, ...]
    waiting: int
    """Rows that only wait for the record that they belong to."""
    refused: int
    """Rows that a rule refuses for good."""


def held_rows(latest: LatestCleansing, entity: str, field: str | None, *, everything: bool = False) -> Held:
    """The rows of an entity that somebody can repair.

    Args:
        latest: The cleansing.
        entity: The entity.
        field: Names the owner or region; None: that does not matter.
        everything: Also those that nobody can repair where they are.
    """
    with engine(latest.root) as connection:
        found = list(_rows(connection, latest, entity, field))
        codes = {row.source_key: {problem.reason_code for problem in row.problems} for row in found}
        waiting = {key for key, told in codes.items() if told == {WAITING}}
        refused = {key for key, told in codes.items() if REFUSED in told}
        ours = [row for row in found if everything or row.source_key not in waiting | refused]
        hashes = hashes_of(connection, latest, entity, [row.source_key for row in ours])
    rows = tuple(_with_hash(row, hashes[row.source_key]) for row in ours)
    return Held(rows, waiting=len(waiting), refused=len(refused))


def hashes_of(
    connection: duckdb.DuckDBPyConnection, latest: LatestCleansing, entity: str, keys: Sequence[str]
) -> Mapping[str, str]:
    """The hashes of an entity's rows, readable or not, by source key; of such as are there."""
    found: dict[str, str] = {}
    for raw in latest.raws(entity).values():
        found |= row_hashes(connection, latest.root, raw, keys)
        found |= unreadable_hashes(connection, latest.root, raw, keys)
    return found


def _rows(
    connection: duckdb.DuckDBPyConnection, latest: LatestCleansing, entity: str, field: str | None
) -> Iterator[HeldRow]:
    done, spec = latest.done[entity], latest.spec.entities[entity]
    whose = (
        "SELECT NULL::VARCHAR AS source_key, NULL::VARCHAR AS whose" if field is None else latest.held_by(entity, field)
    )
    cursor = connection.execute(
        "SELECT q._source_key, any_value(q._file), any_value(q._line),"  # noqa: S608
        f" any_value(h.{quoted(spec.title_field)}), any_value(w.whose),"
        " list({'field': q.field, 'value': q.value, 'code': q.reason_code, 'message': q.message}"
        " ORDER BY q.field, q.reason_code)"
        f" FROM {scan(latest.root / done.quarantine_file)} AS q"
        f" LEFT JOIN {scan(latest.root / done.held_file)} AS h ON h._source_key = q._source_key"
        f" LEFT JOIN ({whose}) AS w ON w.source_key = q._source_key"
        " GROUP BY q._source_key ORDER BY any_value(w.whose), any_value(q._file), any_value(q._line), q._source_key"
    )
    while rows := cursor.fetchmany(5_000):
        for key, file, line, title, belongs, problems in rows:
            told = tuple(Problem(found["field"], found["value"], found["code"], found["message"]) for found in problems)
            yield HeldRow(entity, key, file, line, title, belongs, told, row_hash="")


def _with_hash(row: HeldRow, row_hash: str) -> HeldRow:
    return HeldRow(row.entity, row.source_key, row.file, row.line, row.title, row.whose, row.problems, row_hash)
