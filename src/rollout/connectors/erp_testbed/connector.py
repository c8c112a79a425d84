"""The connector to the testbed's ERP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from rollout.connectors.base import Capabilities, ChangedRecord, ChangePage
from rollout.connectors.options import validated
from rollout.connectors.webcalls import WebCalls
from rollout.errors import ConfigError, Retryable, RolloutError
from rollout.model.base import Frozen
from rollout.model.entity import FieldType, TargetField, TargetSchema
from rollout.model.finding import Finding, Level

ORDERS = "orders"
MAX_PAGE_ROWS = 1000

_FIELDS = {
    "order_no": FieldType.TEXT,
    "customer_no": FieldType.TEXT,
    "product": FieldType.TEXT,
    "quantity": FieldType.DECIMAL,
    "amount": FieldType.DECIMAL,
    "status": FieldType.TEXT,
    "ordered_on": FieldType.DATE,
    "updated_at": FieldType.DATETIME,
}


class ErpTestbedOptions(Frozen):
    """Options of a system with ``connector: erp_testbed``."""

    base_url: str = Field(pattern=r"^https?://[^?#]+[^/?#]$", description="Such as http://127.0.0.1:21000/erp.")
    token: SecretStr = Field(min_length=1, description="As ${env:NAME}.")
    timeout_s: float = Field(default=15.0, gt=0, le=600, description="Longest wait for an answer.")


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where to read on, and the latest change ever read: overlaps are counted back from that, so that none add up.

    A change that claims to be of the future is carried and never counts as the latest: it would hide all that follow
    until its time has come.
    """

    at: datetime | None = None
    after: str = ""
    seen: datetime | None = None

    @classmethod
    def parse(cls, text: str | None, system: str) -> _Cursor:
        if text is None:
            return cls()
        try:
            told = json.loads(text)
            at, seen = (datetime.fromisoformat(told[name]) if told[name] else None for name in ("at", "seen"))
            return cls(at, str(told["after"]), seen)
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"the journal's cursor for '{system}' is not one of this connector's") from None

    def text(self) -> str:
        at, seen = (moment.isoformat() if moment else None for moment in (self.at, self.seen))
        return json.dumps({"at": at, "after": self.after, "seen": seen})

    def resumed(self, overlap_s: float) -> _Cursor:
        """Back by the overlap; no further forward than where reading stopped."""
        if not overlap_s or self.seen is None:
            return self
        back = self.seen - timedelta(seconds=overlap_s)
        return self if self.at is not None and self.at < back else _Cursor(back, "", self.seen)


class ErpTestbedConnector:
    """Connector, ChangeFeed of the stream ``orders``, and Scripted.

    Args:
        name: The system's name in the project.
        options: See `ErpTestbedOptions`. Raises ConfigError when they are wrong.
        base_dir: Unused; all connectors are constructed alike.
        sleep: Waits between attempts of a read, seconds.
        now: Tells which changes cannot have happened yet. Aware.
    """

    def __init__(
        self,
        *,
        name: str,
        options: Mapping[str, Any],
        base_dir: Path,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        del base_dir
        self._now = now
        given = validated(ErpTestbedOptions, name, options)
        self.name = name
        self.capabilities = Capabilities(call_timeout_s=given.timeout_s)
        self._headers = {"Authorization": f"Bearer {given.token.get_secret_value()}"}
        self._calls = WebCalls(
            name,
            given.base_url,
            timeout_s=given.timeout_s,
            sleep=sleep,
            start_hint="start the ERP (the demo's: `make ui`), or correct base_url",
        )

    def check(self) -> list[Finding]:
        """Ask for the number of orders: unreachable and refused each give a finding."""
        where = f"systems.{self.name}"
        try:
            self._calls.read("GET", "/orders/count", headers=self._headers)
        except Retryable as error:
            return [
                Finding(
                    id="connector.unreachable", level=Level.ERROR, message=error.message, where=where, hint=error.hint
                )
            ]
        except RolloutError as error:
            return [
                Finding(id="connector.refused", level=Level.ERROR, message=error.message, where=where, hint=error.hint)
            ]
        return []

    def describe(self) -> TargetSchema:
        """The fields of an order, as the ERP's API defines them; it has no call that tells them."""
        return TargetSchema(
            entities={ORDERS: {name: TargetField(name=name, type=kind) for name, kind in _FIELDS.items()}}
        )

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    # --- ChangeFeed ---

    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        """Orders by (updated_at, order_no), strictly after the cursor, or from ``overlap_s`` before its latest change.

        Raises:
            ConfigError: There is no such stream, or the cursor is not ours.
            Retryable: The ERP does not answer.
            Fatal: It refuses, or something else answers there.
        """
        self._known(stream)
        start = _Cursor.parse(cursor, self.name).resumed(overlap_s)
        params: dict[str, str | int] = {"limit": min(limit, MAX_PAGE_ROWS), "after_id": start.after}
        if start.at is not None:
            params["updated_since"] = start.at.isoformat()
        answer = self._calls.read("GET", "/orders", params=params, headers=self._headers)
        with self._calls.understood("/orders"):
            records = [_record(order) for order in answer["orders"]]
            has_more = bool(answer["has_more"])
        if not records:
            return ChangePage((), start.text(), has_more=False)
        last, now = records[-1], self._now()
        happened = [record.changed_at for record in records if record.changed_at <= now]
        seen = max(filter(None, [*happened, start.seen]), default=None)
        if has_more or last.changed_at <= now:
            return ChangePage(records, _Cursor(last.changed_at, last.source_id, seen).text(), has_more)
        return ChangePage(records, _Cursor(seen, "", seen).text(), has_more)

    # --- Scripted ---

    def example(self, stream: str, source_id: str, *, reference: str | None) -> ChangedRecord:
        """A made-up order of a customer."""
        self._known(stream)
        now = datetime.now(UTC)
        return ChangedRecord(
            source_id,
            now,
            {
                "order_no": source_id,
                "customer_no": reference,
                "product": "虚构测试产品",
                "quantity": "3",
                "amount": "12850.5",
                "status": "已下单",
                "ordered_on": f"{now:%Y-%m-%d}",
            },
        )

    def put(self, stream: str, records: Sequence[ChangedRecord]) -> None:
        """Enter orders, or change them; the ERP says when that was."""
        self._known(stream)
        body = [{name: value for name, value in record.values.items() if name != "updated_at"} for record in records]
        self._calls.send("POST", "/admin/orders", body=body, headers=self._headers)

    def withdraw(self, stream: str, source_ids: Sequence[str]) -> None:
        """Delete orders."""
        self._known(stream)
        for source_id in source_ids:
            self._calls.send("DELETE", f"/admin/orders/{quote(source_id, safe='')}", headers=self._headers)

    def _known(self, stream: str) -> None:
        if stream != ORDERS:
            raise ConfigError(f"'{self.name}' has no stream '{stream}'", hint=f"it has: {ORDERS}")


def _record(order: Mapping[str, Any]) -> ChangedRecord:
    """An order in canonical text. Raises ValueError, KeyError, TypeError or ArithmeticError for anything else."""
    changed_at = datetime.fromisoformat(order["updated_at"])
    if changed_at.tzinfo is None:
        raise ValueError("updated_at has no time zone")
    values = {name: _canonical(kind, order[name]) for name, kind in _FIELDS.items() if name != "updated_at"}
    values["updated_at"] = f"{changed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return ChangedRecord(str(order["order_no"]), changed_at, values)


def _canonical(kind: FieldType, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if kind is not FieldType.DECIMAL:
        return str(value)
    plain = f"{Decimal(str(value)):f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain == "-0" else plain
