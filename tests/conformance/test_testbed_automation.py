"""Rules that a load could set off, or that could undo it at night: what they do, and how a call keeps them quiet."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from rollout.connectors.base import Automation, Op, QuietWriter, RowStatus, WriteRow
from rollout.connectors.crm_testbed import TestbedConnector
from rollout.connectors.reasons import Reason
from rollout.errors import Fatal
from rollout.testbed.automation import RULES, Rule
from rollout.testbed.server import Testbed, running

Connect = Callable[..., TestbedConnector]
FIELDS = {"name": "虚构客户", "region": "华东", "legacy_no": "1"}


@pytest.fixture
def crm(testbed: Testbed) -> Iterator[httpx.Client]:
    """Logged in as the administrator; all rules are as they start again afterwards."""
    with testbed.client("admin") as client:
        yield client
        for rule, described in RULES.items():
            change = {"enabled": described.starts_on, "settings": dict(described.settings)}
            client.put(f"/api/admin/rules/{rule}", json=change).raise_for_status()


def switch(crm: httpx.Client, *rules: Rule, **settings: int) -> None:
    for rule in rules:
        change = {"enabled": True, "settings": settings}
        crm.put(f"/api/admin/rules/{rule}", json=change).raise_for_status()


def new(**changes: str | None) -> WriteRow:
    return WriteRow(f"automation-{uuid.uuid4()}", Op.CREATE, FIELDS | changes)


def told_of(crm: httpx.Client, target_id: str | None) -> list[str]:
    """Whom notifications tell of an account."""
    found = crm.get("/api/notification?limit=1000").json()["records"]
    return [n["fields"]["recipient"] for n in found if f"({target_id})" in n["fields"]["text"]]


def test_the_connector_tells_switches_and_counts_the_rules(connect: Connect, crm: httpx.Client) -> None:
    connector = connect()
    assert isinstance(connector, Automation)
    rules = {rule.name: rule for rule in connector.automation_rules()}
    assert list(rules) == sorted(rule.value for rule in Rule)
    assert {rule.kind for rule in rules.values()} == {"linkage", "assignment", "notification", "recycling", "sla"}
    recycling = rules["account_recycling"]
    assert not recycling.is_on
    assert recycling.settings == {
        "entity": "account",
        "owner_field": "owner",
        "clock_field": "last_followed_at",
        "holding_days": "30",
        "max_per_owner": "300",
    }
    connector.switch_rule("account_recycling", on=True)
    switch(crm, Rule.ACCOUNT_RECYCLING, holding_days=90)
    now = {rule.name: rule for rule in connector.automation_rules()}["account_recycling"]
    assert (now.is_on, now.settings["holding_days"], now.settings["max_per_owner"]) == (True, "90", "300")
    assert set(connector.automation_counts()) == {"workflow_runs", "todos", "notifications", "messages"}
    with pytest.raises(Fatal):
        connector.switch_rule("no_such_rule", on=True)
    with pytest.raises(Fatal, match="403"):
        connect(username="li.na").switch_rule("lead_won", on=False)
    assert crm.put("/api/admin/rules/lead_won", json={"settings": {"holding_days": 1}}).status_code == 422


def test_new_customers_are_given_to_salespeople_who_are_told_and_counted(connect: Connect, crm: httpx.Client) -> None:
    connector = connect()
    switch(crm, Rule.NEW_ACCOUNT_ASSIGNMENT, Rule.NEW_ACCOUNT_NOTIFICATION)
    before = connector.automation_counts()
    rows = [new(), new(owner="zhou.tao"), new()]
    results = connector.write("account", rows)
    owners = [result.stored.values["owner"] for result in results if result.stored]
    assert owners[1] == "zhou.tao"
    assert None not in owners
    assert [told_of(crm, result.target_id) for result in results] == [[owner] for owner in owners]
    after = connector.automation_counts()
    grown = {name: after[name] - before[name] for name in after}
    assert grown == {"workflow_runs": 5, "todos": 0, "notifications": 3, "messages": 0}
    connector.write("account", [WriteRow(rows[0].migration_key, Op.UPDATE, {"remark": "x"}, results[0].target_id)])
    assert connector.automation_counts() == after


def test_a_quiet_write_sets_nothing_off(connect: Connect, crm: httpx.Client) -> None:
    connector = connect()
    assert isinstance(connector, QuietWriter)
    assert connector.capabilities.suppresses_automation
    quiet = connector.quiet()
    assert quiet is connector.quiet() is quiet.quiet()
    switch(crm, Rule.NEW_ACCOUNT_ASSIGNMENT, Rule.NEW_ACCOUNT_NOTIFICATION)
    before = connector.automation_counts()
    account, wrong = new(owner="li.na"), new(region="火星")
    [made, refused] = quiet.write("account", [account, wrong])
    assert (made.status, refused.status) == (RowStatus.CREATED, RowStatus.REJECTED)
    lead = {"name": "线索", "company": f"虚构 {uuid.uuid4()}", "region": "华东", "status": "已成交"}
    [won] = quiet.write("lead", [WriteRow(f"quiet-{uuid.uuid4()}", Op.CREATE, lead)])
    assert won.stored is not None
    assert won.stored.values["opportunity"] is None
    assert connector.automation_counts() == before
    connector.write("account", [new(owner="li.na")])
    assert connector.automation_counts() != before


def test_silence_is_for_administrators(connect: Connect) -> None:
    with pytest.raises(Fatal, match="403"):
        connect(username="li.na").quiet().write("account", [new()])


def test_times_from_before_are_written_by_the_migration_alone(connect: Connect, crm: httpx.Client) -> None:
    times = {"originally_created_at": "2019-05-06T01:02:03Z", "last_followed_at": "2026-01-31T00:00:00Z"}
    connector, person = connect(), connect(username="li.na")
    described = {field.name: field for field in connector.describe().entities["account"].values()}
    assert all(described[name].writable for name in times)
    assert not any(person.describe().entities["account"][name].writable for name in times)
    row = new(**times)
    [result] = connector.write("account", [row])
    assert result.stored is not None
    assert {name: result.stored.values[name] for name in times} == times
    [refused] = person.write("account", [new(last_followed_at="2026-01-31T00:00:00Z")])
    assert (refused.status, refused.reason_code) == (RowStatus.REJECTED, Reason.READ_ONLY_FIELD.value)
    [changed] = person.write("account", [WriteRow(row.migration_key, Op.UPDATE, {"remark": "x"}, result.target_id)])
    assert changed.status is RowStatus.UPDATED
    mine = {"fields": FIELDS | {"last_followed_at": "2026-01-31T00:00:00Z"}}
    assert crm.post("/api/account", json=mine).status_code == 201


@pytest.fixture
def empty(empty_pg_url: str) -> Iterator[Testbed]:
    """A CRM of its own: sweeps see every customer."""
    with running(empty_pg_url) as crm:
        yield crm


def test_the_night_takes_what_nobody_follows_up_and_what_is_too_much(empty: Testbed, connect: Connect) -> None:
    connector = connect(base_url=empty.base_url, password=empty.password)
    now = datetime(2026, 6, 1, tzinfo=UTC)

    def ago(days: float) -> str:
        return (now - timedelta(days=days)).isoformat().replace("+00:00", "Z")

    rows = {
        "old": new(owner="li.na", last_followed_at=ago(31)),
        "fresh": new(owner="li.na", last_followed_at=ago(29)),
        "never, and old": new(owner="li.na", originally_created_at=ago(40)),
        "followed up": new(owner="li.na", last_followed_at=ago(40)),
        "nobody's": new(last_followed_at=ago(400)),
        "first": new(owner="yang.min", last_followed_at=ago(3)),
        "second": new(owner="yang.min", last_followed_at=ago(2)),
        "third": new(owner="yang.min", last_followed_at=ago(1)),
    }
    results = dict(zip(rows, connector.write("account", list(rows.values())), strict=True))
    with empty.client("li.na") as person, empty.client("admin") as admin:
        followup = {"account": results["followed up"].target_id, "text": "虚构回访"}
        person.post("/api/followup", json={"fields": followup}).raise_for_status()

        def sweep() -> dict[str, int]:
            answer: dict[str, int] = admin.post("/api/admin/sweep", json={"at": now.isoformat()}).json()
            return answer

        assert sweep() == {"recycled": 0, "reminded": 0}
        switch(admin, Rule.ACCOUNT_RECYCLING, holding_days=30, max_per_owner=2)
        assert sweep() == {"recycled": 3, "reminded": 0}
        assert sweep() == {"recycled": 0, "reminded": 0}
        assert person.post("/api/admin/sweep", json={}).status_code == 403
        entry = admin.get(f"/api/account/{results['old'].target_id}/history").json()["entries"][0]
    assert (entry["by"], entry["field"], entry["old"], entry["new"]) == (
        "rule:account_recycling", "owner", "li.na", None
    )  # fmt: skip
    found = connector.read_by_keys("account", [row.migration_key for row in rows.values()])
    freed = {name for name, row in rows.items() if found[row.migration_key][0].values["owner"] is None}
    assert freed == {"old", "never, and old", "first", "nobody's"}
    assert found[rows["old"].migration_key][0].version == "2"
    assert connector.automation_counts()["workflow_runs"] == 3


def test_who_follows_nothing_up_is_reminded_once(empty: Testbed, connect: Connect) -> None:
    connector = connect(base_url=empty.base_url, password=empty.password)
    rows = [new(owner="li.na"), new(owner="li.na", last_followed_at="2026-01-01T00:00:00Z"), new()]
    results = connector.write("account", rows)
    with empty.client("admin") as admin:
        switch(admin, Rule.FIRST_FOLLOW_UP, answer_within_h=4)
        assert admin.post("/api/admin/sweep", json={}).json()["reminded"] == 0
        later = {"at": (datetime.now(UTC) + timedelta(hours=5)).isoformat()}
        assert [admin.post("/api/admin/sweep", json=later).json()["reminded"] for _ in range(2)] == [1, 0]
        [todo] = admin.get("/api/todo").json()["records"]
    assert (todo["fields"]["owner"], todo["fields"]["account"]) == ("li.na", results[0].target_id)
    assert connector.automation_counts() == {"workflow_runs": 1, "todos": 1, "notifications": 0, "messages": 0}
