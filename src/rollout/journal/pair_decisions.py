"""What named persons said about pairs: the same record, or different ones. One line a decision, the newest counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from rollout.journal.schema_data import pair_decision

IN_TARGET = "@"
"""Begins a key that stands for a record of the target: `@TARGET:ID`. Source keys begin with their source's name."""


class PairDecision(NamedTuple):
    """One decision about two records; ``left_key`` sorts before ``right_key``."""

    left_key: str
    right_key: str
    verdict: str
    """`same` or `different`."""


def decision(one: str, other: str, verdict: str) -> PairDecision:
    """A decision, whichever key is named first."""
    return PairDecision(min(one, other), max(one, other), verdict)


def in_target(target: str, target_id: str) -> str:
    """The key of a record of the target."""
    return f"{IN_TARGET}{target}:{target_id}"


def record(
    connection: Connection,
    project_id: str,
    entity: str,
    decisions: Iterable[PairDecision],
    *,
    handout_id: str | None,
    person: str,
    reason: str,
    at: datetime,
) -> None:
    """Record decisions, the newest about a pair being the one that counts."""
    told = {"handout_id": handout_id, "person": person, "reason": reason, "at": at}
    lines = [{"project_id": project_id, "entity": entity, **made._asdict(), **told} for made in decisions]
    if lines:
        connection.execute(insert(pair_decision), lines)


def newest(connection: Connection, project_id: str, entity: str) -> tuple[PairDecision, ...]:
    """What counts about an entity's pairs, ordered by their keys."""
    c = pair_decision.c
    query = (
        select(c.left_key, c.right_key, c.verdict)
        .where(c.project_id == project_id, c.entity == entity)
        .ext(distinct_on(c.left_key, c.right_key))
        .order_by(c.left_key, c.right_key, c.seq.desc())
    )
    return tuple(sorted(PairDecision(*row) for row in connection.execute(query)))


def about_rows(decisions: Iterable[PairDecision]) -> tuple[PairDecision, ...]:
    """Those about rows of the sources alone."""
    return tuple(made for made in decisions if not any(key.startswith(IN_TARGET) for key in made[:2]))


def about_target(decisions: Iterable[PairDecision], target: str) -> Iterator[tuple[str, str, str]]:
    """Those about records of a target: source key, target id, verdict."""
    start = in_target(target, "")
    for made in decisions:
        for ours, theirs in ((made.left_key, made.right_key), (made.right_key, made.left_key)):
            if theirs.startswith(start):
                yield ours, theirs.removeprefix(start), made.verdict
