"""What goes on around the rollout in the demo: orders come into the ERP, customers write to WeCom.

All of it is made up, and all of it goes through the same doors as in a real company: the ERP's, WeCom's and the CRM's
own interfaces over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from openpyxl import load_workbook

from rollout.report.messages import messages
from rollout.testbed.demodata import erp_orders, wecom_messages

ORDERS = 24
MESSAGES = 12
SEED = 7
ADMINISTRATOR = "migration"
TIMEOUT_S = 30.0


class Company:
    """The made-up company's systems at one address. All logins share one password."""

    def __init__(self, base_url: str, password: str) -> None:
        self._base_url = base_url
        self._password = password

    def trade(self, now: datetime, *, day: int) -> tuple[int, int]:
        """A day's orders from customers that the CRM knows, and messages; answers how many of each are new.

        Args:
            now: Orders were placed and messages sent shortly before.
            day: 1 for the first day. A day that was told before is not told again.
        """
        with self._client() as client:
            as_a_system = {"Authorization": f"Bearer {self._password}"}
            known = client.get("/erp/orders/count", headers=as_a_system).raise_for_status().json()["count"]
            if known >= ORDERS * day:
                return 0, 0
            customers = sorted(record["fields"]["legacy_no"] for record in _accounts(client))
            orders = [_just_changed(order) for order in erp_orders(customers, ORDERS, SEED + day, now)]
            client.post("/erp/admin/orders", json=orders).raise_for_status()
            messages = wecom_messages(MESSAGES, SEED + day, now)
            client.post("/wecom/admin/messages", json=messages).raise_for_status()
        return len(orders), len(messages)

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self._base_url, timeout=TIMEOUT_S, trust_env=False) as client:
            login = {"username": ADMINISTRATOR, "password": self._password}
            token = client.post("/api/token", json=login).raise_for_status().json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            yield client


def choose(workbook: Path, choice: str) -> None:
    """Fill in a workbook of dormant records as somebody in sales does, with the same choice in every line."""
    t = messages("zh")
    book = load_workbook(workbook)
    sheet = book[t("dormant.sheet.records")]
    column = next(cell.column for cell in sheet[1] if cell.value == t("dormant.column.choice"))
    for line in range(2, sheet.max_row + 1):
        sheet.cell(line, column, t(f"dormant.choice.{choice}"))
    book.save(workbook)


def _just_changed(order: dict[str, Any]) -> dict[str, Any]:
    """Without a time of its own an order gets the ERP's, as everything that is entered there."""
    return {name: value for name, value in order.items() if name != "updated_at"}


def _accounts(client: httpx.Client) -> Iterator[dict[str, Any]]:
    after: object = None
    while True:
        page = client.get("/api/account", params={"after": after} if after else {}).raise_for_status().json()
        yield from page["records"]
        after = page.get("next")
        if not after:
            return
