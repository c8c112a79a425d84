"""Faults on demand, and what a crowd must not be able to do to the CRM."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from rollout.testbed.fault_kinds import Fault
from rollout.testbed.fault_schedule import FaultPlan, PlannedFault
from rollout.testbed.passwords import PasswordCheck, hash_password
from rollout.testbed.server import Testbed, running

ORDER = {"customer_no": "虚构1", "amount": "10", "status": "已下单", "ordered_on": "2026-01-31"}


@pytest.fixture
def crm(testbed: Testbed) -> Iterator[httpx.Client]:
    with testbed.client() as client:
        yield client
        client.delete("/api/admin/faults").raise_for_status()


def account(**changes: object) -> dict[str, object]:
    return {"name": "虚构客户", "region": "华东", "legacy_no": "1", **changes}


def count(crm: httpx.Client) -> int:
    return int(crm.get("/api/account/count").raise_for_status().json()["count"])


def test_a_batch_that_only_pretends_answers_like_success_and_stores_nothing(
    testbed: Testbed, crm: httpx.Client
) -> None:
    before = count(crm)
    row = {"migration_key": f"pretend-{uuid.uuid4()}", "op": "create", "fields": account()}
    testbed.inject("account/batch", Fault.PRETEND)
    [outcome] = crm.post("/api/account/batch", json={"rows": [row]}).raise_for_status().json()["outcomes"]
    assert outcome["status"] == "created"
    assert outcome["id"]
    assert crm.get(f"/api/account/{outcome['id']}").status_code == 404
    assert count(crm) == before
    [outcome] = crm.post("/api/account/batch", json={"rows": [row]}).json()["outcomes"]
    assert outcome["status"] == "created"
    assert count(crm) == before + 1


def test_what_people_do_can_be_pretence_too(testbed: Testbed, crm: httpx.Client) -> None:
    before = count(crm)
    testbed.inject("account", Fault.PRETEND)
    made = crm.post("/api/account", json={"fields": account(name="只是假装")})
    assert (made.status_code, made.json()["fields"]["name"]) == (201, "只是假装")
    assert count(crm) == before
    real = crm.post("/api/account", json={"fields": account()}).raise_for_status().json()["id"]
    testbed.inject(f"account/{real}", Fault.PRETEND, times=2)
    changed = crm.patch(f"/api/account/{real}", json={"fields": {"level": "A"}}).raise_for_status().json()
    assert (changed["version"], changed["fields"]["level"]) == (2, "A")
    assert crm.delete(f"/api/account/{real}").status_code == 204
    kept = crm.get(f"/api/account/{real}").raise_for_status().json()
    assert (kept["version"], kept["fields"]["level"]) == (1, None)


def test_a_pretended_write_takes_its_rules_with_it(testbed: Testbed, crm: httpx.Client) -> None:
    before, company = count(crm), f"虚构 {uuid.uuid4()}"
    testbed.inject("lead", Fault.PRETEND)
    fields = {"name": "虚构", "company": company, "region": "华东", "status": "已成交"}
    assert crm.post("/api/lead", json={"fields": fields}).json()["fields"]["opportunity"]
    assert count(crm) == before


def test_the_other_systems_fail_by_their_own_paths(testbed: Testbed, crm: httpx.Client) -> None:
    token = {"Authorization": f"Bearer {testbed.erp_token}"}
    number = f"F-{uuid.uuid4()}"
    testbed.inject("erp/admin/orders", Fault.PRETEND)
    for times_stored in range(2):
        answer = crm.post("/erp/admin/orders", json=[ORDER | {"order_no": number}])
        assert answer.json() == {"stored": 1}
        page = httpx.get(f"{testbed.erp_url}/orders?limit=1000", headers=token).json()["orders"]
        assert [order["order_no"] for order in page].count(number) == times_stored
    testbed.inject("erp/orders", Fault.UNAVAILABLE)
    testbed.inject("wecom/cgi-bin/gettoken", Fault.TOO_MANY_REQUESTS)
    testbed.inject("wecom/cgi-bin/gettoken", Fault.UNAVAILABLE)
    testbed.inject("wecom/cgi-bin/gettoken", Fault.ERROR_BEFORE)
    testbed.inject("dingtalk/robot/send", Fault.LOST_ANSWER)
    assert httpx.get(f"{testbed.erp_url}/orders", headers=token).status_code == 503
    assert httpx.get(f"{testbed.erp_url}/orders", headers=token).status_code == 200
    for code in (45009, -1):
        refused = httpx.get(f"{testbed.wecom_url}/cgi-bin/gettoken")
        assert (refused.status_code, refused.json()["errcode"]) == (200, code)
    assert httpx.get(f"{testbed.wecom_url}/cgi-bin/gettoken").status_code == 500
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{testbed.dingtalk_url}/robot/send", json={})


def test_a_plan_serves_skips_and_times_in_order_and_is_empty_afterwards() -> None:
    plan = FaultPlan()
    assert plan.next("/api/account") is None
    plan.add(PlannedFault(endpoint="account", fault=Fault.UNAVAILABLE, skip=1, times=2))
    plan.add(PlannedFault(endpoint="account", fault=Fault.PRETEND, skip=1, times=10**9))
    suffered = [planned.fault if planned else None for planned in (plan.next("/api/account") for _ in range(6))]
    assert suffered == [None, Fault.UNAVAILABLE, Fault.UNAVAILABLE, None, Fault.PRETEND, Fault.PRETEND]
    assert plan.next("/api/contact") is None
    plan.clear()
    assert plan.next("/api/account") is None


def test_a_password_that_was_right_is_hashed_once_and_a_wrong_one_stays_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    check, hashed, other = PasswordCheck(), hash_password("richtig"), hash_password("ander")
    assert not check.matches("falsch", hashed)
    assert check.matches("richtig", hashed)
    monkeypatch.setattr("rollout.testbed.passwords.password_matches", lambda *_: False)
    assert check.matches("richtig", hashed)
    assert not check.matches("falsch", hashed)
    assert not check.matches("richtig", other)


def test_a_hundred_people_at_once_are_all_served(empty_pg_url: str) -> None:
    with running(empty_pg_url) as crm, ThreadPoolExecutor(100) as pool:

        def work(number: int) -> list[int]:
            with httpx.Client(base_url=crm.base_url, trust_env=False, timeout=60) as client:
                user = {"username": "li.na", "password": crm.password if number % 10 else "wrong"}
                answer = client.post("/api/token", json=user)
                if answer.status_code != 200:
                    return [answer.status_code]
                client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
                made = client.post("/api/account", json={"fields": account(name=f"虚构 {number}")})
                return [made.status_code, client.get("/api/account?limit=100").status_code]

        answers = list(pool.map(work, range(100)))
    assert answers.count([201, 200]) == 90
    assert answers.count([401]) == 10
