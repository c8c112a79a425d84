"""The CRM's own automation: what it does by itself when a lead is won or a complaint needs a salesperson.

Rules run inside the transaction of the write that sets them off, so both are stored or neither is. Each runs once per
record, whatever is written to that record later. An administrator can switch a rule off.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, String, Table, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from rollout.testbed.entities import ACCOUNT, LEAD, NOTIFICATION, OPPORTUNITY, TICKET, TODO, Entity, format_id
from rollout.testbed.tables import TABLES, history, metadata, users
from rollout.testbed.validation import Json


class Rule(StrEnum):
    """The rules there are."""

    LEAD_WON = "lead_won"
    COMPLAINT_ESCALATION = "complaint_escalation"


settings = Table(
    "rules",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("enabled", Boolean, nullable=False),
)
runs = Table(
    "rule_runs",
    metadata,
    Column("rule", String(50), primary_key=True),
    Column("record_id", BigInteger, primary_key=True),
)


@dataclass(frozen=True, slots=True)
class Change:
    """A record as it is stored now, and the fields that were just given a value."""

    number: int
    values: Mapping[str, Any]
    touched: Collection[str]


Create = Callable[[Entity, str, Mapping[str, Json]], int]
"""Stores a new record of an entity on behalf of someone; answers its number, or raises Refused."""

_RULE_OF = {LEAD.name: Rule.LEAD_WON, TICKET.name: Rule.COMPLAINT_ESCALATION}
WON, COMPLAINT = "已成交", "投诉"


def concerns(entity: Entity) -> bool:
    """Whether any rule looks at this entity."""
    return entity.name in _RULE_OF


def enabled(connection: Connection) -> dict[str, bool]:
    """Every rule, and whether it is on; rules nobody switched are."""
    switched = {row.name: row.enabled for row in connection.execute(select(settings))}
    return {rule.value: switched.get(rule.value, True) for rule in Rule}


def switch(connection: Connection, rule: Rule, *, on: bool) -> None:
    """Switch a rule on or off, for all writes to come."""
    statement = insert(settings).values(name=rule.value, enabled=on)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"enabled": on}))


def apply(connection: Connection, entity: Entity, changes: Sequence[Change], create: Create) -> None:
    """Run the entity's rule over the records that set it off and for which it has not run yet.

    Raises:
        Refused: The rule cannot do its part, so the write must not be stored either.
    """
    rule = _RULE_OF[entity.name]
    wanted = [change for change in changes if _sets_off(rule, change)]
    if not wanted or not enabled(connection)[rule.value]:
        return
    run = _win_lead if rule is Rule.LEAD_WON else _escalate_complaint
    # Sorted, so that two batches that need the same locks wait for each other instead of deadlocking.
    for change in sorted(wanted, key=lambda change: (str(change.values.get("company")), change.number)):
        statement = insert(runs).values(rule=rule.value, record_id=change.number).on_conflict_do_nothing()
        if connection.scalar(statement.returning(runs.c.record_id)) is not None:
            run(connection, change, create)


def _sets_off(rule: Rule, change: Change) -> bool:
    values = change.values
    if rule is Rule.LEAD_WON:
        return "status" in change.touched and values["status"] == WON
    touched = "kind" in change.touched or "needs_sales" in change.touched
    return touched and values["kind"] == COMPLAINT and values["needs_sales"] is True


def _win_lead(connection: Connection, change: Change, create: Create) -> None:
    """The customer of that name, or a new one, and an opportunity that is won."""
    lead, by = change.values, f"rule:{Rule.LEAD_WON}"
    lead_id = format_id(LEAD, change.number)
    account = lead["account"] or _account_named(connection, lead["company"])
    if account is None:
        fields: dict[str, Json] = {
            "name": lead["company"],
            "region": lead["region"],
            "owner": _first_active(connection, lead["owner"]),
            "legacy_no": f"LEAD-{lead_id}",
        }
        account = create(ACCOUNT, by, fields)
    fields = {
        "name": lead["name"],
        "account": format_id(ACCOUNT, account),
        "amount": None if lead["expected_amount"] is None else str(lead["expected_amount"]),
        "stage": "赢单",
        "owner": _first_active(connection, lead["owner"]),
        "lead": lead_id,
    }
    opportunity = create(OPPORTUNITY, by, fields)
    table = TABLES[LEAD.name]
    links = {"account": account, "opportunity": opportunity}
    connection.execute(update(table).where(table.c.id == change.number).values(links))
    noted: dict[str, list[Json]] = {}
    for name, number in links.items():
        parent = ACCOUNT if name == "account" else OPPORTUNITY
        if lead[name] != number:
            noted[name] = [lead[name] and format_id(parent, lead[name]), format_id(parent, number)]
    # Part of the write that set the rule off, so the lead's version stays the one its author is told.
    connection.execute(
        insert(history).values(entity=LEAD.name, record_id=change.number, by=by, action="update", changes=noted)
    )


def _account_named(connection: Connection, name: str) -> int | None:
    """The oldest customer of exactly this name. Locked by name: two leads of one company make one customer."""
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"rule:{Rule.LEAD_WON}:{name}"))))
    table = TABLES[ACCOUNT.name]
    # Locked against deletion until the opportunity refers to it.
    statement = select(table.c.id).where(table.c.name == name).order_by(table.c.id).limit(1)
    return connection.scalar(statement.with_for_update(key_share=True, read=True))


def _escalate_complaint(connection: Connection, change: Change, create: Create) -> None:
    """A todo for the customer's salesperson, and a notification."""
    ticket, by = change.values, f"rule:{Rule.COMPLAINT_ESCALATION}"
    accounts = TABLES[ACCOUNT.name]
    salesperson = connection.scalar(select(accounts.c.owner).where(accounts.c.id == ticket["account"]))
    receiver = _first_active(connection, salesperson, ticket["owner"], ticket["modified_by"])
    if receiver is None:
        return
    ticket_id = format_id(TICKET, change.number)
    todo: dict[str, Json] = {
        "subject": f"跟进投诉:{ticket['subject']}"[:200],
        "owner": receiver,
        "account": ticket["account"] and format_id(ACCOUNT, ticket["account"]),
        "ticket": ticket_id,
        "due_on": connection.scalar(select(func.to_char(func.current_date() + 1, "YYYY-MM-DD"))),
        "done": False,
    }
    create(TODO, by, todo)
    text = f"客户投诉需要您介入:{ticket['subject']}({ticket_id})"
    create(NOTIFICATION, by, {"recipient": receiver, "text": text, "ticket": ticket_id})


def _first_active(connection: Connection, *logins: str | None) -> str | None:
    """The first of them who may still own records."""
    active = set(connection.scalars(select(users.c.login).where(users.c.login.in_(logins), users.c.active)))
    return next((login for login in logins if login in active), None)
