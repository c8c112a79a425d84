"""Workbooks that were handed out to people, and what came back of them."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from rollout.journal.schema_data import handout


class Handout(NamedTuple):
    """A workbook that went to somebody."""

    handout_id: str
    kind: str
    """quarantine, review, sample, mapping."""
    entity: str | None
    recipient: str
    """The owner, region or checker that it is for; masked where it names a person outside the company."""
    rows: int
    answered: int
    """Of its rows those that came back with an answer."""
    due_on: date | None
    file: str
    sha256: str
    unmasked: bool
    exported_by: str
    exported_at: datetime
    returned_by: str | None
    returned_at: datetime | None


def new_id() -> str:
    """An id for a workbook, which is written into it so that its answers are counted as its own."""
    return uuid.uuid4().hex[:12]


def record_export(  # noqa: PLR0913 - the facts of a workbook
    connection: Connection,
    project_id: str,
    handout_id: str,
    *,
    kind: str,
    entity: str | None,
    recipient: str,
    rows: int,
    due_on: date | None,
    file: str,
    sha256: str,
    unmasked: bool,
    exported_by: str,
    exported_at: datetime,
) -> None:
    """Record that a workbook went out."""
    connection.execute(
        insert(handout).values(
            project_id=project_id,
            handout_id=handout_id,
            kind=kind,
            entity=entity,
            recipient=recipient,
            rows=rows,
            due_on=due_on,
            file=file,
            sha256=sha256,
            unmasked=unmasked,
            exported_by=exported_by,
            exported_at=exported_at,
        )
    )


def record_return(
    connection: Connection, project_id: str, handout_id: str, *, answered: int, returned_by: str, returned_at: datetime
) -> bool:
    """Record that a workbook came back, how often ever; answers whether it is one of ours."""
    changed = connection.execute(
        update(handout)
        .where(handout.c.project_id == project_id, handout.c.handout_id == handout_id)
        .values(answered=answered, returned_by=returned_by, returned_at=returned_at)
    )
    return changed.rowcount == 1


def is_known(connection: Connection, project_id: str, handout_id: str, *, kind: str) -> bool:
    """Whether a workbook of this kind went out of this journal: another database of the project has others."""
    query = select(handout.c.handout_id).where(
        handout.c.project_id == project_id, handout.c.handout_id == handout_id, handout.c.kind == kind
    )
    return connection.execute(query).first() is not None


def handed_out(connection: Connection, project_id: str, *, kind: str | None = None) -> list[Handout]:
    """Every workbook that went out, the newest last."""
    columns = [handout.c[name] for name in Handout._fields]
    query = select(*columns).where(handout.c.project_id == project_id).order_by(handout.c.exported_at)
    if kind is not None:
        query = query.where(handout.c.kind == kind)
    return [Handout(*row) for row in connection.execute(query)]
