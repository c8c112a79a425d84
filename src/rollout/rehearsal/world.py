"""What goes on around the rollout in a simulation: customers order, colleagues make mistakes, systems fail.

Everything goes through the testbed's own interfaces over HTTP, as in a company; the rollout's code is not asked.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from rollout.errors import Fatal
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.server import Testbed

COLLEAGUE = "li.na"
"""Who changes things in the CRM by hand."""
_PRODUCTS = ("精密轴承", "液压阀", "伺服电机", "减速机", "联轴器")
_ENDLESS = 1_000_000
_ASKED_AT_ONCE = 500
_SPARE_SHARE = 0.1
_NOTED = ("contact", "followup")
"""Entities of the CRM that nothing refers to."""


@dataclass(frozen=True)
class Spare:
    """A customer with whom there is no business, so that a colleague may delete it along with what is noted on it."""

    record: dict[str, Any]
    noted: tuple[tuple[str, dict[str, Any]], ...]
    """Its people and the talks with them: (entity of the CRM, record)."""


class World:
    """The company's systems, and the people who work in them.

    Args:
        testbed: A running testbed with faults.
        source: Draws what happens; the same seed gives the same month.
        order_prefix: Begins the migration keys of orders that were carried.
    """

    def __init__(self, testbed: Testbed, source: random.Random, order_prefix: str) -> None:
        # Logged in from the start, so that they work on while nobody else can log in.
        self._keeper = testbed.client()
        self._colleague = testbed.client(COLLEAGUE)
        self._random = source
        self._prefix = order_prefix
        self._orders: dict[str, dict[str, Any]] = {}
        self._buyers: list[str] = []
        self._spare: list[Spare] = []

    def close(self) -> None:
        """End the connections."""
        self._keeper.close()
        self._colleague.close()

    def settle_in(self) -> None:
        """Learn who the customers are; spare ones never order, so that they can be deleted."""
        accounts = self._all("account")
        links = self._links([record["id"] for record in accounts])
        noted = {(entity, record["id"]): record for entity in _NOTED for record in self._all(entity)}
        idle = [
            Spare(record, tuple((link["entity"], noted[link["entity"], link["id"]]) for link in links[record["id"]]))
            for record in accounts
            if record["migration_key"]
            and all(link["entity"] in _NOTED and link["migration_key"] for link in links[record["id"]])
        ]
        # Least noted on first, and not all of them: somebody has to order.
        idle.sort(key=lambda one: (len(one.noted), one.record["id"]))
        self._spare = idle[: math.ceil(len(accounts) * _SPARE_SHARE)]
        if not self._spare:
            raise Fatal("the simulation needs a customer without any business", hint="make the demo data anew")
        spare = {one.record["id"] for one in self._spare}
        self._buyers = sorted(record["fields"]["legacy_no"] for record in accounts if record["id"] not in spare)

    # What happens every day

    @property
    def orders(self) -> int:
        """Orders so far."""
        return len(self._orders)

    def order(self, at: datetime, *, customer_no: str | None = None) -> str:
        """A customer orders; answers the order's number."""
        number = f"SO-{at:%Y%m%d}-{len(self._orders) + 1:04}"
        quantity = self._random.randint(1, 40)
        self._put(
            {
                "order_no": number,
                "customer_no": customer_no or self._random.choice(self._buyers),
                "product": self._random.choice(_PRODUCTS),
                "quantity": str(quantity),
                "amount": str(quantity * self._random.randint(80, 900)),
                "status": "已下单",
                "ordered_on": at.date().isoformat(),
                "updated_at": at.isoformat(),
            }
        )
        return number

    def some_order(self, before: datetime) -> str:
        """Any order that was last changed before a moment."""
        found = sorted(no for no, row in self._orders.items() if datetime.fromisoformat(row["updated_at"]) < before)
        return self._random.choice(found)

    def touch(self, number: str, at: datetime) -> None:
        """The ERP saves an order again, so that its next sync carries it anew."""
        self._put(self._orders[number] | {"updated_at": at.isoformat()})

    def correct_customer(self, number: str, at: datetime) -> None:
        """Somebody enters the right customer of an order."""
        customer_no = self._random.choice(self._buyers)
        self._put(self._orders[number] | {"customer_no": customer_no, "updated_at": at.isoformat()})

    def _put(self, row: dict[str, Any]) -> None:
        self._orders[row["order_no"]] = row
        self._keeper.post("/erp/admin/orders", json=[row]).raise_for_status()

    # What goes wrong

    def key(self, number: str) -> str:
        """The migration key of an order."""
        return self._prefix + number

    def lose_order(self, number: str) -> None:
        """A colleague deletes an order in the CRM."""
        self._colleague.delete(f"/api/order/{self._record(number)['id']}").raise_for_status()

    def falsify_order(self, number: str) -> None:
        """A colleague overwrites an order's amount in the CRM."""
        record = self._record(number)
        body = {"fields": {"amount": str(float(record["fields"]["amount"]) + 1000)}}
        self._colleague.patch(f"/api/order/{record['id']}", json=body).raise_for_status()

    def make_up_order(self, number: str) -> None:
        """An order appears in the CRM under the sync's keys that the ERP does not have."""
        fields = {**self._all("order")[0]["fields"], "order_no": number}
        self._batch("order", self.key(number), fields)

    def remove_order(self, number: str) -> None:
        """The made-up order is deleted."""
        self._keeper.delete(f"/api/order/{self._record(number)['id']}").raise_for_status()

    def set_role(self, login: str, role: str) -> None:
        """An administrator changes what a user may do."""
        self._keeper.patch(f"/api/users/{login}", json={"role": role}).raise_for_status()

    def salesperson(self) -> str:
        """Any user who may only sell, but not the colleague."""
        users = self._keeper.get("/api/users").raise_for_status().json()["users"]
        logins: list[str] = [user["login"] for user in users if user["role"] == "sales"]
        return self._random.choice([login for login in logins if login != COLLEAGUE])

    def delete_customer(self) -> Spare:
        """A colleague deletes a customer, and before it what refers to it; answers what is gone."""
        spare = self._spare.pop(self._random.randrange(len(self._spare)))
        for entity, record in spare.noted:
            self._colleague.delete(f"/api/{entity}/{record['id']}").raise_for_status()
        self._colleague.delete(f"/api/account/{spare.record['id']}").raise_for_status()
        return spare

    def restore_customer(self, spare: Spare) -> None:
        """An administrator takes the customer back out of the recycle bin; the colleague notes the rest anew."""
        record = spare.record
        restored = self._batch("account", record["migration_key"], record["fields"])
        for entity, noted in spare.noted:
            self._batch(entity, noted["migration_key"], noted["fields"] | {"account": restored}, by=self._colleague)

    def take_down(self, endpoint: str) -> None:
        """From now on every call of an endpoint is refused."""
        plan = {"endpoint": endpoint, "fault": Fault.UNAVAILABLE.value, "times": _ENDLESS}
        self._keeper.post("/api/admin/faults", json=plan).raise_for_status()

    def bring_up(self) -> None:
        """Everything answers again."""
        self._keeper.delete("/api/admin/faults").raise_for_status()

    # What people see

    def messages(self) -> int:
        """Alerts that arrived since it was last asked. The chat is emptied: its limit counts by the minute."""
        sent = self._keeper.get("/dingtalk/admin/sent").raise_for_status().json()
        self._keeper.delete("/dingtalk/admin/sent").raise_for_status()
        return len(sent["sent"])

    def _record(self, number: str) -> dict[str, Any]:
        body = {"migration_keys": [self.key(number)]}
        found = self._keeper.post("/api/order/lookup", json=body).raise_for_status().json()["records"]
        record: dict[str, Any] = found[0]
        return record

    def _batch(self, entity: str, key: str, fields: dict[str, Any], *, by: httpx.Client | None = None) -> str:
        """Create a record under a migration key; answers its id."""
        row = {"migration_key": key, "op": "create", "fields": fields}
        answer = (by or self._keeper).post(f"/api/{entity}/batch", json={"rows": [row]}).raise_for_status().json()
        outcome = answer["outcomes"][0]
        if outcome["status"] != "created":
            raise Fatal(f"the simulation could not make {key}: {outcome}")
        return str(outcome["id"])

    def _links(self, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        """Which records of any entity refer to customers, by the customer's id, as the CRM itself tells."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for start in range(0, len(ids), _ASKED_AT_ONCE):
            body = {"ids": ids[start : start + _ASKED_AT_ONCE]}
            answer = self._keeper.post("/api/account/links", json=body).raise_for_status().json()
            for link in answer["links"]:
                found[link["to"]].append(link)
        return found

    def _all(self, entity: str) -> list[dict[str, Any]]:
        return list(self._pages(entity))

    def _pages(self, entity: str) -> Iterator[dict[str, Any]]:
        after: str | None = ""
        while after is not None:
            query = {"limit": 500} | ({"after": after} if after else {})
            page = self._keeper.get(f"/api/{entity}", params=query).raise_for_status().json()
            yield from page["records"]
            after = page["next"]
