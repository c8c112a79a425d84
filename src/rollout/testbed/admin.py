"""The CRM's administration: users and the rules of its automation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path
from sqlalchemy import select, update

from rollout.testbed import linkage
from rollout.testbed.dependencies import Caller, CrmPart, administrator
from rollout.testbed.entities import Role
from rollout.testbed.messages import RuleSwitch, User, UserChange, Users
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
        return linkage.enabled(connection)


@router.put("/admin/rules/{name}", summary="Switch a rule", dependencies=_for_administrators, responses=_FORBIDDEN)
def switch_rule(name: linkage.Rule, switched: RuleSwitch, crm: CrmPart) -> dict[str, bool]:
    """On or off for all writes to come; answers all rules."""
    with transaction(crm.engine) as connection:
        linkage.switch(connection, name, on=switched.enabled)
        return linkage.enabled(connection)
