"""The ERP and the fakes of WeCom and DingTalk: what they promise to those who code against them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from rollout.testbed.demodata import erp_orders, wecom_messages
from rollout.testbed.server import Testbed

NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def operator(testbed: Testbed) -> Iterator[httpx.Client]:
    """Runs the simulation: logged in to the CRM."""
    with testbed.client("li.na") as client:
        yield client


@pytest.fixture
def erp(testbed: Testbed) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {testbed.erp_token}"}
    with httpx.Client(base_url=testbed.erp_url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def wecom(testbed: Testbed) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{testbed.wecom_url}/cgi-bin", trust_env=False) as client:
        client.params = {"access_token": new_token(client, testbed)}
        yield client


def new_token(client: httpx.Client, testbed: Testbed) -> str:
    asked = {"corpid": testbed.wecom_corp_id, "corpsecret": testbed.wecom_secret}
    answer = client.get("/gettoken", params=asked).json()
    assert answer["errcode"] == 0
    return str(answer["access_token"])


def order(number: str, updated_at: str | None, **changes: object) -> dict[str, object]:
    base = {"order_no": number, "customer_no": "HT-1", "product": "虚构泵", "quantity": "2", "amount": "10.50"}
    return base | {"status": "已下单", "ordered_on": "2001-01-01", "updated_at": updated_at} | changes


# --- ERP ---


def test_orders_come_in_the_sequence_of_their_changes_page_by_page(erp: httpx.Client, operator: httpx.Client) -> None:
    """In 2001, so that other tests' orders lie behind."""
    mark = uuid.uuid4().hex
    instants = ["2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z", "2001-01-01T00:00:00.000001Z", "2001-01-02T00:00:00Z"]
    numbers = [f"{mark}-b", f"{mark}-a", f"{mark}-0", f"{mark}-c"]
    given = [order(number, at) for number, at in zip(numbers, instants, strict=True)]
    assert operator.post("/erp/admin/orders", json=given).json() == {"stored": 4}
    seen: list[str] = []
    asked: dict[str, str | int] = {"updated_since": "2001-01-01T00:00:00Z", "limit": 1}
    for _ in range(4):
        page = erp.get("/orders", params=asked).raise_for_status().json()
        [found] = page["orders"]
        seen.append(found["order_no"])
        asked = {"updated_since": found["updated_at"], "after_id": found["order_no"], "limit": 1}
    assert seen == [f"{mark}-a", f"{mark}-b", f"{mark}-0", f"{mark}-c"]
    again = erp.get("/orders", params={"updated_since": "2001-01-01T00:00:00.000001Z", "limit": 2}).json()
    assert [found["order_no"] for found in again["orders"]] == [f"{mark}-0", f"{mark}-c"]
    assert (found["amount"], found["updated_at"]) == ("10.5", "2001-01-02T00:00:00Z")
    operator.post("/erp/admin/orders", json=[order(numbers[1], "2001-01-03T00:00:00Z", status="已完成")])
    last = erp.get("/orders", params={"updated_since": "2001-01-02T00:00:01Z", "limit": 1}).json()["orders"][0]
    assert (last["order_no"], last["status"]) == (f"{mark}-a", "已完成")
    for number in numbers:
        assert operator.delete(f"/erp/admin/orders/{number}").json() == {"deleted": 1}
    assert operator.delete(f"/erp/admin/orders/{numbers[0]}").json() == {"deleted": 0}


def test_an_order_without_time_of_change_gets_the_servers(erp: httpx.Client, operator: httpx.Client) -> None:
    number, before = f"now-{uuid.uuid4()}", datetime.now(UTC)
    count = erp.get("/orders/count").json()["count"]
    operator.post("/erp/admin/orders", json=[order(number, None)]).raise_for_status()
    assert erp.get("/orders/count").json()["count"] == count + 1
    found = erp.get("/orders", params={"updated_since": before.isoformat()}).json()["orders"]
    assert [one["order_no"] for one in found] == [number]
    operator.delete(f"/erp/admin/orders/{number}")


def test_the_erp_needs_its_token_and_knows_its_fields(
    testbed: Testbed, erp: httpx.Client, operator: httpx.Client
) -> None:
    assert httpx.get(f"{testbed.erp_url}/health").json() == {"status": "ok"}
    for path in ("orders", "orders/count"):
        assert httpx.get(f"{testbed.erp_url}/{path}").status_code == 401
        assert operator.get(f"/erp/{path}").status_code == 401  # a user's token is not a system's
    for path in ("erp/admin/orders", "wecom/admin/messages"):
        assert httpx.post(f"{testbed.base_url}/{path}", json=[]).status_code == 401
    for wrong in ({"amount": "much"}, {"colour": "red"}, {"order_no": ""}, {"updated_at": "2001-01-01T00:00:00"}):
        refused = erp.post("/admin/orders", json=[order("x", "2001-01-01T00:00:00Z") | wrong])
        assert refused.status_code == 422


