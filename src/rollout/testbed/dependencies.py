"""What request handlers need: the CRM's parts, and who is calling."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.engine import Engine

from rollout.testbed.entities import ADMINISTRATORS
from rollout.testbed.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Crm:
    """The running CRM's parts. ``password`` is every user's, and the fakes' token and secret."""

    engine: Engine
    sessions: Sessions
    clock: Callable[[], datetime]
    token_lifetime_s: int
    password: str = field(repr=False)


async def get_crm(request: Request) -> Crm:
    """The CRM this request is for."""
    crm: Crm = request.app.state.crm
    return crm


CrmPart = Annotated[Crm, Depends(get_crm)]
_bearer = HTTPBearer(auto_error=False, description="The access token of `POST /api/token`.")


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def current_user(crm: CrmPart, credentials: Credentials) -> str:
    """The caller's login; 401 without a valid token."""
    login = crm.sessions.user_of(credentials.credentials) if credentials else None
    if login is None:
        raise HTTPException(
            401, "token missing, unknown or expired: get one at /api/token", headers={"WWW-Authenticate": "Bearer"}
        )
    return login


Caller = Annotated[str, Depends(current_user)]


def administrator(crm: CrmPart, caller: Caller) -> str:
    """The caller's login; 403 unless the role allows to keep users and rules."""
    if crm.sessions.role_of(caller) not in ADMINISTRATORS:
        raise HTTPException(403, "needs the role admin or migration")
    return caller


Quiet = Annotated[bool, Header(alias="X-Suppress-Automation", description="Set off none of the CRM's rules.")]


def _is_system_token(crm: Crm, credentials: HTTPAuthorizationCredentials | None) -> bool:
    return credentials is not None and hmac.compare_digest(credentials.credentials.encode(), crm.password.encode())


def system_token(crm: CrmPart, credentials: Credentials) -> None:
    """401 without the token that one system gives another."""
    if not _is_system_token(crm, credentials):
        raise HTTPException(401, "token missing or wrong", headers={"WWW-Authenticate": "Bearer"})


def operator(crm: CrmPart, credentials: Credentials) -> None:
    """Whoever runs a simulation: with that token, or logged in to the CRM."""
    if not _is_system_token(crm, credentials):
        current_user(crm, credentials)


async def _json_body(request: Request) -> Any:
    """The body, whatever it is; None if it is no JSON. For those who must answer in their own way."""
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


JsonBody = Annotated[Any, Depends(_json_body)]
