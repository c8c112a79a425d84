"""A fake of the WeCom (企业微信) calls the platform makes: token, messages of 微信客服, application messages.

Shapes and error codes follow the vendor's public documents (paths 91039, 94670, 90236, 90313); what these leave open is
marked "unconfirmed". As there, HTTP is 200 whatever happens and ``errcode`` tells. ``/wecom/admin`` is for simulations.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from enum import IntEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, String, Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import Connection

from rollout.testbed import WECOM_CORP_ID
from rollout.testbed.dependencies import Crm, CrmPart, JsonBody, operator
from rollout.testbed.tables import metadata, transaction, users

OPEN_KFID = "wk_testbed"
MAX_TOKEN_LIFETIME_S = 7200
MAX_PAGE_ROWS = 1000
KEPT = timedelta(days=3)
"""Messages older than this are not handed out any more; counted from their arrival here."""
MAX_TEXT_BYTES = 2048
MAX_RECEIVERS = 1000
DUPLICATE_INTERVAL_S = 1800
FROM_CUSTOMER = 3

tokens = Table(
    "wecom_tokens",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
messages = Table(
    "wecom_messages",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    Column("msgid", String(100), nullable=False, unique=True),
    Column("open_kfid", String(100), nullable=False),
    Column("external_userid", String(100), nullable=False),
    Column("content", String(4000), nullable=False),
    Column("send_time", Integer, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
)
sent = Table(
    "wecom_sent",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("body", JSONB, nullable=False),
)

router = APIRouter(prefix="/wecom")
_for_operators = [Depends(operator)]
Answer = dict[str, Any]
Words = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


class Code(IntEnum):
    """The error codes given here."""

    OK = 0
    WRONG_SECRET = 40001
    WRONG_CORP = 40013
    INVALID_TOKEN = 40014
    WRONG_AGENT = 40056
    INVALID_PARAMETER = 40058
    TOKEN_MISSING = 41001
    TOKEN_EXPIRED = 42001
    EMPTY_TEXT = 44004
    NO_JSON = 47001
    NO_RECEIVER = 81013


def _error(code: Code, message: str) -> Answer:
    return {"errcode": int(code), "errmsg": f"{message}, hint: made-up testbed"}


# --- the vendor's calls ---


@router.get("/cgi-bin/gettoken")
def get_token(crm: CrmPart, corpid: str = "", corpsecret: str = "") -> Answer:
    """The same token to everybody while it is valid."""
    if corpid != WECOM_CORP_ID:
        return _error(Code.WRONG_CORP, "invalid corpid")
    if not hmac.compare_digest(corpsecret.encode(), crm.password.encode()):
        return _error(Code.WRONG_SECRET, "invalid credential")
    now = crm.clock()
    with transaction(crm.engine) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(tokens.name))))
        row = connection.execute(select(tokens).where(tokens.c.expires_at > now).order_by(tokens.c.id.desc())).first()
        if row is None:
            expires_at = now + timedelta(seconds=min(crm.token_lifetime_s, MAX_TOKEN_LIFETIME_S))
            row = connection.execute(insert(tokens).values(expires_at=expires_at).returning(tokens)).one()
    left_s = int((row.expires_at - now).total_seconds())
    return {"errcode": 0, "errmsg": "ok", "access_token": _sign(crm, row.id), "expires_in": left_s}


@router.post("/cgi-bin/kf/sync_msg")
def sync_messages(crm: CrmPart, body: JsonBody, access_token: str = "") -> Answer:
    """Messages of the customer service after a cursor. ``token`` (of a callback) is taken and not needed."""
    with crm.engine.connect() as connection:
        if refusal := _refused(connection, crm, access_token):
            return refusal
        if not isinstance(body, dict):
            return _error(Code.NO_JSON, "data format error")
        cursor, limit, open_kfid = body.get("cursor") or "", body.get("limit") or MAX_PAGE_ROWS, body.get("open_kfid")
        after = _position(cursor)
        # The code for a wrong cursor or limit is unconfirmed; the documents list 40058 for wrong parameters at large.
        if after is None or not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE_ROWS:
            return _error(Code.INVALID_PARAMETER, "invalid cursor or limit")
        statement = (
            select(messages)
            .where(messages.c.seq > after, messages.c.received_at > crm.clock() - KEPT)
            .order_by(messages.c.seq)
            .limit(limit + 1)
        )
        if open_kfid:
            statement = statement.where(messages.c.open_kfid == str(open_kfid).replace("\x00", ""))
        found = connection.execute(statement).all()
    page = found[:limit]
    return {
        "errcode": 0,
        "errmsg": "ok",
        "next_cursor": f"kf{page[-1].seq}" if page else cursor,
        "has_more": int(len(found) > limit),
        "msg_list": [
            {
                "msgid": row.msgid,
                "open_kfid": row.open_kfid,
                "external_userid": row.external_userid,
                "send_time": row.send_time,
                "origin": FROM_CUSTOMER,
                "msgtype": "text",
                "text": {"content": row.content},
            }
            for row in page
        ],
    }


@router.post("/cgi-bin/message/send")
def send_message(crm: CrmPart, body: JsonBody, access_token: str = "") -> Answer:
    """Send text or markdown to users of the CRM; some receivers may be unknown as long as one is not."""
    with transaction(crm.engine) as connection:
        if refusal := _refused(connection, crm, access_token):
            return refusal
        if not isinstance(body, dict):
            return _error(Code.NO_JSON, "data format error")
        kind = str(body.get("msgtype"))
        part = body.get(kind) if kind in ("text", "markdown") else None
        if not isinstance(part, dict):
            return _error(Code.INVALID_PARAMETER, "invalid msgtype")  # the code is unconfirmed
        content = part.get("content")
        if not isinstance(content, str) or not content.strip():
            return _error(Code.EMPTY_TEXT, "text content is empty")
        if not str(body.get("agentid", "")).isdigit():
            return _error(Code.WRONG_AGENT, "invalid agentid")
        known, unknown = _receivers(connection, body)
        if not known:
            return _error(Code.NO_RECEIVER, "user & party & tag all invalid")
        # Longer texts are cut, not refused.
        cut = content.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore").replace("\x00", "")
        kept = {"touser": "|".join(known), "agentid": int(body["agentid"]), "msgtype": kind, kind: {"content": cut}}
        number = _keep(connection, crm, kept, body)
    return {"errcode": 0, "errmsg": "ok", "invaliduser": "|".join(unknown), "msgid": f"testbed{number}"}


# --- for simulations ---


class CustomerMessage(BaseModel):
    """What a customer wrote. ``send_time``: seconds since 1970."""

    model_config = ConfigDict(extra="forbid")

    msgid: Words
    external_userid: Words
    content: Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]
    send_time: int = Field(ge=0, lt=2**31)
    open_kfid: Words = OPEN_KFID


@router.post("/admin/messages", dependencies=_for_operators)
def add_messages(given: list[CustomerMessage], crm: CrmPart) -> dict[str, int]:
    """Add customers' messages; a known msgid is left as it is."""
    with transaction(crm.engine) as connection:
        # One at a time: a cursor must not pass a number that is committed later.
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(messages.name))))
        rows = [message.model_dump() | {"received_at": crm.clock()} for message in given]
        statement = insert(messages).on_conflict_do_nothing(index_elements=["msgid"]).returning(messages.c.seq)
        added = len(connection.scalars(statement, rows).all()) if rows else 0
    return {"added": added}


