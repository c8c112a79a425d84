"""Plain pages for people, to look at what arrived: log in, lists with search, records with their history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import select
from sqlalchemy.engine import Connection

from rollout.testbed import reading
from rollout.testbed.dependencies import Crm, CrmPart
from rollout.testbed.entities import ENTITIES, Entity, format_id, parse_id
from rollout.testbed.messages import EntityName, Record
from rollout.testbed.tables import TABLES, users

COOKIE = "testbed_token"
PAGE_ROWS = 50
RELATED_ROWS = 100
MAX_FORM_BYTES = 10_000
LIST_COLUMNS = {
    "account": ("name", "region", "industry", "level", "owner", "phone", "legacy_no"),
    "contact": ("name", "account", "position", "mobile", "email", "legacy_no"),
    "product": ("name", "product_no", "category", "unit", "price", "on_sale"),
    "campaign": ("name", "campaign_no", "kind", "region", "starts_on", "ends_on", "cost"),
    "order": ("order_no", "account", "product", "quantity", "amount", "status", "ordered_on"),
    "order_line": ("line_no", "order", "product", "quantity", "price", "amount"),
    "contract": ("name", "contract_no", "account", "amount", "signed_on", "ends_on", "status", "owner"),
    "opportunity": ("name", "account", "amount", "stage", "owner"),
    "lead": ("name", "company", "region", "status", "owner", "expected_amount", "account"),
    "ticket": ("subject", "account", "kind", "status", "needs_sales", "owner"),
    "message": ("text", "external_user", "account", "channel", "sent_at"),
    "todo": ("subject", "owner", "account", "ticket", "due_on", "done"),
    "notification": ("text", "recipient", "ticket"),
    "followup": ("text", "account", "owner", "followed_on"),
}
"""Columns of the lists, the title first: it is the link."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

router = APIRouter()
_templates = Environment(
    loader=PackageLoader("rollout.testbed"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@router.get("/style.css")
def style() -> FileResponse:
    """The style sheet."""
    return FileResponse(Path(__file__).parent / "templates" / "style.css", media_type="text/css")


@router.get("/")
def home() -> RedirectResponse:
    """The first list."""
    return RedirectResponse("/view/account", 303)


@router.get("/login")
def login_page() -> HTMLResponse:
    """Ask for login and password."""
    return _page("login.html", failed=False)


@router.post("/login")
async def log_in(request: Request, crm: CrmPart) -> Response:
    """Keep the token in a cookie that scripts and other sites cannot use."""
    form = parse_qs((await request.body())[:MAX_FORM_BYTES].decode("utf-8", "replace"))
    username, password = form.get("username", [""])[0], form.get("password", [""])[0]
    grant = await run_in_threadpool(crm.sessions.log_in, username, password)
    if grant is None:
        return _page("login.html", status=401, failed=True)
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, grant.token, max_age=grant.lifetime_s, httponly=True, samesite="strict")
    return response


@router.post("/logout")
def log_out(request: Request, crm: CrmPart) -> RedirectResponse:
    """Make the token worthless."""
    crm.sessions.log_out(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/view/{entity}")
def record_list(
    entity: EntityName,
    request: Request,
    crm: CrmPart,
    q: Annotated[str, Query(max_length=100)] = "",
    after: str = "",
) -> Response:
    """Records, those found by ``q`` in title, migration key or legacy number."""
    login = _visitor(request, crm)
    if login is None:
        return RedirectResponse("/login", 303)
    kept = ENTITIES[entity]
    search = q.replace("\x00", "").strip()
    with crm.engine.connect() as connection:
        records = reading.page(connection, kept, after=parse_id(kept, after) or 0, limit=PAGE_ROWS + 1, search=search)
        shown = records[:PAGE_ROWS]
        return _page(
            "list.html",
            **_frame(connection, login, kept, shown),
            columns=[field for name in LIST_COLUMNS[kept.name] if (field := kept.field(name))],
            records=shown,
            total=reading.count(connection, kept, search=search),
            q=search,
            first_page=not after,
            next_after=shown[-1].id if len(records) > PAGE_ROWS else None,
        )


@router.get("/view/{entity}/{record_id}")
def record_page(entity: EntityName, record_id: str, request: Request, crm: CrmPart) -> Response:
    """One record, what refers to it, and its history."""
    login = _visitor(request, crm)
    if login is None:
        return RedirectResponse("/login", 303)
    kept = ENTITIES[entity]
    number = parse_id(kept, record_id)
    with crm.engine.connect() as connection:
        record = reading.by_id(connection, kept, number) if number is not None else None
        if record is None or number is None:
            return _page("missing.html", status=404, **_frame(connection, login, kept, []), record_id=record_id)
        related = [
            (child, field, reading.referring(connection, child, field.name, number, limit=RELATED_ROWS))
            for child in ENTITIES.values()
            for field in child.fields
            if field.references == kept.name
        ]
        labels = {field.name: field.label for field in kept.fields} | {"migration_key": "迁移键"}
        return _page(
            "record.html",
            **_frame(connection, login, kept, [record]),
            record=record,
            related=related,
            columns_of=LIST_COLUMNS,
            related_rows=RELATED_ROWS,
            labels=labels,
            history=reading.record_history(connection, kept, number),
        )


def _visitor(request: Request, crm: Crm) -> str | None:
    token = request.cookies.get(COOKIE)
    return crm.sessions.user_of(token) if token else None


def _frame(connection: Connection, login: str, entity: Entity, records: list[Record]) -> dict[str, Any]:
    """What every page shows, and the names behind logins and references."""
    names: dict[str, str] = {}
    for field in entity.fields:
        if field.references:
            parent = ENTITIES[field.references]
            wanted = {parse_id(parent, str(record.fields[field.name])) for record in records} - {None}
            if not wanted:
                continue
            table = TABLES[parent.name]
            found = connection.execute(
                select(table.c.id, table.c[parent.title].label("title")).where(table.c.id.in_(wanted))
            )
            names |= {format_id(parent, row.id): row.title for row in found}
    people = {row.login: row.name for row in connection.execute(select(users.c.login, users.c.name))}
    return {"login": login, "people": people, "names": names, "entity": entity, "entities": ENTITIES}


def _page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(template).render(**values), status, headers=_HEADERS)
