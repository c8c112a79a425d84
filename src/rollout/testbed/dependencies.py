"""What request handlers need: the CRM's parts, and who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.engine import Engine

from rollout.testbed.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Crm:
    """The running CRM's parts."""

    engine: Engine
    sessions: Sessions


async def get_crm(request: Request) -> Crm:
    """The CRM this request is for."""
    crm: Crm = request.app.state.crm
    return crm


CrmPart = Annotated[Crm, Depends(get_crm)]
_bearer = HTTPBearer(auto_error=False, description="The access token of `POST /api/token`.")


def current_user(crm: CrmPart, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """The caller's login; 401 without a valid token."""
    login = crm.sessions.user_of(credentials.credentials) if credentials else None
    if login is None:
        raise HTTPException(
            401, "token missing, unknown or expired: get one at /api/token", headers={"WWW-Authenticate": "Bearer"}
        )
    return login


Caller = Annotated[str, Depends(current_user)]
