"""The CRM's own automation: what it does, once, together with the write, and only while it is on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text

from rollout.testbed.automation import RULES, Rule, states
from rollout.testbed.entities import ENTITIES
from rollout.testbed.messages import EntityName
from rollout.testbed.pages import LIST_COLUMNS
from rollout.testbed.server import Testbed
from rollout.testbed.tables import connect, create_all

Json = dict[str, object]


@pytest.fixture
def crm(testbed: Testbed) -> Iterator[httpx.Client]:
    """Logged in as the migration; all rules are as they start again afterwards."""
    with testbed.client() as client:
        yield client
        for rule, described in RULES.items():
            change = {"enabled": described.starts_on, "settings": dict(described.settings)}
            client.put(f"/api/admin/rules/{rule}", json=change).raise_for_status()


def create(crm: httpx.Client, entity: str, **fields: object) -> Json:
    made: Json = crm.post(f"/api/{entity}", json={"fields": fields}).raise_for_status().json()
    return made


def batch(crm: httpx.Client, entity: str, *rows: Json) -> list[Json]:
    answer = crm.post(f"/api/{entity}/batch", json={"rows": list(rows)}).raise_for_status()
    return list(answer.json()["outcomes"])


def everything(crm: httpx.Client, entity: str) -> list[Json]:
    return list(crm.get(f"/api/{entity}?limit=1000").raise_for_status().json()["records"])


def where(crm: httpx.Client, entity: str, field: str, value: object) -> list[Json]:
    return [record["fields"] for record in everything(crm, entity) if record["fields"][field] == value]  # type: ignore[index]


def lead(**changes: object) -> Json:
    company = f"虚构泵业 {uuid.uuid4()}"
    base: Json = {"name": "展会线索", "company": company, "region": "华东", "status": "新建", "owner": "li.na"}
    return base | {"expected_amount": "12000.5"} | changes


def test_a_won_lead_becomes_a_customer_and_a_won_opportunity_once(crm: httpx.Client) -> None:
    made = create(crm, "lead", **lead())
    assert made["fields"]["account"] is None  # type: ignore[index]
    won = crm.patch(f"/api/lead/{made['id']}", json={"fields": {"status": "已成交"}}).raise_for_status().json()
    assert won["version"] == 2
    account = crm.get(f"/api/account/{won['fields']['account']}").json()["fields"]
    expected = (won["fields"]["company"], "华东", "li.na", f"LEAD-{made['id']}")
    assert tuple(account[name] for name in ("name", "region", "owner", "legacy_no")) == expected
    [opportunity] = where(crm, "opportunity", "lead", made["id"])
    assert opportunity["account"] == won["fields"]["account"]
    assert (opportunity["stage"], opportunity["amount"], opportunity["owner"]) == ("赢单", "12000.500000", "li.na")
    for status in ("跟进中", "已成交"):
        crm.patch(f"/api/lead/{made['id']}", json={"fields": {"status": status}}).raise_for_status()
    assert len(where(crm, "opportunity", "lead", made["id"])) == 1
    told = [(entry["by"], entry["field"]) for entry in crm.get(f"/api/lead/{made['id']}/history").json()["entries"]]
    assert {("rule:lead_won", "account"), ("rule:lead_won", "opportunity")} <= set(told)


def test_an_existing_customer_of_exactly_that_name_is_taken(crm: httpx.Client) -> None:
    fields = lead(status="已成交")
    account = create(crm, "account", name=fields["company"], region="华南", legacy_no="1")["id"]
    create(crm, "account", name=f"{fields['company']}分公司", region="华南", legacy_no="1")
    assert create(crm, "lead", **fields)["fields"]["account"] == account  # type: ignore[index]
    assert len(where(crm, "account", "name", fields["company"])) == 1


def test_a_batch_sets_rules_off_like_single_writes(crm: httpx.Client) -> None:
    company = f"虚构阀门 {uuid.uuid4()}"
    keys = [f"lead-{uuid.uuid4()}" for _ in range(3)]
    rows = [
        {"migration_key": key, "op": "create", "fields": lead(company=company, status=status)}
        for key, status in zip(keys, ("已成交", "新建", "已成交"), strict=True)
    ]
    outcomes = batch(crm, "lead", *rows)
    assert [outcome["status"] for outcome in outcomes] == ["created"] * 3
    assert [bool(where(crm, "opportunity", "lead", outcome["id"])) for outcome in outcomes] == [True, False, True]
    assert len(where(crm, "account", "name", company)) == 1
    update = {"migration_key": keys[1], "op": "update", "fields": {"status": "已成交"}}
    [changed] = batch(crm, "lead", update)
    assert (changed["status"], changed["version"]) == ("updated", 2)
    assert len(where(crm, "opportunity", "lead", changed["id"])) == 1
    assert [outcome["status"] for outcome in batch(crm, "lead", update)] == ["unchanged"]
    assert len(where(crm, "opportunity", "lead", changed["id"])) == 1


def test_leads_of_one_company_won_at_once_make_one_customer(crm: httpx.Client) -> None:
    company = f"虚构轴承 {uuid.uuid4()}"
    with ThreadPoolExecutor(8) as pool:
        accounts = list(
            pool.map(
                lambda n: create(crm, "lead", **lead(name=str(n), company=company, status="已成交"))["fields"][
                    "account"
                ],  # type: ignore[index]
                range(8),
            )
        )
    assert len(set(accounts)) == 1


def test_a_rule_that_cannot_do_its_part_costs_its_own_row_only(crm: httpx.Client) -> None:
    rows = [
        {"migration_key": f"lead-{uuid.uuid4()}", "op": "create", "fields": lead(status="已成交", region=region)}
        for region in ("华东", None, "华中")
    ]
    outcomes = batch(crm, "lead", *rows)
    assert [(outcome["status"], outcome["reason"]) for outcome in outcomes] == [
        ("created", None), ("rejected", "required_missing"), ("created", None)
    ]  # fmt: skip
    found = crm.post("/api/lead/lookup", json={"migration_keys": [rows[1]["migration_key"]]}).json()
    assert found == {"records": []}
    refused = crm.post("/api/lead", json={"fields": lead(status="已成交", region=None)})
    assert (refused.status_code, refused.json()["detail"]["reason"]) == (422, "required_missing")


@pytest.mark.parametrize(("salesperson", "receiver"), [("zhou.tao", "zhou.tao"), (None, "yang.min")])
def test_a_complaint_that_needs_sales_reaches_the_salesperson_once(
    salesperson: str | None, receiver: str, crm: httpx.Client
) -> None:
    account = create(crm, "account", name="虚构客户", region="华东", legacy_no="1", owner=salesperson)["id"]
    ticket = create(
        crm,
        "ticket",
        subject="泵体漏油",
        account=account,
        kind="投诉",
        status="新建",
        needs_sales=False,
        owner="yang.min",
    )["id"]
    assert not where(crm, "todo", "ticket", ticket)
    crm.patch(f"/api/ticket/{ticket}", json={"fields": {"needs_sales": True}}).raise_for_status()
    crm.patch(f"/api/ticket/{ticket}", json={"fields": {"needs_sales": False}}).raise_for_status()
    crm.patch(f"/api/ticket/{ticket}", json={"fields": {"needs_sales": True, "status": "处理中"}}).raise_for_status()
    [todo] = where(crm, "todo", "ticket", ticket)
    [notification] = where(crm, "notification", "ticket", ticket)
    assert (todo["owner"], todo["account"], todo["done"]) == (receiver, account, False)
    assert notification["recipient"] == receiver
    assert "泵体漏油" in str(notification["text"])


def test_other_tickets_escalate_nothing(crm: httpx.Client) -> None:
    for kind, needs in (("报修", True), ("投诉", False), ("投诉", None)):
        ticket = create(crm, "ticket", subject="虚构", kind=kind, status="新建", needs_sales=needs, owner="li.na")["id"]
        assert not where(crm, "todo", "ticket", ticket)


def test_a_rule_that_is_off_does_nothing_and_the_others_go_on(crm: httpx.Client) -> None:
    switched = crm.put("/api/admin/rules/lead_won", json={"enabled": False}).raise_for_status().json()
    assert switched == crm.get("/api/admin/rules").json()
    assert {name for name, is_on in switched.items() if is_on} == {"complaint_escalation"}
    made = create(crm, "lead", **lead(status="已成交"))
    assert made["fields"]["account"] is None  # type: ignore[index]
    assert not where(crm, "opportunity", "lead", made["id"])
    ticket = create(crm, "ticket", subject="虚构", kind="投诉", status="新建", needs_sales=True, owner="li.na")["id"]
    assert len(where(crm, "todo", "ticket", ticket)) == 1


def test_rules_and_users_are_for_administrators(testbed: Testbed, crm: httpx.Client) -> None:
    roles = {user["login"]: user["role"] for user in crm.get("/api/users").json()["users"]}
    assert (roles["li.na"], roles["admin"], roles["migration"]) == ("sales", "admin", "migration")
    with testbed.client("li.na") as person, testbed.client("admin") as admin:
        for client, status in ((person, 403), (admin, 200)):
            assert client.get("/api/admin/rules").status_code == status
            assert client.put("/api/admin/rules/lead_won", json={"enabled": True}).status_code == status
            assert client.patch("/api/users/huang.yan", json={"role": "manager"}).status_code == status
        assert admin.patch("/api/users/nobody", json={"active": False}).status_code == 404
        assert admin.patch("/api/users/huang.yan", json={"role": "king"}).status_code == 422
        with testbed.client("huang.yan") as leaver:
            assert admin.patch("/api/users/huang.yan", json={"active": False}).json()["active"] is False
            assert leaver.get("/api/users").status_code == 401
        back = admin.patch("/api/users/huang.yan", json={"active": True, "role": "sales"}).json()
    assert (back["active"], back["role"]) == (True, "sales")


def test_every_entity_has_a_name_a_list_and_a_page(crm: httpx.Client, testbed: Testbed) -> None:
    assert [name.value for name in EntityName] == list(ENTITIES) == list(LIST_COLUMNS)
    account = create(crm, "account", name="虚构客户甲", region="华东", legacy_no="1")["id"]
    ticket = create(crm, "ticket", subject="虚构工单", kind="咨询", status="新建", account=account)["id"]
    message = create(
        crm, "message", external_user="wm1", text="<b>你好</b>", sent_at="2026-01-31T08:00:00.7+08:00", account=account
    )
    assert message["fields"]["sent_at"] == "2026-01-31T00:00:00Z"  # type: ignore[index]
    with httpx.Client(base_url=testbed.base_url, trust_env=False, follow_redirects=True) as browser:
        browser.post("/login", content=f"username=li.na&password={testbed.password}")
        for entity in ENTITIES.values():
            assert entity.title == LIST_COLUMNS[entity.name][0]
            assert entity.label in browser.get(f"/view/{entity.name}", params={"q": "没有"}).text
        page = browser.get(f"/view/message/{message['id']}").text
        assert "&lt;b&gt;你好" in page
        assert "虚构客户甲" in page
        assert "虚构工单" in browser.get(f"/view/ticket/{ticket}").text


@pytest.mark.parametrize(
    "value", ["2026-01-31T08:00:00", "2026-01-31", "yesterday", 1700000000, "0001-01-01T00:00:00+08:00"]
)
def test_an_instant_needs_a_time_zone(value: object, crm: httpx.Client) -> None:
    fields = {"external_user": "wm1", "text": "虚构", "sent_at": value}
    refused = crm.post("/api/message", json={"fields": fields})
    assert refused.json()["detail"]["reason"] == "wrong_type"


def test_a_database_of_an_earlier_version_is_taken_over(empty_pg_url: str) -> None:
    engine = connect(empty_pg_url)
    create_all(engine, "made-up password")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE users DROP COLUMN role"))
        connection.execute(text("ALTER TABLE account DROP COLUMN twin, DROP COLUMN last_followed_at"))
        connection.execute(text("ALTER TABLE account ADD CONSTRAINT account_migration_key_key UNIQUE (migration_key)"))
        connection.execute(text("INSERT INTO account (name, region, legacy_no, modified_by) VALUES ('a','b','c','d')"))
        connection.execute(text("ALTER TABLE rules DROP COLUMN settings"))
        connection.execute(text("INSERT INTO rules VALUES ('lead_won', false)"))
        connection.execute(text("DROP TABLE rule_runs"))
    create_all(engine, "made-up password")
    with engine.begin() as connection:
        connection.execute(text("UPDATE users SET role = 'manager' WHERE login = 'li.na'"))
    create_all(engine, "another password")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT twin FROM account")) == 0
        rules = states(connection)
        assert not rules[Rule.LEAD_WON].enabled
        assert rules[Rule.ACCOUNT_RECYCLING].settings["holding_days"] == 30
        roles = {row.login: row.role for row in connection.execute(text("SELECT login, role FROM users"))}
    engine.dispose()
    assert (roles["migration"], roles["admin"], roles["li.na"], roles["chen.jie"]) == (
        "migration", "admin", "manager", "sales"
    )  # fmt: skip