@router.delete("/admin/messages/{msgid}", dependencies=_for_operators)
def delete_message(msgid: str, crm: CrmPart) -> dict[str, int]:
    """Take a message out, as if it had never been."""
    with transaction(crm.engine) as connection:
        gone = connection.execute(delete(messages).where(messages.c.msgid == msgid.replace("\x00", "")))
    return {"deleted": gone.rowcount}


@router.get("/admin/sent", dependencies=_for_operators)
def list_sent(crm: CrmPart) -> dict[str, list[Answer]]:
    """Application messages that were sent, oldest first."""
    with crm.engine.connect() as connection:
        rows = connection.execute(select(sent).order_by(sent.c.id))
        return {"sent": [{"msgid": f"testbed{row.id}", "at": row.at, **row.body} for row in rows]}


@router.delete("/admin/sent", dependencies=_for_operators)
def clear_sent(crm: CrmPart) -> dict[str, int]:
    """Forget what was sent."""
    with transaction(crm.engine) as connection:
        return {"deleted": connection.execute(delete(sent)).rowcount}


@router.delete("/admin/tokens", dependencies=_for_operators)
def expire_tokens(crm: CrmPart) -> dict[str, int]:
    """Let all tokens expire early, as the vendor reserves the right to."""
    now = crm.clock()
    with transaction(crm.engine) as connection:
        gone = connection.execute(update(tokens).where(tokens.c.expires_at > now).values(expires_at=now))
    return {"expired": gone.rowcount}


# --- helpers ---


def _sign(crm: Crm, number: int) -> str:
    digest = hmac.new(crm.password.encode(), f"wecom-token-{number}".encode(), hashlib.sha256).hexdigest()
    return f"{number}-{digest}"


def _refused(connection: Connection, crm: Crm, token: str) -> Answer | None:
    """What is wrong with the token, or None."""
    if not token:
        return _error(Code.TOKEN_MISSING, "access_token missing")
    number = _number(token.partition("-")[0])
    if number is None or not hmac.compare_digest(_sign(crm, number).encode(), token.encode()):
        return _error(Code.INVALID_TOKEN, "invalid access_token")
    expires_at = connection.scalar(select(tokens.c.expires_at).where(tokens.c.id == number))
    if expires_at is None or expires_at <= crm.clock():
        return _error(Code.TOKEN_EXPIRED, "access_token expired")
    return None


def _position(cursor: object) -> int | None:
    """Where a cursor stands; None if it was not made here."""
    if cursor == "":
        return 0
    return _number(cursor.removeprefix("kf")) if isinstance(cursor, str) and cursor.startswith("kf") else None


def _number(digits: str) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None  # noqa: PLR2004 - bigint


def _receivers(connection: Connection, body: Answer) -> tuple[list[str], list[str]]:
    """Known and unknown receivers. Departments and tags do not exist here."""
    active = connection.scalars(select(users.c.login).where(users.c.active).order_by(users.c.login)).all()
    asked = [name for name in str(body.get("touser") or "").split("|") if name][:MAX_RECEIVERS]
    if asked == ["@all"]:
        return list(active), []
    return [name for name in asked if name in active], [name for name in asked if name not in active]


def _keep(connection: Connection, crm: Crm, kept: Answer, body: Answer) -> int:
    """Store what is sent; with the duplicate check, the same again soon after is answered as sent and is not.

    That the answer then is ``ok`` with the first msgid is unconfirmed.
    """
    now = crm.clock()
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    if body.get("enable_duplicate_check") == 1:
        interval = body.get("duplicate_check_interval")
        seconds = interval if isinstance(interval, int) and 0 < interval <= 4 * 3600 else DUPLICATE_INTERVAL_S
        since = now - timedelta(seconds=seconds)
        before = connection.scalar(select(sent.c.id).where(sent.c.digest == digest, sent.c.at > since).limit(1))
        if before is not None:
            return int(before)
    return int(
        connection.execute(insert(sent).values(at=now, digest=digest, body=kept).returning(sent.c.id)).scalar_one()
    )
