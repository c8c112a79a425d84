"""What the connector makes of every way a call can end, against the real CRM with faults."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest

from rollout.connectors import registry
from rollout.connectors.base import Connector, Op, RowStatus, TargetReader, Writer, WriteRow
from rollout.connectors.crm_testbed import TestbedConnector, translate
from rollout.connectors.crm_testbed.transport import Transport
from rollout.connectors.reasons import Reason
from rollout.connectors.testing import Harness
from rollout.errors import ConfigError, Fatal, OutcomeUnknown, Retryable, RowRejected, UnsupportedOperation
from rollout.model.entity import FieldType, TargetField
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.server import Testbed, running
from rollout.testbed.validation import Reason as CrmReason

Connect = Callable[..., TestbedConnector]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_registry_makes_it_and_it_speaks_all_protocols() -> None:
    options = {"base_url": "http://127.0.0.1:9", "username": "migration", "password": "x"}
    connector = registry.create("crm_testbed", name="crm", options=options, base_dir=Path())
    assert isinstance(connector, Connector)
    assert isinstance(connector, TargetReader)
    assert isinstance(connector, Writer)
    connector.close()
    connector.close()


@pytest.mark.parametrize(
    "wrong", [{"base_url": "ftp://x"}, {"base_url": "http://x/api"}, {"password": ""}, {"colour": 1}, {"timeout_s": 0}]
)
def test_wrong_options_are_named_and_the_password_is_not(wrong: dict[str, object]) -> None:
    options = {"base_url": "http://127.0.0.1:9", "username": "migration", "password": "geheim"} | wrong
    with pytest.raises(ConfigError, match=next(iter(wrong))) as raised:
        TestbedConnector(name="crm", options=options, base_dir=Path())
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("fault", "error", "stored"),
    [
        (Fault.LOST_ANSWER, OutcomeUnknown, True),
        (Fault.ERROR_BEFORE, OutcomeUnknown, False),
        (Fault.TOO_MANY_REQUESTS, Retryable, False),
        (Fault.UNAVAILABLE, Retryable, False),
    ],
)
def test_a_failed_write_is_named_by_what_may_have_been_stored(
    fault: Fault, error: type[Exception], *, stored: bool, testbed: Testbed, testbed_harness: Harness
) -> None:
    row = testbed_harness.create(1)
    testbed.inject("account/batch", fault, seconds=7)
    with pytest.raises(error) as raised:
        testbed_harness.target.write("account", [row])
    assert bool(testbed_harness.found(row.migration_key)) is stored
    if fault is Fault.TOO_MANY_REQUESTS:
        assert raised.value.retry_after_s == 7


def test_a_call_that_is_refused_for_what_one_row_holds_stores_nothing(testbed_harness: Harness) -> None:
    good = testbed_harness.create(1)
    bad = replace(testbed_harness.create(2), migration_key=" padded ")
    with pytest.raises(RowRejected, match="422"):
        testbed_harness.target.write("account", [good, bad])
    assert not testbed_harness.found(good.migration_key)


def test_an_answer_that_is_too_late_is_unknown(testbed: Testbed, connect: Connect, testbed_harness: Harness) -> None:
    hasty, row = connect(timeout_s=2), testbed_harness.create(1)
    hasty.describe()
    testbed.inject("account/batch", Fault.DELAY_AFTER, seconds=10)
    with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
        hasty.write("account", [row])
    assert testbed_harness.found(row.migration_key)


def test_a_crm_killed_before_its_answer_leaves_the_outcome_unknown_and_the_record_stored(
    empty_pg_url: str, connect: Connect
) -> None:
    row = WriteRow("k", Op.CREATE, {"name": "虚构", "region": "华东", "legacy_no": "1"})
    with running(empty_pg_url, faults=True) as doomed, ThreadPoolExecutor(1) as pool:
        crm = connect(base_url=doomed.base_url, password=doomed.password)
        crm.describe()
        doomed.inject("account/batch", Fault.DELAY_AFTER, seconds=600)
        call = pool.submit(crm.write, "account", [row])
        while not crm.read_by_keys("account", ["k"]):
            assert not call.done()
        doomed.kill()
        with pytest.raises(OutcomeUnknown):
            call.result()
    port = int(doomed.base_url.rsplit(":", 1)[1])
    with running(empty_pg_url, port, password=doomed.password):
        assert len(crm.read_by_keys("account", ["k"])["k"]) == 1
        assert [result.status for result in crm.write("account", [row])] == [RowStatus.CONFLICT]


def test_an_answer_that_is_no_json_leaves_its_rows_unknown(testbed: Testbed, testbed_harness: Harness) -> None:
    row = testbed_harness.create(1)
    testbed.inject("account/batch", Fault.NO_JSON)
    assert testbed_harness.write(row)[row.migration_key].status is RowStatus.UNKNOWN
    assert testbed_harness.found(row.migration_key)


def test_reads_are_tried_again_but_not_for_ever(testbed: Testbed, connect: Connect) -> None:
    crm = connect()
    crm.describe()
    for fault in (Fault.UNAVAILABLE, Fault.ERROR_BEFORE, Fault.LOST_ANSWER, Fault.TOO_MANY_REQUESTS):
        testbed.inject("account/lookup", fault)
    assert crm.read_by_keys("account", ["nobody"]) == {}
    testbed.inject("account/lookup", Fault.UNAVAILABLE, times=5)
    with pytest.raises(Retryable, match="503"):
        crm.read_by_keys("account", ["nobody"])
    assert crm.read_by_keys("account", ["nobody"]) == {}


def test_a_read_answered_by_something_else_is_fatal(testbed: Testbed, connect: Connect) -> None:
    crm = connect()
    crm.describe()
    testbed.inject("account/count", Fault.NO_JSON)
    with pytest.raises(Fatal, match="not this API's"):
        crm.count("account")


def test_an_expired_token_is_renewed_once_for_all_threads(testbed_url: str, connect: Connect) -> None:
    crm = connect()
    crm.describe()
    with psycopg.connect(testbed_url, autocommit=True) as database:
        database.execute("UPDATE tokens SET expires_at = now() - interval '1 second'")
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: crm.read_by_keys("account", ["nobody"]), range(4))) == [{}] * 4
        live = database.execute("SELECT count(*) FROM tokens WHERE expires_at > now()").fetchone()
    assert live == (1,)


def test_a_write_whose_token_is_refused_is_unknown_and_the_next_has_a_new_one(
    testbed_url: str, connect: Connect, testbed_harness: Harness
) -> None:
    crm, row = connect(), testbed_harness.create(1)
    crm.describe()
    with psycopg.connect(testbed_url, autocommit=True) as database:
        database.execute("UPDATE tokens SET expires_at = now() - interval '1 second'")
    with pytest.raises(OutcomeUnknown, match="refused the token"):
        crm.write("account", [row])
    assert crm.write("account", [row])[0].status is RowStatus.CREATED


def test_a_token_is_renewed_before_it_ends(testbed: Testbed) -> None:
    now = [0.0]
    transport = Transport(
        "crm",
        testbed.base_url,
        (testbed.username, testbed.password),
        timeout=httpx.Timeout(30),
        sleep=lambda _: None,
        clock=lambda: now[0],
    )
    tokens = set()
    for now[0] in (0.0, 3500.0, 3570.0, 3580.0, 7200.0):
        transport.read("GET", "/api/users")
        tokens.add(transport._token)
    transport.close()
    assert len(tokens) == 3


def test_a_write_that_gets_no_token_is_retryable(testbed: Testbed, connect: Connect, testbed_harness: Harness) -> None:
    row = testbed_harness.create(1)
    for fault in (Fault.LOST_ANSWER, Fault.ERROR_BEFORE, Fault.ERROR_IN_OK):
        crm = connect()
        crm.describe()
        crm._transport._token = None
        with testbed.client() as admin:  # logged in before the login itself goes wrong
            admin.post("/api/admin/faults", json={"endpoint": "token", "fault": fault.value}).raise_for_status()
        with pytest.raises(Retryable):
            crm.write("account", [row])
    assert not testbed_harness.found(row.migration_key)


def test_wrong_credentials_are_fatal_and_found_by_check(connect: Connect) -> None:
    stranger = connect(password="wrong")
    with pytest.raises(Fatal, match="401") as raised:
        stranger.write("account", [WriteRow("k", Op.CREATE, {})])
    assert "check username and password" in str(raised.value)
    [finding] = stranger.check()
    assert (finding.id, finding.level.value) == ("connector.refused", "error")


def test_an_unreachable_crm_is_retryable_and_found_by_check(free_port: int, connect: Connect) -> None:
    nowhere = connect(base_url=f"http://127.0.0.1:{free_port}")
    with pytest.raises(Retryable, match="cannot connect"):
        nowhere.write("account", [WriteRow("k", Op.CREATE, {})])
    assert [finding.id for finding in nowhere.check()] == ["connector.unreachable"]


def test_a_crm_without_migration_key_is_found_by_check(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    crm = connect()
    schema = crm.describe()
    fields = {name: field for name, field in schema.entities["contact"].items() if name != "migration_key"}
    poisoned = schema.model_copy(update={"entities": {**schema.entities, "contact": fields}})
    monkeypatch.setattr(crm, "describe", lambda: poisoned)
    assert [(f.id, f.where) for f in crm.check()] == [("connector.migration_key_missing", "systems.crm/contact")]


def test_a_wrong_value_rejects_its_row_alone(testbed_harness: Harness) -> None:
    rows = [
        testbed_harness.create(1, employees="12.5"),
        testbed_harness.create(2, remark="\ud800"),
        testbed_harness.create(3, owner="nobody"),
        testbed_harness.create(4, colour="red"),
        testbed_harness.create(5),
    ]
    results = testbed_harness.write(*rows)
    assert [results[row.migration_key].reason_code for row in rows] == [
        Reason.WRONG_TYPE, Reason.WRONG_TYPE, Reason.UNKNOWN_OWNER, Reason.UNKNOWN_FIELD, None
    ]  # fmt: skip
    assert len(testbed_harness.found(rows[4].migration_key)) == 1


def test_a_request_the_crm_does_not_take_is_named_without_its_values(connect: Connect) -> None:
    with pytest.raises(RowRejected, match="migration_key") as raised:
        connect().write("account", [WriteRow("秘" * 101, Op.CREATE, {})])
    assert "秘" not in str(raised.value)
    with pytest.raises(Fatal, match="no entity 'ghost'"):
        connect().count("ghost")


def test_misuse_is_refused_before_anything_is_sent(connect: Connect) -> None:
    row = WriteRow("k", Op.CREATE, {})
    with pytest.raises(UnsupportedOperation, match="twice"):
        connect().write("account", [row, row])
    with pytest.raises(UnsupportedOperation, match="501 keys"):
        connect().read_by_keys("account", ["k"] * 501)


TEXTS = translate.shape({})
"""Of an entity whose fields are all text."""


def _answer(*outcomes: object) -> httpx.Response:
    return httpx.Response(200, json={"outcomes": list(outcomes)})


def _outcome(key: str, **changes: object) -> dict[str, object]:
    return {"migration_key": key, "status": "created", "id": "A-1", "reason": None, "message": ""} | changes


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"outcomes": None}),
        _answer(_outcome("b")),
        _answer(_outcome("a"), _outcome("b"), _outcome("a", id="A-2")),
        _answer(_outcome("a", status="done"), _outcome("b")),
        _answer(_outcome("a", id=None), _outcome("b")),
        _answer({"migration_key": "a"}, "nonsense", _outcome("b")),
    ],
)
def test_a_row_without_exactly_one_readable_outcome_is_unknown(response: httpx.Response) -> None:
    results = {
        result.migration_key: result.status
        for result in translate.outcomes("account", TEXTS, response, {"a": 1, "b": 1})
    }
    assert results["a"] is RowStatus.UNKNOWN
    assert set(results) == {"a", "b"}


def test_outcomes_of_rows_that_were_not_sent_are_ignored() -> None:
    [result] = translate.outcomes("account", TEXTS, _answer(_outcome("z"), _outcome("a")), {"a": 1})
    assert (result.migration_key, result.status) == ("a", RowStatus.CREATED)


@pytest.mark.parametrize(
    "record",
    [None, "nonsense", {}, {"id": "A-2", "migration_key": "a", "version": 1, "modified_by": "x", "fields": {}}],
    ids=["none", "text", "empty", "of another id"],
)
def test_a_record_that_cannot_be_used_is_left_to_the_read_back(record: object) -> None:
    [result] = translate.outcomes("account", TEXTS, _answer(_outcome("a") | {"record": record}), {"a": 1})
    assert (result.status, result.stored) == (RowStatus.CREATED, None)


def test_an_integer_that_json_cannot_carry_is_refused() -> None:
    shape = translate.shape({"employees": TargetField(name="employees", type=FieldType.INTEGER)})
    with pytest.raises(ValueError, match="too large"):
        translate.to_message(shape, WriteRow("a", Op.CREATE, {"employees": str(2**63)}))
    sent = translate.to_message(shape, WriteRow("a", Op.CREATE, {"employees": str(2**63 - 1)}))
    assert sent["fields"] == {"employees": 2**63 - 1}


def test_every_reason_of_the_crm_has_a_name_here() -> None:
    assert {reason.value for reason in CrmReason} <= {reason.value for reason in Reason}
    [result] = translate.outcomes(
        "account", TEXTS, _answer(_outcome("a", status="rejected", id=None, reason="new")), {"a": 1}
    )
    assert result.reason_code == Reason.REFUSED.value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("12.500000", "12.5"), ("100.000000", "100"), ("0.000000", "0"), ("-0.000000", "0"), ("-1.50", "-1.5"),
        ("1000", "1000"), (1.5, "1.5"), (None, None), ("", None),
    ],
)  # fmt: skip
def test_decimals_come_back_canonical(value: object, text: str | None) -> None:
    shape = translate.shape({"amount": TargetField(name="amount", type=FieldType.DECIMAL)})
    item: dict[str, object] = {"id": "A-1", "migration_key": "k", "version": 1, "modified_by": "x"}
    item["fields"] = {"amount": value}
    item |= dict.fromkeys(("created_at", "modified_at"), "2026-01-31T00:00:00Z")
    assert translate.record("account", shape, item).values == {"amount": text}
