"""A small ERP beside the CRM: sales orders that others pull by the time of their last change.

It stands for no vendor in particular; polling by modification time is what the usual ones have in common.
``/erp/admin`` is for simulations, which put orders in and take them out; no real ERP has it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_serializer
from sqlalchemy import Column, Date, DateTime, Index, Numeric, String, Table, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from rollout.testbed.dependencies import CrmPart, operator, system_token
from rollout.testbed.tables import DECIMAL_DIGITS, DECIMAL_PLACES, metadata, transaction

MAX_PAGE_ROWS = 1000

orders = Table(
    "erp_orders",
    metadata,
    # Compared byte by byte, so that the order of a page is the same on every server.
    Column("order_no", String(100, collation="C"), primary_key=True),
    Column("customer_no", String(100), nullable=False),
    Column("product", String(200), nullable=False),
    Column("quantity", Numeric(DECIMAL_DIGITS, DECIMAL_PLACES), nullable=False),
    Column("amount", Numeric(DECIMAL_DIGITS, DECIMAL_PLACES), nullable=False),
    Column("status", String(50), nullable=False),
    Column("ordered_on", Date, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Index("erp_orders_changed", "updated_at", "order_no"),
)

router = APIRouter(prefix="/erp")
_needs_token = [Depends(system_token)]
_for_operators = [Depends(operator)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Figure = Annotated[Decimal, Field(max_digits=DECIMAL_DIGITS, decimal_places=DECIMAL_PLACES)]


class Order(BaseModel):
    """An order. ``customer_no`` is the customer's number in the old system (客户编号)."""

    model_config = ConfigDict(extra="forbid")

    order_no: Words
    customer_no: Words
    product: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")] = ""
    quantity: Figure = Decimal(1)
    amount: Figure
    status: Annotated[str, StringConstraints(max_length=50, pattern=r"^[^\x00]*$")]
    ordered_on: date
    updated_at: AwareDatetime | None = Field(default=None, description="Left out: the time of the server.")

    @field_serializer("updated_at")
    def _instant(self, value: datetime | None) -> str | None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None

    @field_serializer("quantity", "amount")
    def _plain(self, value: Decimal) -> str:
        plain = f"{value:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain


class OrderPage(BaseModel):
    """A page, the order changed longest ago first."""

    orders: list[Order]
    has_more: bool


@router.get("/health")
def health(crm: CrmPart) -> dict[str, str]:
    """Asks the database too. Needs no token."""
    with crm.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return {"status": "ok"}


@router.get("/orders", dependencies=_needs_token)
def changed_orders(
    crm: CrmPart,
    updated_since: AwareDatetime | None = None,
    after_id: str = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 200,
) -> OrderPage:
    """Orders in the sequence of (updated_at, order_no).

    With ``after_id`` those after the pair (updated_since, after_id), which is how the next page is asked for; without
    it, all from ``updated_since`` on.
    """
    statement = select(orders).order_by(orders.c.updated_at, orders.c.order_no).limit(limit + 1)
    if updated_since is not None and after_id:
        statement = statement.where(
            tuple_(orders.c.updated_at, orders.c.order_no) > tuple_(updated_since, after_id.replace("\x00", ""))
        )
    elif updated_since is not None:
        statement = statement.where(orders.c.updated_at >= updated_since)
    with crm.engine.connect() as connection:
        found = [Order.model_validate(dict(row)) for row in connection.execute(statement).mappings()]
    return OrderPage(orders=found[:limit], has_more=len(found) > limit)


@router.get("/orders/count", dependencies=_needs_token)
def count_orders(crm: CrmPart) -> dict[str, int]:
    """How many orders there are."""
    with crm.engine.connect() as connection:
        return {"count": int(connection.scalar(select(func.count()).select_from(orders)) or 0)}


@router.post("/admin/orders", dependencies=_for_operators)
def put_orders(given: list[Order], crm: CrmPart) -> dict[str, int]:
    """Add orders, or replace those of the same number. ``updated_at`` may be given: clocks of real ERPs lag, too."""
    now = crm.clock()
    statement = insert(orders)
    replaced = {column.name: statement.excluded[column.name] for column in orders.c if column.name != "order_no"}
    rows = [order.model_dump(exclude={"updated_at"}) | {"updated_at": order.updated_at or now} for order in given]
    if rows:
        with transaction(crm.engine) as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["order_no"], set_=replaced), rows)
    return {"stored": len(rows)}


@router.delete("/admin/orders/{order_no}", dependencies=_for_operators)
def delete_order(order_no: str, crm: CrmPart) -> dict[str, int]:
    """Take an order out, as if it had never been; the feed does not tell."""
    with transaction(crm.engine) as connection:
        gone = connection.execute(delete(orders).where(orders.c.order_no == order_no.replace("\x00", "")))
    return {"deleted": gone.rowcount}
