"""The rules by which the CRM acts by itself: what there are, whether they are on, how they are set, what they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import Connection

from rollout.testbed.entities import ACCOUNT, LEAD, NOTIFICATION, TICKET, TODO
from rollout.testbed.tables import history, metadata


class Rule(StrEnum):
    """The rules there are."""

    LEAD_WON = "lead_won"
    COMPLAINT_ESCALATION = "complaint_escalation"
    NEW_ACCOUNT_ASSIGNMENT = "new_account_assignment"
    NEW_ACCOUNT_NOTIFICATION = "new_account_notification"
    ACCOUNT_RECYCLING = "account_recycling"
    FIRST_FOLLOW_UP = "first_follow_up"


@dataclass(frozen=True, slots=True)
class Described:
    """What a rule is. ``settings`` are the figures it starts with, ``fixed`` what it acts on."""

    label: str
    kind: str
    starts_on: bool
    fixed: Mapping[str, str]
    settings: Mapping[str, int]


RULES: dict[Rule, Described] = {
    Rule.LEAD_WON: Described("线索成交", "linkage", starts_on=True, fixed={"entity": LEAD.name}, settings={}),
    Rule.COMPLAINT_ESCALATION: Described(
        "投诉升级", "linkage", starts_on=True, fixed={"entity": TICKET.name}, settings={}
    ),
    Rule.NEW_ACCOUNT_ASSIGNMENT: Described(
        "新客户分配", "assignment", starts_on=False, fixed={"entity": ACCOUNT.name, "owner_field": "owner"}, settings={}
    ),
    Rule.NEW_ACCOUNT_NOTIFICATION: Described(
        "新客户通知", "notification", starts_on=False, fixed={"entity": ACCOUNT.name}, settings={}
    ),
    Rule.ACCOUNT_RECYCLING: Described(
        "公海回收",
        "recycling",
        starts_on=False,
        fixed={"entity": ACCOUNT.name, "owner_field": "owner", "clock_field": "last_followed_at"},
        settings={"holding_days": 30, "max_per_owner": 300},
    ),
    Rule.FIRST_FOLLOW_UP: Described(
        "首次跟进时限", "sla", starts_on=False, fixed={"entity": ACCOUNT.name}, settings={"answer_within_h": 24}
    ),
}
"""What would surprise whoever loads customers is off in a CRM that was just set up."""

switches = Table(
    "rules",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("settings", JSONB, nullable=False, server_default="{}"),
)
runs = Table(
    "rule_runs",
    metadata,
    Column("rule", String(50), primary_key=True),
    Column("record_id", BigInteger, primary_key=True),
    Column("times", Integer, nullable=False, server_default="1"),
)


@dataclass(frozen=True, slots=True)
class State:
    """A rule as it is now. ``settings`` are figures."""

    enabled: bool
    settings: Mapping[str, int]


def states(connection: Connection) -> dict[Rule, State]:
    """Every rule; those that nobody touched are as they start."""
    kept = {row.name: row for row in connection.execute(select(switches))}
    return {
        rule: State(kept[rule].enabled, {**described.settings, **(kept[rule].settings or {})})
        if rule in kept
        else State(described.starts_on, described.settings)
        for rule, described in RULES.items()
    }


def enabled(connection: Connection) -> dict[str, bool]:
    """Every rule, and whether it is on."""
    return {rule.value: state.enabled for rule, state in states(connection).items()}


def change(connection: Connection, rule: Rule, *, on: bool | None, settings: Mapping[str, int]) -> None:
    """Switch or set a rule, for all that comes. Raises KeyError for a figure that it does not have."""
    now = states(connection)[rule]
    if unknown := settings.keys() - RULES[rule].settings.keys():
        raise KeyError(min(unknown))
    values = {"enabled": now.enabled if on is None else on, "settings": {**now.settings, **settings}}
    statement = insert(switches).values(name=rule.value, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def counts(connection: Connection) -> dict[str, int]:
    """How often rules ran, and what they made, since the CRM was set up."""
    made: dict[str, int] = dict(
        connection.execute(
            select(history.c.entity, func.count())
            .where(history.c.action == "create", history.c.by.startswith("rule:"))
            .group_by(history.c.entity)
        )
        .tuples()
        .all()
    )
    return {
        "workflow_runs": int(connection.scalar(select(func.sum(func.coalesce(runs.c.times, 1)))) or 0),
        "todos": made.get(TODO.name, 0),
        "notifications": made.get(NOTIFICATION.name, 0),
        "messages": made.get("message", 0),
    }


def claim(connection: Connection, rule: Rule, record_id: int) -> bool:
    """Note that a rule runs for a record; False if it did before, and is not to run again."""
    statement = insert(runs).values(rule=rule.value, record_id=record_id).on_conflict_do_nothing()
    return connection.scalar(statement.returning(runs.c.record_id)) is not None


def author(rule: Rule) -> str:
    """Who a rule's doings are by."""
    return f"rule:{rule}"
