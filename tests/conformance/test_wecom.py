"""The WeCom connector: tokens, error codes, what it tells of messages, and that its secret stays its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from rollout.connectors.base import Message
from rollout.connectors.messaging_wecom import WeComConnector
from rollout.connectors.messaging_wecom.connector import MAX_TEXT_BYTES
from rollout.connectors.messaging_wecom.records import record
from rollout.errors import ConfigError, Fatal, OutcomeUnknown, Retryable, UnsupportedOperation
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.server import Testbed


@pytest.fixture
def make(testbed: Testbed) -> Iterator[Callable[..., WeComConnector]]:
    made: list[WeComConnector] = []

    def build(**options: object) -> WeComConnector:
        given = {
            "base_url": f"{testbed.base_url}/wecom",
            "corp_id": "ww_testbed",
            "secret": testbed.password,
            "open_kfid": "wk_testbed",
            "agent_id": 1000002,
            "to_user": "li.na",
        }
        connector = WeComConnector(name="wecom", options=given | options, base_dir=Path(), sleep=lambda _: None)
        made.append(connector)
        return connector

    yield build
    for connector in made:
        connector.close()


def sent(testbed: Testbed) -> list[dict]:
    with testbed.client() as client:
        return client.get("/wecom/admin/sent").json()["sent"]


def test_it_checks_reads_and_sends(make, testbed):
    connector = make()
    assert connector.check() == []
    connector.changes("messages", None, overlap_s=0, limit=10)
    connector.send(Message("标题", "正文"))
    assert sent(testbed)[-1]["text"]["content"] == "标题\n正文"


def test_a_token_is_fetched_once_and_renewed_once_when_it_is_over(make, testbed):
    connector = make()
    with testbed.client() as client:
        connector.changes("messages", None, overlap_s=0, limit=1)
        first = connector._calls._token
        connector.changes("messages", None, overlap_s=0, limit=1)
        assert connector._calls._token == first
        client.delete("/wecom/admin/tokens").raise_for_status()  # over early: 42001
    connector.changes("messages", None, overlap_s=0, limit=1)
    second = connector._calls._token
    assert second != first
    connector._calls._token = "made-up"  # 40014
    connector.changes("messages", None, overlap_s=0, limit=1)
    assert connector._calls._token != "made-up"


def answering(connector: WeComConnector, answers: dict[str, list[dict]]) -> list[str]:
    """Put scripted answers in WeCom's place; answers the paths that were asked, as they are."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[-1]
        asked.append(name)
        queue = answers[name]
        return httpx.Response(200, json=queue.pop(0) if len(queue) > 1 else queue[0])

    connector._web._client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://wecom.invalid")
    return asked


TOKEN = {"errcode": 0, "errmsg": "ok", "access_token": "t", "expires_in": 7200}


def test_a_token_that_stays_refused_ends_instead_of_going_on_for_ever(make):
    connector = make()
    asked = answering(connector, {"gettoken": [TOKEN], "sync_msg": [{"errcode": 42001, "errmsg": "expired"}]})
    with pytest.raises(Fatal, match="42001"):
        connector.changes("messages", None, overlap_s=0, limit=1)
    assert asked == ["gettoken", "sync_msg", "gettoken", "sync_msg"]


@pytest.mark.parametrize(("code", "kind"), [(45009, Retryable), (-1, Retryable), (60020, Fatal), (48002, Fatal)])
def test_error_codes_say_what_the_caller_does(make, code, kind):
    connector = make()
    answering(connector, {"gettoken": [TOKEN], "sync_msg": [{"errcode": code, "errmsg": "no"}]})
    with pytest.raises(kind, match=str(code)):
        connector.changes("messages", None, overlap_s=0, limit=1)


def test_wrong_credentials_are_a_finding_without_the_secret(make):
    (finding,) = make(secret="wrong-secret").check()
    assert finding.id == "connector.refused"
    assert "40001" in finding.message
    assert "wrong-secret" not in str(finding)


def test_no_message_carries_secret_or_token(make, testbed):
    connector = make(timeout_s=0.5)
    connector.check()
    token = connector._calls._token
    testbed.inject("wecom/cgi-bin/message/send", Fault.DELAY_AFTER, seconds=2)
    with pytest.raises(OutcomeUnknown) as error:
        connector.send(Message("a", "b"))
    assert token not in str(error.value)
    assert testbed.password not in str(error.value)
    assert testbed.password not in repr(connector._options)


def test_an_answer_that_is_not_wecoms_leaves_open_whether_a_message_was_sent(make, testbed):
    testbed.inject("wecom/cgi-bin/message/send", Fault.NO_JSON)
    with pytest.raises(OutcomeUnknown):
        make().send(Message("a", "open"))
    testbed.inject("wecom/cgi-bin/kf/sync_msg", Fault.NO_JSON)
    with pytest.raises(Fatal):
        make().changes("messages", None, overlap_s=0, limit=1)


def test_a_receiver_who_is_unknown_is_fatal(make):
    with pytest.raises(Fatal, match="81013"):
        make(to_user="nobody.there").send(Message("a", "b"))
    with pytest.raises(Fatal, match="did not tell nobody"):
        make(to_user="li.na|nobody").send(Message("a", "c"))


def test_a_long_message_is_cut_at_a_character_and_says_so(make, testbed):
    make().send(Message("长", "虚构" * 2000))
    content = sent(testbed)[-1]["text"]["content"]
    assert len(content.encode()) <= MAX_TEXT_BYTES
    assert content.endswith("（已截断 · cut）")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"corp_id": ""}, "corp_id"),
        ({"base_url": "qyapi"}, "base_url"),
        ({"agent": 1}, "agent"),
        ({"secret": ""}, "secret"),
    ],
)
def test_wrong_options_are_named(make, options, told):
    with pytest.raises(ConfigError, match=told) as error:
        make(**options)
    assert error.value.where == "systems.wecom.options"


def test_what_is_missing_for_a_use_is_said_when_it_is_used(make):
    with pytest.raises(ConfigError, match="open_kfid"):
        make(open_kfid=None).changes("messages", None, overlap_s=0, limit=1)
    with pytest.raises(ConfigError, match="agent_id"):
        make(agent_id=None).send(Message("a", "b"))
    with pytest.raises(UnsupportedOperation, match="people write there"):
        make().put("messages", [])


def test_what_is_no_text_is_told_in_words():
    base = {"msgid": "1", "open_kfid": "k", "external_userid": "u", "send_time": 1700000000, "origin": 3}
    told = {
        kind: record({**base, "msgtype": kind, kind: part}).values["text"]
        for kind, part in {
            "text": {"content": "你好"},
            "image": {"media_id": "m"},
            "link": {"title": "官网"},
            "novelty": {"x": 1},
        }.items()
    }
    assert told == {"text": "你好", "image": "[图片]", "link": "[链接] 官网", "novelty": "[novelty]"}
    event = {**base, "origin": 4, "msgtype": "event", "event": {"event_type": "enter_session", "external_userid": "w"}}
    del event["external_userid"]
    values = record(json.loads(json.dumps(event))).values
    assert (values["external_user"], values["origin"], values["text"]) == ("w", "系统", "[事件] enter_session")
    assert values["sent_at"] == "2023-11-14T22:13:20Z"
