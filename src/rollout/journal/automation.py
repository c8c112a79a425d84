"""The checked list of a target's rules that were switched off for a load, as the audit trail has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from rollout.journal import audit_trail
from rollout.journal.schema import audit

OFF, ON = "automation.off", "automation.on"


@dataclass(frozen=True)
class SwitchedOff:
    """A rule that we switched off, and have not switched on again."""

    rule: str
    person: str
    at: datetime
    reason: str


def note(
    connection: Connection, project_id: str, target: str, rule: str, *, on: bool, person: str, reason: str
) -> None:
    """Record that a person switches a rule, before it is done: a crash must not make anybody forget a rule."""
    detail = {"target": target, "reason": reason}
    audit_trail.append(connection, project_id, person, ON if on else OFF, rule, detail)


def switched_off(connection: Connection, project_id: str, target: str) -> list[SwitchedOff]:
    """The rules of a target that must be switched on again, in the order they were switched off."""
    query = (
        select(audit)
        .where(
            audit.c.project_id == project_id,
            audit.c.action.in_([OFF, ON]),
            audit.c.detail["target"].astext == target,
        )
        .order_by(audit.c.seq)
    )
    off: dict[str, SwitchedOff] = {}
    for row in connection.execute(query).mappings():
        if row["action"] == ON:
            off.pop(row["subject"], None)
        elif row["subject"] not in off:
            off[row["subject"]] = SwitchedOff(row["subject"], row["who"], row["at"], row["detail"]["reason"])
    return list(off.values())
