"""A project around a running testbed: one customer is in the CRM, an ERP and a WeCom stand beside it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from rollout.connectors.base import ChangedRecord, Op, Scripted, WriteRow
from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.phases.context import PhaseContext
from rollout.phases.sync import SyncSummary, run_sync
from rollout.project import postgres
from rollout.project.loader import Project
from rollout.project.spec import ProjectSpec
from rollout.project.workspace import Workspace
from rollout.testbed.server import Testbed, running

CUSTOMER_NO = "HD-0001"
ORDER_FIELDS = ("order_no", "product", "quantity", "amount", "status", "ordered_on")
FIELDS = {
    "name": {"required": True},
    "region": {"type": "picklist", "picklist": ["华东"], "required": True},
    "legacy_no": {"required": True},
}


@pytest.fixture(scope="module")
def testbed(pg_server_url: str) -> Iterator[Testbed]:
    name = f"testbed_{uuid.uuid4().hex}"
    with psycopg.connect(pg_server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    with running(postgres.with_database(pg_server_url, name), faults=True) as crm:
        yield crm
    with psycopg.connect(pg_server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def project_spec(testbed: Testbed, **integration: Any) -> ProjectSpec:
    source = {"name": "customers", "system": "legacy", "path": "c.csv", "row_key": ["no"], "mapping": "account.yaml"}
    return ProjectSpec.model_validate(
        {
            "project": {"id": "tiny", "name": "Tiny"},
            "systems": {
                "legacy": {"connector": "files", "options": {"root": "legacy"}},
                "crm": {
                    "connector": "crm_testbed",
                    "options": {
                        "base_url": testbed.base_url,
                        "username": testbed.username,
                        "password": testbed.password,
                    },
                },
                "erp": {
                    "connector": "erp_testbed",
                    "options": {"base_url": f"{testbed.base_url}/erp", "token": testbed.password},
                },
                "wecom": {
                    "connector": "messaging_wecom",
                    "options": {
                        "base_url": f"{testbed.base_url}/wecom",
                        "corp_id": "ww_testbed",
                        "secret": testbed.password,
                        "open_kfid": "wk_testbed",
                        "agent_id": 1000002,
                        "to_user": "li.na",
                        "simulated": True,
                    },
                },
            },
            "targets": {"test": {"system": "crm"}},
            "entities": {"account": {"label": "客户", "title_field": "name", "fields": FIELDS, "sources": [source]}},
            "integration": {
                "salesperson": "li.na",
                "settle_s": 2,
                "syncs": {
                    "orders": {
                        "system": "erp",
                        "stream": "orders",
                        "entity": "order",
                        "key_prefix": "erp:",
                        "fields": {name: name for name in ORDER_FIELDS},
                        "references": {"account": "customer_no"},
                        "page_rows": 5,
                    },
                    "messages": {
                        "system": "wecom",
                        "stream": "messages",
                        "entity": "message",
                        "key_prefix": "wecom:",
                        "fields": {name: name for name in ("external_user", "text", "sent_at", "channel")},
                    },
                },
                **integration,
            },
        }
    )


@dataclass
class SyncBench:
    """The project, and what tests do to the systems around it."""

    context: PhaseContext
    testbed: Testbed
    tag: str
    """Begins the ids of this test's records: the testbed is shared."""

    def order(self, number: int, **values: str | None) -> ChangedRecord:
        erp = self.erp
        made = erp.example("orders", f"{self.tag}-{number}", reference=CUSTOMER_NO)
        return replace(made, values={**made.values, **values})

    def message(self, number: int) -> ChangedRecord:
        return self.scripted("wecom").example("messages", f"{self.tag}-{number}", reference=None)

    @property
    def erp(self) -> Scripted:
        return self.scripted("erp")

    def scripted(self, system: str) -> Scripted:
        connector = self.context.connector(system)
        assert isinstance(connector, Scripted)
        return connector

    def sync(self, *names: str) -> SyncSummary:
        return run_sync(self.context, names or None, sleep=lambda _: None)

    def held(self, entity: str = "order", prefix: str = "erp:") -> dict[str, dict[str, str | None]]:
        """Values of this test's records of the CRM, by source id; two under one key would show as `#`."""
        found: dict[str, dict[str, str | None]] = {}
        for record in self.context.connector("crm").read_all(entity):
            if (record.migration_key or "").startswith(f"{prefix}{self.tag}"):
                key = str(record.migration_key).removeprefix(prefix)
                found[f"{key}#" if key in found else key] = dict(record.values)
        return found

    def put_late(self, number: int, *, seconds_ago: float) -> None:
        """Enter an order as if it had been committed late, with an early time."""
        values = {k: v for k, v in self.order(number).values.items() if k != "updated_at"}
        at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        with self.testbed.client() as client:
            client.post("/erp/admin/orders", json=[values | {"updated_at": at.isoformat()}]).raise_for_status()

    def edit(self, number: int, **values: Any) -> httpx.Response:
        """Change an order in the CRM as a person would."""
        key = f"erp:{self.tag}-{number}"
        record = self.context.connector("crm").read_by_keys("order", [key])[key][0]
        with self.testbed.client("zhang.wei") as person:
            return person.patch(f"/api/order/{record.target_id}", json={"fields": values}).raise_for_status()

    def load_customer(self, number: str = CUSTOMER_NO) -> str:
        """Put a customer into the CRM, and into the journal as a load would; answers its id."""
        key = f"k-{self.tag}-{number}"
        values = {"name": f"虚构客户 {key}", "region": "华东", "owner": "li.na", "legacy_no": number}
        result = self.context.connector("crm").write("account", [WriteRow(key, Op.CREATE, values)])[0]
        with self.context.journal.database.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO key_assignment VALUES ('tiny', 'account', %s, %s)", (f"customers:{number}", key)
            )
            connection.exec_driver_sql(
                "INSERT INTO target_record VALUES ('tiny', 'test', 'account', %s, %s, '{}')", (key, result.target_id)
            )
        assert result.target_id
        return result.target_id

    def empty(self) -> None:
        """Take this session's orders out of the ERP, so that the next test begins with an empty feed."""
        with self.testbed.client() as client:
            orders = client.get("/erp/orders?limit=1000", headers={"Authorization": f"Bearer {self.testbed.password}"})
            self.erp.withdraw("orders", [order["order_no"] for order in orders.json()["orders"]])


@pytest.fixture
def make_bench(tmp_path: Path, pg_url: str, testbed: Testbed) -> Iterator[Callable[..., SyncBench]]:
    benches: list[SyncBench] = []

    def make(spec: ProjectSpec | None = None, *, clock: Callable[[], datetime] | None = None) -> SyncBench:
        found = Project(
            spec or project_spec(testbed), tmp_path / "rollout.yaml", tmp_path, {}, Workspace(tmp_path / ".rollout")
        )
        journal = Journal.open(pg_url, project_id="tiny", keys=KeyRing.parse(KeyRing.generate()))
        given = {"clock": clock} if clock else {}
        bench = SyncBench(PhaseContext(project=found, journal=journal, **given), testbed, f"T{uuid.uuid4().hex[:8]}")
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        bench.empty()
        bench.context.close()


@pytest.fixture
def bench(make_bench: Callable[..., SyncBench]) -> SyncBench:
    made = make_bench()
    made.load_customer()
    return made
