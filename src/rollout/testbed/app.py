"""The CRM and the fakes beside it as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp

from rollout.testbed import admin, api, dingtalk, erp, faults, pages, tables, wecom
from rollout.testbed.dependencies import Crm
from rollout.testbed.fault_schedule import FaultPlan
from rollout.testbed.fault_server import FaultServer
from rollout.testbed.sessions import Sessions

_ROLLED_BACK = ("40P01", "40001")  # deadlock_detected, serialization_failure


@dataclass(frozen=True, slots=True)
class Settings:
    """How the CRM is run. ``token_lifetime_s``: how long a login holds."""

    database_url: str
    password: str
    token_lifetime_s: int = 3600
    with_faults: bool = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(settings: Settings, *, clock: Callable[[], datetime] = _utc_now) -> FastAPI:
    """Build the application; tables and made-up users are created when it starts."""
    engine = tables.connect(settings.database_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tables.create_all(engine, settings.password)
        anyio.to_thread.current_default_thread_limiter().total_tokens = tables.CONCURRENCY
        yield
        engine.dispose()

    app = FastAPI(
        title="Testbed CRM",
        summary="A small real CRM with made-up users, for trying out a migration.",
        version="1.0",
        lifespan=lifespan,
        # Their pages load scripts from the network; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    lifetime_s = settings.token_lifetime_s
    sessions = Sessions(engine, lifetime_s=lifetime_s, clock=clock)
    app.state.crm = Crm(engine, sessions, clock, lifetime_s, settings.password)
    app.add_exception_handler(OperationalError, _database_error)
    if settings.with_faults:
        app.state.fault_plan = FaultPlan()
        app.include_router(faults.router)
    app.include_router(admin.router)  # before the paths that begin with an entity's name
    app.include_router(api.router)
    # Other systems' calls, so they are not in the CRM's own document.
    for fake in (erp, wecom, dingtalk):
        app.include_router(fake.router, include_in_schema=False)
    app.include_router(pages.router, include_in_schema=False)
    return app


def served(app: FastAPI) -> ASGIApp:
    """What the server runs: with faults, if the settings allow them, around the whole application."""
    plan: FaultPlan | None = getattr(app.state, "fault_plan", None)
    return app if plan is None else FaultServer(app, plan, app.state.crm.sessions.log_out)


def _database_error(_: Request, error: Exception) -> JSONResponse:
    """503 only where the database says that it rolled back; otherwise nobody knows what was stored."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if state in _ROLLED_BACK:
        return JSONResponse({"detail": "busy, nothing was stored"}, 503, headers={"Retry-After": "1"})
    return JSONResponse({"detail": "the database failed"}, 500)