# --- WeCom ---


def test_messages_come_once_in_the_order_of_their_arrival(wecom: httpx.Client, operator: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    open_kfid = f"wk_{mark}"
    given = [
        {"msgid": f"{mark}-{n}", "external_userid": "wm1", "content": f"你好 {n}", "send_time": 1_700_000_000 - n}
        for n in range(5)
    ]
    given = [message | {"open_kfid": open_kfid} for message in given]
    assert operator.post("/wecom/admin/messages", json=given).json() == {"added": 5}
    assert operator.post("/wecom/admin/messages", json=given).json() == {"added": 0}
    cursor, seen = "", []
    for has_more in (1, 1, 0):
        answer = wecom.post("/kf/sync_msg", json={"cursor": cursor, "limit": 2, "open_kfid": open_kfid}).json()
        assert (answer["errcode"], answer["has_more"]) == (0, has_more)
        seen += answer["msg_list"]
        cursor = answer["next_cursor"]
    assert [message["msgid"] for message in seen] == [message["msgid"] for message in given]
    assert seen[3] == {
        "msgid": f"{mark}-3", "open_kfid": open_kfid, "external_userid": "wm1", "send_time": 1_699_999_997,
        "origin": 3, "msgtype": "text", "text": {"content": "你好 3"},
    }  # fmt: skip
    empty = wecom.post("/kf/sync_msg", json={"cursor": cursor, "open_kfid": open_kfid}).json()
    assert (empty["msg_list"], empty["has_more"], empty["next_cursor"]) == ([], 0, cursor)


def test_messages_are_kept_for_three_days(testbed_url: str, wecom: httpx.Client, operator: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    message = {"msgid": mark, "external_userid": "wm1", "content": "虚构", "send_time": 0, "open_kfid": mark}
    operator.post("/wecom/admin/messages", json=[message]).raise_for_status()
    asked = {"open_kfid": mark}
    assert len(wecom.post("/kf/sync_msg", json=asked).json()["msg_list"]) == 1
    with psycopg.connect(testbed_url) as database:
        database.execute(
            "UPDATE wecom_messages SET received_at = received_at - interval '73 hours' WHERE msgid = %s", [mark]
        )
    assert wecom.post("/kf/sync_msg", json=asked).json()["msg_list"] == []


def test_tokens_are_shared_may_expire_and_cannot_be_made_up(
    testbed: Testbed, wecom: httpx.Client, operator: httpx.Client
) -> None:
    token = str(wecom.params["access_token"])
    assert new_token(wecom, testbed) == token
    for wrong, code in (({"corpid": "x"}, 40013), ({"corpsecret": "x"}, 40001)):
        asked = {"corpid": testbed.wecom_corp_id, "corpsecret": testbed.wecom_secret} | wrong
        assert wecom.get("/gettoken", params=asked).json()["errcode"] == code
    for made_up, code in (("", 41001), ("nonsense", 40014), (token[:-1], 40014), ("9" * 5000, 40014)):
        for path in ("/kf/sync_msg", "/message/send"):
            answer = wecom.post(path, params={"access_token": made_up}, json={})
            assert (answer.status_code, answer.json()["errcode"]) == (200, code)
    assert operator.delete("/wecom/admin/tokens").json() == {"expired": 1}
    assert wecom.post("/kf/sync_msg", json={}).json()["errcode"] == 42001
    assert new_token(wecom, testbed) != token


@pytest.mark.parametrize(
    "body", [{"cursor": "nonsense"}, {"cursor": 5}, {"limit": 1001}, {"limit": -1}, {"limit": "x"}]
)
def test_a_wrong_cursor_or_limit_is_an_error(body: dict[str, object], wecom: httpx.Client) -> None:
    assert wecom.post("/kf/sync_msg", json=body).json()["errcode"] == 40058
    assert wecom.post("/kf/sync_msg", content=b"{").json()["errcode"] == 47001


def test_messages_reach_the_users_who_exist(wecom: httpx.Client, operator: httpx.Client) -> None:
    text = f"虚构通知 {uuid.uuid4()}"
    body = {"touser": "li.na|nobody", "msgtype": "text", "agentid": 1_000_002, "text": {"content": text}}
    answer = wecom.post("/message/send", json=body).json()
    assert (answer["errcode"], answer["invaliduser"]) == (0, "nobody")
    checked = body | {"enable_duplicate_check": 1}
    assert wecom.post("/message/send", json=checked).json()["msgid"] == answer["msgid"]
    long = body | {"msgtype": "markdown", "markdown": {"content": "长" * 1000}}
    assert wecom.post("/message/send", json=long).json()["errcode"] == 0
    sent = operator.get("/wecom/admin/sent").json()["sent"]
    assert [(one["touser"], one["msgtype"]) for one in sent if one.get("text") == {"content": text}] == [
        ("li.na", "text")
    ]
    assert len(sent[-1]["markdown"]["content"]) == 682
    for wrong, code in (
        ({"touser": "nobody"}, 81013), ({"text": {"content": " "}}, 44004), ({"agentid": "x"}, 40056),
        ({"msgtype": "image"}, 40058),
    ):  # fmt: skip
        assert wecom.post("/message/send", json=body | wrong).json()["errcode"] == code
    assert operator.delete("/wecom/admin/sent").json()["deleted"] >= 2


# --- DingTalk ---


def ding(testbed: Testbed, text: str = "虚构告警", *, at_ms: int | None = None, **changes: str) -> int:
    """Sign as documented, independently of the product's own code; the errcode."""
    secret = changes.pop("secret", testbed.dingtalk_secret)
    timestamp = str(round(time.time() * 1000) if at_ms is None else at_ms)
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    params = {"access_token": testbed.dingtalk_access_token, "timestamp": timestamp}
    params |= {"sign": base64.b64encode(digest).decode()} | changes
    body = {"msgtype": "markdown", "markdown": {"title": "健康检查", "text": text}}
    answer = httpx.post(f"{testbed.dingtalk_url}/robot/send", params=params, json=body)
    assert answer.status_code == 200
    return int(answer.json()["errcode"])


def test_the_robot_checks_the_signature(testbed: Testbed, operator: httpx.Client) -> None:
    operator.delete("/dingtalk/admin/sent").raise_for_status()
    assert ding(testbed) == 0
    hour_ago = round(time.time() * 1000) - 3_601_000
    assert ding(testbed, secret="wrong") == ding(testbed, sign="") == ding(testbed, at_ms=hour_ago) == 310000
    assert ding(testbed, access_token="wrong") == 300001
    assert ding(testbed, text="啊" * 7000) == 460101
    assert ding(testbed, text="") == 40035
    [sent] = operator.get("/dingtalk/admin/sent").json()["sent"]
    assert sent["markdown"] == {"title": "健康检查", "text": "虚构告警"}


def test_the_robot_takes_twenty_a_minute(testbed: Testbed, operator: httpx.Client) -> None:
    operator.delete("/dingtalk/admin/sent").raise_for_status()
    assert [ding(testbed) for _ in range(22)] == [0] * 20 + [130101] * 2
    assert operator.delete("/dingtalk/admin/sent").json() == {"deleted": 20}
    assert ding(testbed) == 0


# --- what the demo puts in ---


def test_made_up_traffic_is_the_same_for_a_seed_and_is_taken(
    testbed: Testbed, erp: httpx.Client, operator: httpx.Client
) -> None:
    orders, messages = erp_orders(["HT-1", "HT-2"], 60, 7, NOW), wecom_messages(40, 7, NOW)
    assert orders == erp_orders(["HT-1", "HT-2"], 60, 7, NOW)
    assert messages == wecom_messages(40, 7, NOW)
    assert not {one["order_no"] for one in orders} & {one["order_no"] for one in erp_orders(["HT-1"], 60, 8, NOW)}
    assert not {one["msgid"] for one in messages} & {one["msgid"] for one in wecom_messages(40, 8, NOW)}
    changed = [datetime.fromisoformat(one["updated_at"]) for one in orders]
    assert changed == sorted(changed)
    assert NOW - timedelta(days=30) <= changed[0] < changed[-1] <= NOW
    assert {one["customer_no"] for one in orders} == {"HT-1", "HT-2"}
    assert len({one["status"] for one in orders}) >= 4
    assert erp_orders([], 0, 1, NOW) == wecom_messages(0, 1, NOW) == []
    assert operator.post("/erp/admin/orders", json=orders).json() == {"stored": 60}
    assert operator.post("/wecom/admin/messages", json=messages).json() == {"added": 40}
    taken = erp.get("/orders", params={"updated_since": orders[0]["updated_at"], "limit": 1}).json()["orders"]
    assert taken[0]["order_no"] == orders[0]["order_no"]
