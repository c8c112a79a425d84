"""What people saw when they compared loaded records with what they came from: what they were asked, what they said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, Connection, Text, cast, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from rollout.journal.schema_data import sample_check

ASKED = "asked"
"""Stands in for a verdict where a record went out to be checked."""


class Scope(NamedTuple):
    """What a check is about: the records of a wave in a target."""

    project_id: str
    target: str
    wave: str


class Line(NamedTuple):
    """A record in a workbook, or what was said about it."""

    entity: str
    migration_key: str
    verdict: str
    """asked | right | wrong."""
    seen: str
    """Keyed digest of what was loaded when the record went out."""
    note: bytes | None = None
    """What the person remarked, sealed."""


class Check(NamedTuple):
    """The newest answer about a record."""

    migration_key: str
    verdict: str
    seen: str
    handout_id: str
    person: str
    at: datetime
    key_id: str | None
    note: bytes | None


def note_place(entity: str, migration_key: str) -> str:
    """Where a sealed remark belongs."""
    return f"sample/{entity}/{migration_key}"


def record(
    connection: Connection,
    scope: Scope,
    handout_id: str,
    lines: Iterable[Line],
    *,
    person: str,
    at: datetime,
    key_id: str | None = None,
) -> None:
    """Record what a workbook asks, or what came back of it; ``key_id`` opens the remarks."""
    rows = [
        {
            **scope._asdict(),
            **line._asdict(),
            "handout_id": handout_id,
            "person": person,
            "at": at,
            "key_id": key_id if line.note is not None else None,
        }
        for line in lines
    ]
    if rows:
        connection.execute(insert(sample_check), rows)


def asked(connection: Connection, project_id: str, handout_id: str) -> dict[tuple[str, str], str]:
    """The records that a workbook asks about: (entity, migration key) → digest of what was loaded then."""
    query = select(sample_check.c.entity, sample_check.c.migration_key, sample_check.c.seen).where(
        sample_check.c.project_id == project_id,
        sample_check.c.handout_id == handout_id,
        sample_check.c.verdict == ASKED,
    )
    return {(row.entity, row.migration_key): row.seen for row in connection.execute(query)}


def answered(connection: Connection, project_id: str, handout_id: str) -> int:
    """Of a workbook's records those that ever came back with an answer."""
    distinct = func.count(func.distinct(sample_check.c.entity + "/" + sample_check.c.migration_key))
    query = select(distinct).where(
        sample_check.c.project_id == project_id,
        sample_check.c.handout_id == handout_id,
        sample_check.c.verdict != ASKED,
    )
    return int(connection.execute(query).scalar_one())


def newest(connection: Connection, scope: Scope, entity: str, migration_keys: Sequence[str]) -> dict[str, Check]:
    """The newest answer about each of these records, by migration key; absent: nobody answered."""
    table = sample_check
    query = (
        select(*(table.c[name] for name in Check._fields))
        .ext(distinct_on(table.c.migration_key))
        .where(
            table.c.project_id == scope.project_id,
            table.c.target == scope.target,
            table.c.wave == scope.wave,
            table.c.entity == entity,
            table.c.migration_key == func.any(cast(list(migration_keys), ARRAY(Text))),
            table.c.verdict != ASKED,
        )
        .order_by(table.c.migration_key, table.c.seq.desc())
    )
    return {row.migration_key: Check(*row) for row in connection.execute(query)}
