"""One testbed CRM a session, with faults to inject; tests keep to records of their own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rollout.connectors.crm_testbed import TestbedConnector
from rollout.connectors.testing import Harness
from rollout.project import postgres
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.server import Testbed, running


@pytest.fixture(scope="session")
def testbed_url(pg_server_url: str) -> Iterator[str]:
    name = f"testbed_{uuid.uuid4().hex}"
    with psycopg.connect(pg_server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres.with_database(pg_server_url, name)
    with psycopg.connect(pg_server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def testbed(testbed_url: str) -> Iterator[Testbed]:
    with running(testbed_url, faults=True) as crm:
        yield crm


@pytest.fixture
def connect(testbed: Testbed) -> Iterator[Callable[..., TestbedConnector]]:
    """Connectors to the CRM; reads that are tried again do not wait."""
    made: list[TestbedConnector] = []

    def make(**options: object) -> TestbedConnector:
        given = {"base_url": testbed.base_url, "username": testbed.username, "password": testbed.password}
        connector = TestbedConnector(name="crm", options=given | options, base_dir=Path(), sleep=lambda _: None)
        made.append(connector)
        return connector

    yield make
    for connector in made:
        connector.close()


def account(number: int = 0, **changes: str | None) -> dict[str, str | None]:
    """Canonical values of a made-up account, every field but the remark filled."""
    return {
        "name": f"虚构精密机械 {number}",
        "uscc": f"91310000MA1K{number:06}",
        "industry": "化工" if number % 2 else "机械制造",
        "region": "华东",
        "address": f"虚构路 {number} 号",
        "phone": "+862100000000;ext=12",
        "website": "https://example.invalid",
        "level": "A",
        "owner": "li.na",
        "established_on": f"2001-02-{number % 28 + 1:02}",
        "employees": str(number),
        "annual_revenue": f"{number}.25",
        "legacy_no": f"000{number}",
        "remark": None,
    } | changes


@pytest.fixture
def testbed_harness(testbed: Testbed, connect: Callable[..., TestbedConnector]) -> Iterator[Harness]:
    with testbed.client("zhang.wei") as person:

        def edit(target_id: str, values: dict[str, str | None]) -> None:
            person.patch(f"/api/account/{target_id}", json={"fields": values}).raise_for_status()

        def remove(target_id: str) -> None:
            person.delete(f"/api/account/{target_id}").raise_for_status()

        def add(values: dict[str, str | None]) -> str:
            fields = values | {"employees": int(values["employees"] or 0)}
            created = person.post("/api/account", json={"fields": fields}).raise_for_status()
            return str(created.json()["id"])

        yield Harness(
            target=connect(page_rows=5),
            entity="account",
            sample=account,
            spoilt=("region", "火星"),
            text_field="remark",
            reference=(
                "contact",
                "account",
                lambda parent: {
                    "name": "虚构联系人",
                    "account": parent,
                    "legacy_no": "L1",
                    "is_primary": "true",
                    "birthday": "1990-01-31",
                    "email": "nobody@example.invalid",
                },
            ),
            edit=edit,
            remove=remove,
            add=add,
            lose_next_answer=lambda: testbed.inject("account/batch", Fault.LOST_ANSWER),
            refuse_next_call=lambda: testbed.inject("account/batch", Fault.UNAVAILABLE),
            limit_next_call=lambda seconds: testbed.inject("account/batch", Fault.TOO_MANY_REQUESTS, seconds=seconds),
            with_secret=lambda secret: connect(password=secret),
            unprepared=lambda: _without_key_field(connect()),
            incapable={"can_delete": lambda: connect(can_delete=False)},
        )


def _without_key_field(connector: TestbedConnector) -> TestbedConnector:
    """As if the CRM's administrator had not added the field yet."""
    read = connector._transport.read

    def unprepared(method: str, path: str, *rest: Any) -> dict[str, Any]:
        answer = read(method, path, *rest)
        for described in answer.get("entities", {}).values():
            described["fields"] = [field for field in described["fields"] if field["name"] != "migration_key"]
        return answer

    connector._transport.read = unprepared  # type: ignore[method-assign]
    return connector
