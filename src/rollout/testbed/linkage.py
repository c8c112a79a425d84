"""What the CRM does by itself when a lead is won, a complaint needs a salesperson, or a customer is new.

Rules run inside the transaction of the write that sets them off, so both are stored or neither is. Each runs once per
record, whatever is written to that record later. An administrator can switch a rule off, and a call ask for silence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from rollout.testbed import automation
from rollout.testbed.automation import Rule
from rollout.testbed.entities import ACCOUNT, LEAD, NOTIFICATION, OPPORTUNITY, TICKET, TODO, Entity, Role, format_id
from rollout.testbed.tables import TABLES, history, users
from rollout.testbed.validation import Json


@dataclass(frozen=True, slots=True)
class Change:
    """A record as it is stored now, and the fields that were just given a value."""

    number: int
    values: Mapping[str, Any]
    touched: Collection[str]
    is_new: bool = False


Create = Callable[[Entity, str, Mapping[str, Json]], int]
"""Stores a new record of an entity on behalf of someone; answers its number, or raises Refused."""

_RULES_OF = {
    LEAD.name: (Rule.LEAD_WON,),
    TICKET.name: (Rule.COMPLAINT_ESCALATION,),
    ACCOUNT.name: (Rule.NEW_ACCOUNT_ASSIGNMENT, Rule.NEW_ACCOUNT_NOTIFICATION),
}
"""In the order in which they run."""
WON, COMPLAINT = "已成交", "投诉"


def watching(connection: Connection, entity: Entity) -> tuple[Rule, ...]:
    """The rules that are on and look at this entity."""
    rules = _RULES_OF.get(entity.name, ())
    if not rules:
        return ()
    states = automation.states(connection)
    return tuple(rule for rule in rules if states[rule].enabled)


def apply(connection: Connection, rules: Sequence[Rule], changes: Sequence[Change], create: Create) -> None:
    """Run rules over the records that set them off and for which they have not run yet.

    Raises:
        Refused: A rule cannot do its part, so the write must not be stored either.
    """
    for rule in rules:
        wanted = [change for change in changes if _sets_off(rule, change)]
        # Sorted, so that two batches that need the same locks wait for each other instead of deadlocking.
        for change in sorted(wanted, key=lambda change: (str(change.values.get("company")), change.number)):
            if automation.claim(connection, rule, change.number):
                _RUN[rule](connection, change, create)


def _sets_off(rule: Rule, change: Change) -> bool:
    values = change.values
    if rule is Rule.LEAD_WON:
        return "status" in change.touched and values["status"] == WON
    if rule is Rule.NEW_ACCOUNT_ASSIGNMENT:
        return change.is_new and values["owner"] is None
    if rule is Rule.NEW_ACCOUNT_NOTIFICATION:
        return change.is_new
    touched = "kind" in change.touched or "needs_sales" in change.touched
    return touched and values["kind"] == COMPLAINT and values["needs_sales"] is True


def _win_lead(connection: Connection, change: Change, create: Create) -> None:
    """The customer of that name, or a new one, and an opportunity that is won."""
    lead, by = change.values, automation.author(Rule.LEAD_WON)
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
    ticket, by = change.values, automation.author(Rule.COMPLAINT_ESCALATION)
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


def _assign(connection: Connection, change: Change, create: Create) -> None:
    """The salespeople by turns."""
    del create
    on_duty = select(users.c.login).where(users.c.active, users.c.role == Role.SALES.value).order_by(users.c.login)
    people = list(connection.scalars(on_duty))
    if not people:
        return
    owner = people[change.number % len(people)]
    table = TABLES[ACCOUNT.name]
    connection.execute(update(table).where(table.c.id == change.number).values(owner=owner))
    by, noted = automation.author(Rule.NEW_ACCOUNT_ASSIGNMENT), {"owner": [None, owner]}
    connection.execute(
        insert(history).values(entity=ACCOUNT.name, record_id=change.number, by=by, action="update", changes=noted)
    )


def _announce(connection: Connection, change: Change, create: Create) -> None:
    """A notification to the owner, whoever gave them the customer."""
    table = TABLES[ACCOUNT.name]
    owner = connection.scalar(select(table.c.owner).where(table.c.id == change.number))
    receiver = _first_active(connection, owner)
    if receiver is not None:
        text = f"您有新客户:{change.values['name']}({format_id(ACCOUNT, change.number)})"
        create(NOTIFICATION, automation.author(Rule.NEW_ACCOUNT_NOTIFICATION), {"recipient": receiver, "text": text})


def _first_active(connection: Connection, *logins: str | None) -> str | None:
    """The first of them who may still own records."""
    active = set(connection.scalars(select(users.c.login).where(users.c.login.in_(logins), users.c.active)))
    return next((login for login in logins if login in active), None)


_RUN: dict[Rule, Callable[[Connection, Change, Create], None]] = {
    Rule.LEAD_WON: _win_lead,
    Rule.COMPLAINT_ESCALATION: _escalate_complaint,
    Rule.NEW_ACCOUNT_ASSIGNMENT: _assign,
    Rule.NEW_ACCOUNT_NOTIFICATION: _announce,
}
