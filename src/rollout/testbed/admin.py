"""The CRM's administration: users and the rules of its automation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path
from sqlalchemy import select, update

from rollout.testbed import automation, sweeping
from rollout.testbed.dependencies import Caller, CrmPart, administrator
from rollout.testbed.entities import Role
from rollout.testbed.messages import (
    Automation,
    AutomationCounts,
    RuleState,
    RuleSwitch,
    Sweep,
    Swept,
    User,
    UserChange,
    Users,
)
from rollout.testbed.tables import transaction, users

router = APIRouter(prefix="/api", tags=["administration"])
Login = Annotated[str, Path(max_length=50, pattern=r"^[^\x00]+$")]
_for_administrators = [Depends(administrator)]
_FORBIDDEN: dict[int | str, dict[str, object]] = {403: {"description": "Needs the role admin or migration."}}


@router.get("/users", summary="Users")
def list_users(caller: Caller, crm: CrmPart) -> Users:
    """Logins that records may be owned by while active, and what they are."""
    del caller
    with crm.engine.connect() as connection:
        found = connection.execute(select(users).order_by(users.c.login))
        return Users(
            users=[User(login=row.login, name=row.name, active=row.active, role=Role(row.role)) for row in found]
        )


@router.patch("/users/{login}", summary="Change a user", dependencies=_for_administrators, responses=_FORBIDDEN)
def change_user(login: Login, change: UserChange, crm: CrmPart) -> User:
    """Another role, or out of work: who is not active is logged out at once."""
    values = change.model_dump(mode="json", exclude_none=True)
    statement = select(users).where(users.c.login == login)
    with transaction(crm.engine) as connection:
        if values:
            connection.execute(update(users).where(users.c.login == login).values(values))
        row = connection.execute(statement).first()
    if row is None:
        raise HTTPException(404, f"no user '{login}'")
    return User(login=row.login, name=row.name, active=row.active, role=Role(row.role))


@router.get("/admin/rules", summary="Rules of the automation", dependencies=_for_administrators, responses=_FORBIDDEN)
def list_rules(crm: CrmPart) -> dict[str, bool]:
    """Every rule, and whether it is on."""
    with crm.engine.connect() as connection:
        return automation.enabled(connection)


@router.put("/admin/rules/{name}", summary="Set a rule", dependencies=_for_administrators, responses=_FORBIDDEN)
def switch_rule(name: automation.Rule, switched: RuleSwitch, crm: CrmPart) -> dict[str, bool]:
    """On or off, or other figures, for all that comes; answers all rules."""
    with transaction(crm.engine) as connection:
        try:
            automation.change(connection, name, on=switched.enabled, settings=switched.settings)
        except KeyError as error:
            raise HTTPException(422, f"{name} has no setting {error}") from error
        return automation.enabled(connection)


@router.get(
    "/admin/automation",
    summary="Rules and what they have done",
    dependencies=_for_administrators,
    responses=_FORBIDDEN,
)
def tell_automation(crm: CrmPart) -> Automation:
    """All rules with their settings, and counts of their runs and of what they made."""
    with crm.engine.connect() as connection:
        states = automation.states(connection)
        counts = AutomationCounts(**automation.counts(connection))
    return Automation(
        rules=[
            RuleState(
                name=rule.value,
                label=described.label,
                kind=described.kind,
                enabled=states[rule].enabled,
                settings={**described.fixed, **states[rule].settings},
            )
            for rule, described in automation.RULES.items()
        ],
        counts=counts,
    )


@router.post("/admin/sweep", summary="Let the hour strike", dependencies=_for_administrators, responses=_FORBIDDEN)
def sweep(asked: Sweep, crm: CrmPart) -> Swept:
    """Run the rules that go by the clock, as a scheduler does every hour."""
    with transaction(crm.engine) as connection:
        recycled, reminded = sweeping.sweep(connection, asked.at or crm.clock())
    return Swept(recycled=recycled, reminded=reminded)
