"""The one place where calls go wrong on purpose: around the whole application, next to the connection."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollout.testbed.distortion import Distortion, distorted
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.fault_schedule import FaultPlan, PlannedFault

_REFUSALS = {
    Fault.ERROR_BEFORE: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.TOO_MANY_REQUESTS: 429,
    Fault.TOO_MANY_WITHOUT_DELAY: 429,
    Fault.UNAVAILABLE: 503,
}
_DISTORTING = frozenset(
    {
        Fault.PRETEND,
        Fault.DROPPED_UPDATE,
        Fault.TRUNCATED_FIELD,
        Fault.LOST_FIELDS,
        Fault.PERMITS_DUPLICATES,
        Fault.LAGGING_SEARCH,
    }
)
_THROTTLED = {"/wecom/": 45009, "/dingtalk/": 130101}
"""Error codes of those who answer with HTTP 200 whatever happens; -1 is their "busy"."""
_JSON = "application/json"
_SYSTEM_ERROR = {"status": "failed", "reason": "system_error", "message": "injected fault", "id": None, "version": None}


class FaultServer:
    """Serves an application, and spoils the calls that the plan names.

    Args:
        app: What is served.
        plan: What goes wrong.
        log_out: Makes a token worthless; blocks.
    """

    def __init__(self, app: ASGIApp, plan: FaultPlan, log_out: Callable[[str], None]) -> None:
        self._app = app
        self._plan = plan
        self._log_out = log_out
        self._late: set[asyncio.Task[None]] = set()
        self._kinds: dict[Fault, Callable[[PlannedFault, Scope, Receive, Send], Awaitable[None]]] = {
            Fault.ERROR_IN_OK: self._error_in_ok,
            Fault.TIMEOUT_BEFORE: self._timeout_before,
            Fault.LATE_COMMIT: self._late_commit,
            Fault.CONNECTION_RESET: self._reset,
            Fault.DELAY_BEFORE: self._delay_before,
            Fault.PARTLY_FAILED: self._partly_failed,
            Fault.TOKEN_EXPIRES: self._token_expires,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, spoilt if that is planned."""
        planned = self._plan.next(scope["path"]) if scope["type"] == "http" else None
        if planned is None:
            await self._app(scope, receive, send)
        elif planned.fault in _REFUSALS:
            await _refusal(scope["path"], planned)(scope, receive, send)
        elif planned.fault in _DISTORTING:
            with distorted(Distortion(planned.fault, planned.seconds)):
                await self._app(scope, receive, send)
        elif spoil := self._kinds.get(planned.fault):
            await spoil(planned, scope, receive, send)
        else:
            await self._spoil_answer(planned, scope, receive, send)

    # --- before it is done ---

    async def _error_in_ok(self, _: PlannedFault, scope: Scope, receive: Receive, send: Send) -> None:
        body = {"error_code": "system_busy", "error_message": "injected fault"}
        await Response(json.dumps(body), media_type=_JSON)(scope, receive, send)

    async def _timeout_before(self, planned: PlannedFault, _scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(planned.seconds)
        await _drop(send)

    async def _delay_before(self, planned: PlannedFault, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(planned.seconds)
        await self._app(scope, receive, send)

    async def _reset(self, _: PlannedFault, _scope: Scope, receive: Receive, send: Send) -> None:
        await _body(receive)
        # The server hands its applications no connection, but its `send` belongs to what has it.
        transport = getattr(send, "__self__").transport  # noqa: B009 - a bound method's, which types do not know
        linger = struct.pack("ii", 1, 0)  # on, 0 s: closing sends RST
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()

    async def _late_commit(self, planned: PlannedFault, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)

        async def carry_out() -> None:
            await asyncio.sleep(planned.seconds)
            await self._answer_to(scope, body)

        task = asyncio.create_task(carry_out())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        await _drop(send)

    # --- half done ---

    async def _partly_failed(self, _: PlannedFault, scope: Scope, receive: Receive, send: Send) -> None:
        batch = json.loads(await _body(receive))
        rows = batch["rows"]
        start, content = await self._answer_to(scope, json.dumps(batch | {"rows": rows[::2]}).encode())
        if start["status"] == 200:  # noqa: PLR2004 - OK
            answer = json.loads(content)
            answer["outcomes"] += [{"migration_key": row["migration_key"], **_SYSTEM_ERROR} for row in rows[1::2]]
            content = json.dumps(answer).encode()
        await Response(content, start["status"], media_type=_JSON)(scope, receive, send)

    async def _token_expires(self, _: PlannedFault, scope: Scope, receive: Receive, send: Send) -> None:
        batch = json.loads(await _body(receive))
        half = batch | {"rows": batch["rows"][: (len(batch["rows"]) + 1) // 2]}
        await self._answer_to(scope, json.dumps(half).encode())
        token = Headers(scope=scope).get("Authorization", "").removeprefix("Bearer ")
        await anyio.to_thread.run_sync(self._log_out, token)
        headers = {"WWW-Authenticate": "Bearer"}
        await Response(json.dumps({"detail": "token expired"}), 401, headers, _JSON)(scope, receive, send)

    # --- done ---

    async def _spoil_answer(self, planned: PlannedFault, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the call be carried out to its end, then spoil the answer."""
        start, content = await self._answer_to(scope, await _body(receive))
        if planned.fault in (Fault.DELAY_AFTER, Fault.TIMEOUT_AFTER):
            await asyncio.sleep(planned.seconds)
        if planned.fault is Fault.DELAY_AFTER:
            await send(start)
            await send({"type": "http.response.body", "body": content})
        elif planned.fault is Fault.SHUFFLED:
            answer = json.loads(content)
            if "outcomes" in answer:
                answer["outcomes"].reverse()
            await Response(json.dumps(answer), start["status"], media_type=_JSON)(scope, receive, send)
        elif planned.fault is Fault.NO_JSON:
            await Response("<html><body>gateway</body></html>", media_type="text/html")(scope, receive, send)
        elif planned.fault is Fault.ERROR_AFTER:
            await Response(json.dumps({"detail": "injected fault"}), 500, media_type=_JSON)(scope, receive, send)
        elif planned.fault is Fault.TRUNCATED_BODY:
            await send(start)
            await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
        else:
            await _drop(send)

    async def _answer_to(self, scope: Scope, body: bytes) -> tuple[Message, bytes]:
        """Carry out a request with this body; the start of its answer, and its content."""
        answer: list[Message] = []
        given = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return next(given, {"type": "http.disconnect"})

        async def hold(message: Message) -> None:
            answer.append(message)

        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        length = (b"content-length", str(len(body)).encode())
        await self._app(dict(scope) | {"headers": [*headers, length]}, receive, hold)
        return answer[0], b"".join(message.get("body", b"") for message in answer[1:])


async def _body(receive: Receive) -> bytes:
    """All of the request's body."""
    content = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        content += part
        if not message.get("more_body", False):
            return content


async def _drop(send: Send) -> None:
    """A promised body that never comes: the server closes the connection when its application returns."""
    headers: Any = [(b"content-length", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _refusal(path: str, planned: PlannedFault) -> Response:
    """Refuse as the system of this path does."""
    throttled = planned.fault in (Fault.TOO_MANY_REQUESTS, Fault.TOO_MANY_WITHOUT_DELAY)
    code = next((code for beginning, code in _THROTTLED.items() if path.startswith(beginning)), None)
    if code is not None and (throttled or planned.fault is Fault.UNAVAILABLE):
        body = {"errcode": code if throttled else -1, "errmsg": "injected fault"}
        return Response(json.dumps(body), media_type=_JSON)
    headers = {"Retry-After": str(round(planned.seconds))} if planned.fault is Fault.TOO_MANY_REQUESTS else {}
    return Response(json.dumps({"detail": "injected fault"}), _REFUSALS[planned.fault], headers)
