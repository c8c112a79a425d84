"""Faults on demand: the next call of an endpoint goes wrong in a named way. Only with the start flag ``--faults``."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict, deque
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollout.testbed.dependencies import current_user
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.tables import PRETENDING


class PlannedFault(BaseModel):
    """What the next calls of an endpoint shall suffer."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str = Field(
        description="Path without `/api/`, such as `account/batch`; of the other systems `erp/orders`, `wecom/…`."
    )
    fault: Fault
    skip: int = Field(default=0, ge=0, description="Calls that go well before.")
    times: int = Field(default=1, ge=1, description="Calls that suffer it.")
    seconds: float = Field(default=0, ge=0, description="How long delays last, or what Retry-After says.")


@dataclass(slots=True)
class _Pending:
    """A planned fault, and how many calls it still lets pass and still spoils."""

    fault: PlannedFault
    skip: int
    times: int


class FaultPlan:
    """Faults to come, by endpoint, first planned first served. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: defaultdict[str, deque[_Pending]] = defaultdict(deque)

    def add(self, planned: PlannedFault) -> None:
        """Append to the endpoint's calls to come."""
        with self._lock:
            self._pending[planned.endpoint].append(_Pending(planned, planned.skip, planned.times))

    def clear(self) -> None:
        """Everything goes well again."""
        with self._lock:
            self._pending.clear()

    def next(self, path: str) -> PlannedFault | None:
        """What this call shall suffer."""
        if not self._pending:  # the usual case costs nothing
            return None
        endpoint = path.removeprefix("/api/").removeprefix("/")
        with self._lock:
            pending = self._pending.get(endpoint)
            if not pending:
                return None
            first = pending[0]
            if first.skip:
                first.skip -= 1
                return None
            first.times -= 1
            if not first.times:
                pending.popleft()
                if not pending:
                    del self._pending[endpoint]
            return first.fault


class FaultMiddleware:
    """The one place where calls go wrong on purpose."""

    def __init__(self, app: ASGIApp, plan: FaultPlan) -> None:
        self._app = app
        self._plan = plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, spoilt if that is planned."""
        planned = self._plan.next(scope["path"]) if scope["type"] == "http" else None
        if planned is None:
            await self._app(scope, receive, send)
        elif planned.fault in _REFUSALS:
            await _refusal(scope["path"], planned)(scope, receive, send)
        elif planned.fault is Fault.DELAY_BEFORE:
            await asyncio.sleep(planned.seconds)
            await self._app(scope, receive, send)
        elif planned.fault is Fault.PRETEND:
            # Handlers run in copies of this context, so they see it.
            mark = PRETENDING.set(True)
            try:
                await self._app(scope, receive, send)
            finally:
                PRETENDING.reset(mark)
        else:
            await self._carry_out(planned, scope, receive, send)

    async def _carry_out(self, planned: PlannedFault, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the call be carried out to its end, then spoil the answer."""
        answer: list[Message] = []

        async def hold(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, hold)
        if planned.fault is Fault.DELAY_AFTER:
            await asyncio.sleep(planned.seconds)
            for message in answer:
                await send(message)
        elif planned.fault is Fault.NO_JSON:
            await Response("<html><body>gateway</body></html>", media_type="text/html")(scope, receive, send)
        else:
            # A promised body that never comes: the server closes the connection when we return.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


_REFUSALS = {Fault.ERROR_BEFORE: 500, Fault.TOO_MANY_REQUESTS: 429, Fault.UNAVAILABLE: 503}
_THROTTLED = {"/wecom/": 45009, "/dingtalk/": 130101}
"""Error codes of those who answer with HTTP 200 whatever happens; -1 is their "busy"."""


def _refusal(path: str, planned: PlannedFault) -> Response:
    """Refuse as the system of this path does."""
    throttled = planned.fault is Fault.TOO_MANY_REQUESTS
    code = next((code for beginning, code in _THROTTLED.items() if path.startswith(beginning)), None)
    if code is not None and planned.fault is not Fault.ERROR_BEFORE:
        body = {"errcode": code if throttled else -1, "errmsg": "injected fault"}
        return Response(json.dumps(body), media_type="application/json")
    headers = {"Retry-After": str(round(planned.seconds))} if throttled else {}
    return Response(json.dumps({"detail": "injected fault"}), _REFUSALS[planned.fault], headers)


router = APIRouter(prefix="/api/admin", tags=["faults"], dependencies=[Depends(current_user)])


@router.post("/faults", status_code=204, summary="Plan a fault")
def plan_fault(planned: PlannedFault, request: Request) -> None:
    """Let the next calls of an endpoint go wrong."""
    request.app.state.fault_plan.add(planned)


@router.delete("/faults", status_code=204, summary="Forget all planned faults")
def clear_faults(request: Request) -> None:
    """Everything goes well again."""
    request.app.state.fault_plan.clear()
