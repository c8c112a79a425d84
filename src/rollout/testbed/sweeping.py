"""The rules that go by the clock: customers nobody follows up go back to the pool, and people are reminded in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Subquery, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from rollout.testbed import automation
from rollout.testbed.automation import Rule
from rollout.testbed.entities import ACCOUNT, FOLLOWUP, TODO, format_id
from rollout.testbed.tables import TABLES, history


def sweep(connection: Connection, at: datetime) -> tuple[int, int]:
    """Run what is on, as of ``at``: customers taken from their owners, reminders written."""
    states = automation.states(connection)
    recycling, first = states[Rule.ACCOUNT_RECYCLING], states[Rule.FIRST_FOLLOW_UP]
    recycled = _recycle(connection, at, recycling.settings) if recycling.enabled else 0
    reminded = _remind(connection, at, first.settings["answer_within_h"]) if first.enabled else 0
    return recycled, reminded


def _held() -> Subquery:
    """Owned customers with the time their clock runs from: the last follow-up told or recorded, or their beginning."""
    accounts, followups = TABLES[ACCOUNT.name], TABLES[FOLLOWUP.name]
    last = (
        select(followups.c.account, func.max(followups.c.created_at).label("at"))
        .group_by(followups.c.account)
        .subquery()
    )
    followed = func.greatest(accounts.c.last_followed_at, last.c.at)
    begun = func.coalesce(accounts.c.originally_created_at, accounts.c.created_at)
    return (
        select(
            accounts.c.id,
            accounts.c.name,
            accounts.c.owner,
            followed.label("followed"),
            begun.label("begun"),
            func.coalesce(followed, begun).label("clock"),
        )
        .outerjoin(last, last.c.account == accounts.c.id)
        .where(accounts.c.owner.is_not(None))
        .subquery()
    )


def _recycle(connection: Connection, at: datetime, settings: Mapping[str, int]) -> int:
    """Too long without follow-up, or more than one person may hold: the longest untouched go."""
    held, accounts = _held(), TABLES[ACCOUNT.name]
    place = func.row_number().over(partition_by=held.c.owner, order_by=(held.c.clock.desc(), held.c.id))
    ranked = select(held, place.label("place")).subquery()
    due = select(ranked.c.id, ranked.c.owner).where(
        or_(
            ranked.c.clock < at - timedelta(days=settings["holding_days"]),
            ranked.c.place > settings["max_per_owner"],
        )
    )
    owners = {row.id: row.owner for row in connection.execute(due)}
    if not owners:
        return 0
    by = automation.author(Rule.ACCOUNT_RECYCLING)
    given_up: dict[str, Any] = {"owner": None, "modified_by": by, "version": accounts.c.version + 1}
    statement = update(accounts).where(accounts.c.id.in_(owners)).values(given_up | {"modified_at": func.now()})
    taken = list(connection.scalars(statement.returning(accounts.c.id)))
    entries = [
        {
            "entity": ACCOUNT.name,
            "record_id": number,
            "by": by,
            "action": "update",
            "changes": {"owner": [owners[number], None]},
        }
        for number in taken
    ]
    if entries:
        connection.execute(insert(history), entries)
    counted = insert(automation.runs)
    again = {"times": func.coalesce(automation.runs.c.times, 1) + 1}
    for number in taken:
        run = counted.values(rule=Rule.ACCOUNT_RECYCLING.value, record_id=number)
        connection.execute(run.on_conflict_do_update(index_elements=["rule", "record_id"], set_=again))
    return len(taken)


def _remind(connection: Connection, at: datetime, within_h: int) -> int:
    """A todo for the owner of a customer that nobody followed up in time, once a customer."""
    held, todos = _held(), TABLES[TODO.name]
    by, reminded = automation.author(Rule.FIRST_FOLLOW_UP), 0
    late = and_(held.c.followed.is_(None), held.c.begun < at - timedelta(hours=within_h))
    for row in connection.execute(select(held).where(late).order_by(held.c.id)).all():
        if not automation.claim(connection, Rule.FIRST_FOLLOW_UP, row.id):
            continue
        values = {"subject": f"首次跟进:{row.name}"[:200], "owner": row.owner, "account": row.id, "done": False}
        number = connection.scalar(insert(todos).values(**values, modified_by=by).returning(todos.c.id))
        changes = {name: [None, value] for name, value in values.items()} | {
            "account": [None, format_id(ACCOUNT, row.id)]
        }
        connection.execute(
            insert(history).values(entity=TODO.name, record_id=number, by=by, action="create", changes=changes)
        )
        reminded += 1
    return reminded
