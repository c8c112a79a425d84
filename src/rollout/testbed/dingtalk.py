"""A fake of a DingTalk (钉钉) group robot: a webhook that checks the signature and throttles.

Shapes and codes follow the vendor's public documents on custom robots; what these leave open is marked "unconfirmed".
HTTP is 200 whatever happens and ``errcode`` tells. Access token and signing secret are the testbed's password.
``/dingtalk/admin`` is for simulations.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from enum import IntEnum
from typing import Any

from fastapi import APIRouter, Depends
from sqlalchemy import BigInteger, Column, DateTime, Identity, Table, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from rollout.testbed.dependencies import Crm, CrmPart, JsonBody, operator
from rollout.testbed.tables import metadata, transaction

MAX_BODY_BYTES = 20_000
MAX_PER_MINUTE = 20
SIGNATURE_HOLDS_S = 3600
_REQUIRED = {"text": ("content",), "markdown": ("title", "text"), "link": ("title", "text", "messageUrl")}

sent = Table(
    "dingtalk_sent",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("body", JSONB, nullable=False),
)

router = APIRouter(prefix="/dingtalk")
_for_operators = [Depends(operator)]
Answer = dict[str, Any]


class Code(IntEnum):
    """The error codes given here."""

    MISSING_PARAMETER = 40035  # unconfirmed for wrong bodies
    SEND_TOO_FAST = 130101
    TOKEN_UNKNOWN = 300001  # unconfirmed
    REFUSED = 310000
    TOO_LONG = 460101  # unconfirmed


def _error(code: Code, message: str) -> Answer:
    return {"errcode": int(code), "errmsg": message}


@router.post("/robot/send")
def send(crm: CrmPart, body: JsonBody, access_token: str = "", timestamp: str = "", sign: str = "") -> Answer:
    """Post into the group; security setting "sign"."""
    if not hmac.compare_digest(access_token.encode(), crm.password.encode()):
        return _error(Code.TOKEN_UNKNOWN, "token is not exist")
    if problem := _wrong_signature(crm, timestamp, sign):
        return _error(Code.REFUSED, problem)
    if not _is_message(body):
        return _error(Code.MISSING_PARAMETER, "缺少参数 json")
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    if b"\\u0000" in text:
        return _error(Code.MISSING_PARAMETER, "缺少参数 json")
    if len(text) > MAX_BODY_BYTES:
        return _error(Code.TOO_LONG, "message too long, exceed 20000 bytes")
    now = crm.clock()
    with transaction(crm.engine) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(sent.name))))
        recent = select(func.count()).select_from(sent).where(sent.c.at > now - timedelta(minutes=1))
        # The documents speak of ten minutes' throttling after that; how the real one counts them is unconfirmed.
        if (connection.scalar(recent) or 0) >= MAX_PER_MINUTE:
            return _error(Code.SEND_TOO_FAST, "send too fast, exceed 20 times per minute")
        connection.execute(insert(sent).values(at=now, body=json.loads(text)))
    return {"errcode": 0, "errmsg": "ok"}


@router.get("/admin/sent", dependencies=_for_operators)
def list_sent(crm: CrmPart) -> dict[str, list[Answer]]:
    """Messages in the group, oldest first."""
    with crm.engine.connect() as connection:
        return {"sent": [{"at": row.at, **row.body} for row in connection.execute(select(sent).order_by(sent.c.id))]}


@router.delete("/admin/sent", dependencies=_for_operators)
def clear_sent(crm: CrmPart) -> dict[str, int]:
    """Empty the group; the throttle forgets, too."""
    with transaction(crm.engine) as connection:
        return {"deleted": connection.execute(delete(sent)).rowcount}


def _is_message(body: Any) -> bool:
    """Whether it is of a type known here, with all that the type requires."""
    kind = str(body.get("msgtype")) if isinstance(body, dict) else ""
    part = body.get(kind) if kind in _REQUIRED else None
    return isinstance(part, dict) and all(isinstance(part.get(key), str) and part[key] for key in _REQUIRED[kind])


def _wrong_signature(crm: Crm, timestamp: str, sign: str) -> str:
    """What is wrong with it, in the vendor's words; "" if nothing is."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 18):  # noqa: PLR2004 - no overflow
        return "invalid timestamp"
    if abs(crm.clock().timestamp() - int(timestamp) / 1000) > SIGNATURE_HOLDS_S:
        return "invalid timestamp"
    digest = hmac.new(crm.password.encode(), f"{timestamp}\n{crm.password}".encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(base64.b64encode(digest), sign.encode()):
        return "sign not match"
    return ""
