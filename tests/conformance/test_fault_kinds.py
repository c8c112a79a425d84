"""Every kind of fault: what it does to the CRM, what the connector makes of it, and the seeded schedule of them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from rollout.connectors.base import Op, RowStatus, TargetRecord, WriteRow
from rollout.connectors.crm_testbed import TestbedConnector
from rollout.connectors.testing import Harness
from rollout.errors import OutcomeUnknown, Retryable
from rollout.testbed.fault_kinds import OF_BATCHES, Fault
from rollout.testbed.fault_schedule import EndpointFaults, FaultPlan, FaultSchedule
from rollout.testbed.server import Testbed

Connect = Callable[..., TestbedConnector]
BATCH = "account/batch"

# What the connector makes of a batch of four new rows, and how many of them are stored then. None: it answers.
ENDS: dict[Fault, tuple[type[Exception] | None, int]] = {
    Fault.ERROR_BEFORE: (OutcomeUnknown, 0),
    Fault.BAD_GATEWAY: (OutcomeUnknown, 0),
    Fault.UNAVAILABLE: (Retryable, 0),
    Fault.TOO_MANY_REQUESTS: (Retryable, 0),
    Fault.TOO_MANY_WITHOUT_DELAY: (Retryable, 0),
    Fault.ERROR_IN_OK: (Retryable, 0),
    Fault.TIMEOUT_BEFORE: (OutcomeUnknown, 0),
    Fault.TIMEOUT_AFTER: (OutcomeUnknown, 4),
    Fault.LOST_ANSWER: (OutcomeUnknown, 4),
    Fault.CONNECTION_RESET: (OutcomeUnknown, 0),
    Fault.TRUNCATED_BODY: (OutcomeUnknown, 4),
    Fault.ERROR_AFTER: (OutcomeUnknown, 4),
    Fault.TOKEN_EXPIRES: (OutcomeUnknown, 2),
    Fault.NO_JSON: (None, 4),
    Fault.DELAY_BEFORE: (None, 4),
    Fault.DELAY_AFTER: (None, 4),
    Fault.PARTLY_FAILED: (None, 2),
    Fault.SHUFFLED: (None, 4),
    Fault.PRETEND: (None, 0),
    Fault.TRUNCATED_FIELD: (None, 4),
    Fault.LOST_FIELDS: (None, 4),
    Fault.PERMITS_DUPLICATES: (None, 4),
}
OTHERWISE_TESTED = {Fault.LATE_COMMIT, Fault.DROPPED_UPDATE, Fault.LAGGING_SEARCH}


@pytest.fixture(autouse=True)
def calm(testbed: Testbed) -> Iterator[None]:
    yield
    testbed.forget_faults()


@pytest.mark.parametrize("fault", ENDS, ids=str)
def test_a_batch_that_suffers_it_is_answered_by_what_may_have_been_stored(
    fault: Fault, testbed: Testbed, testbed_harness: Harness
) -> None:
    rows = [testbed_harness.create(number, remark=f"虚构的备注 {number}") for number in range(4)]
    error, stored = ENDS[fault]
    testbed.inject(BATCH, fault, seconds=0.01)
    if error is None:
        testbed_harness.write(*rows)
    else:
        with pytest.raises(error) as raised:
            testbed_harness.target.write("account", rows)
        assert type(raised.value) is error
    found = testbed_harness.target.read_by_keys("account", [row.migration_key for row in rows])
    assert len(found) == stored
    assert all(len(records) == 1 for records in found.values())


def test_every_kind_is_tested() -> None:
    assert {*ENDS, *OTHERWISE_TESTED} == set(Fault)
    assert not ENDS.keys() & OTHERWISE_TESTED


def test_rows_that_failed_alone_are_unknown_and_their_neighbours_done(
    testbed: Testbed, testbed_harness: Harness
) -> None:
    rows = [testbed_harness.create(number) for number in range(4)]
    testbed.inject(BATCH, Fault.PARTLY_FAILED)
    results = testbed_harness.write(*rows)
    assert [results[row.migration_key].status for row in rows] == [RowStatus.CREATED, RowStatus.UNKNOWN] * 2
    assert [bool(testbed_harness.found(row.migration_key)) for row in rows] == [True, False] * 2


def test_outcomes_in_another_order_reach_their_rows(testbed: Testbed, testbed_harness: Harness) -> None:
    rows = [testbed_harness.create(0), testbed_harness.spoilt_row(1), testbed_harness.create(2)]
    testbed.inject(BATCH, Fault.SHUFFLED)
    with testbed.client() as crm:
        sent = [{"migration_key": f"{row.migration_key}x", "op": "create", "fields": {"name": "x"}} for row in rows]
        answered = [
            outcome["migration_key"]
            for outcome in crm.post("/api/account/batch", json={"rows": sent}).json()["outcomes"]
        ]
    assert answered == [f"{row.migration_key}x" for row in reversed(rows)]
    testbed.inject(BATCH, Fault.SHUFFLED)
    results = testbed_harness.write(*rows)
    assert [results[row.migration_key].status.value for row in rows] == ["created", "rejected", "created"]
    assert testbed_harness.read(rows[2].migration_key).target_id == results[rows[2].migration_key].target_id


def test_a_reset_is_a_reset(testbed: Testbed) -> None:
    with testbed.client() as crm:
        testbed.inject(BATCH, Fault.CONNECTION_RESET)
        with pytest.raises(httpx.ReadError, match="reset"):
            crm.post("/api/account/batch", json={"rows": []})


def test_a_late_commit_lands_after_the_connection_dropped(testbed: Testbed, testbed_harness: Harness) -> None:
    row = testbed_harness.create(1)
    testbed.inject(BATCH, Fault.LATE_COMMIT, seconds=0.7)
    with pytest.raises(OutcomeUnknown):
        testbed_harness.target.write("account", [row])
    assert not testbed_harness.found(row.migration_key)
    _until(lambda: testbed_harness.found(row.migration_key))


def test_a_token_that_ends_in_a_batch_is_replaced_for_the_next_call(testbed: Testbed, testbed_harness: Harness) -> None:
    rows = [testbed_harness.create(number) for number in range(3)]
    testbed.inject(BATCH, Fault.TOKEN_EXPIRES)
    with pytest.raises(OutcomeUnknown):
        testbed_harness.target.write("account", rows)
    results = testbed_harness.write(*rows)
    assert [results[row.migration_key].status.value for row in rows] == ["conflict", "conflict", "created"]


def test_busy_without_delay_names_none(testbed: Testbed, testbed_harness: Harness) -> None:
    for fault, delay_s in ((Fault.TOO_MANY_WITHOUT_DELAY, None), (Fault.TOO_MANY_REQUESTS, 3.0)):
        testbed.inject(BATCH, fault, seconds=3)
        with pytest.raises(Retryable) as raised:
            testbed_harness.target.write("account", [testbed_harness.create(1)])
        assert raised.value.retry_after_s == delay_s


def test_a_dropped_update_is_answered_as_done_and_shows_what_is_stored(
    testbed: Testbed, testbed_harness: Harness
) -> None:
    record = testbed_harness.stored(1, remark="before")
    testbed.inject(BATCH, Fault.DROPPED_UPDATE)
    result = testbed_harness.update(record, remark="after")
    assert result.status is RowStatus.UPDATED
    assert result.stored == record == testbed_harness.read(record.migration_key or "")


@pytest.mark.parametrize(
    ("fault", "field", "stored"),
    [(Fault.TRUNCATED_FIELD, "remark", "0123456789" * 2), (Fault.LOST_FIELDS, "employees", None)],
)
def test_a_field_that_is_spoilt_is_seen_in_the_answer(
    fault: Fault, field: str, stored: str | None, testbed: Testbed, testbed_harness: Harness
) -> None:
    row = testbed_harness.create(7, remark="0123456789" * 4)
    testbed.inject(BATCH, fault)
    result = testbed_harness.write(row)[row.migration_key]
    record = testbed_harness.read(row.migration_key)
    assert (result.status, result.stored) == (RowStatus.CREATED, record)
    assert record.values[field] == stored
    assert record.values["name"] == row.values["name"]


def test_a_crm_that_permits_duplicates_has_two_records_under_one_key(
    testbed: Testbed, testbed_harness: Harness, connect: Connect
) -> None:
    first = testbed_harness.stored(1)
    again = WriteRow(first.migration_key or "", Op.CREATE, testbed_harness.sample(2))
    testbed.inject(BATCH, Fault.PERMITS_DUPLICATES)
    twin = testbed_harness.write(again)[again.migration_key]
    assert (twin.status, twin.target_id != first.target_id) == (RowStatus.CREATED, True)
    assert len(testbed_harness.found(again.migration_key)) == 2
    assert testbed_harness.write(again)[again.migration_key].status is RowStatus.CONFLICT
    careful = connect(enforces_unique=False, max_commit_delay_s=2, read_your_writes_delay_s=3)
    assert careful.check() == []
    assert careful.capabilities.absence_decides_after_s == 35
    assert not careful.describe().entities["account"]["migration_key"].unique


def test_a_search_that_lags_finds_new_records_later(testbed: Testbed, testbed_harness: Harness) -> None:
    row = testbed_harness.create(1)
    target_id = testbed_harness.write(row)[row.migration_key].target_id or ""
    testbed.inject("account/lookup", Fault.LAGGING_SEARCH, seconds=600)
    assert not testbed_harness.found(row.migration_key)
    found: list[TargetRecord] = list(testbed_harness.found(row.migration_key))
    assert [record.target_id for record in found] == [target_id]


# --- the schedule ---


def _draws(seed: int, calls: int, rates: dict[Fault, float]) -> list[Fault | None]:
    plan = FaultPlan()
    plan.schedule(FaultSchedule(seed=seed, endpoints=[EndpointFaults(endpoint=BATCH, rates=rates)]))
    drawn = [plan.next(f"/api/{BATCH}") for _ in range(calls)]
    return [planned.fault if planned else None for planned in drawn]


def test_the_same_seed_draws_the_same_faults_in_their_shares() -> None:
    rates = {Fault.LOST_ANSWER: 0.2, Fault.SHUFFLED: 0.1}
    drawn = _draws(7, 2000, rates)
    assert drawn == _draws(7, 2000, dict(reversed(rates.items())))
    assert drawn != _draws(8, 2000, rates)
    assert 330 < drawn.count(Fault.LOST_ANSWER) < 470
    assert 150 < drawn.count(Fault.SHUFFLED) < 250
    assert _draws(7, 100, {}) == [None] * 100
    assert _draws(7, 100, {Fault.SHUFFLED: 1.0}) == [Fault.SHUFFLED] * 100


def test_a_schedule_strikes_counts_and_is_forgotten(testbed: Testbed, connect: Connect) -> None:
    crm = connect()
    crm.describe()
    testbed.schedule_faults(1, {"account/lookup": {Fault.UNAVAILABLE: 0.15, Fault.TRUNCATED_BODY: 0.15}})
    for _ in range(20):
        assert crm.read_by_keys("account", ["nobody"]) == {}
    counts = testbed.suffered()["account/lookup"]
    assert set(counts) == {Fault.UNAVAILABLE, Fault.TRUNCATED_BODY}
    testbed.forget_faults()
    crm.read_by_keys("account", ["nobody"])
    assert testbed.suffered()["account/lookup"] == counts


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": BATCH, "rates": {"shuffled": 0.6, "lost_answer": 0.6}},
        {"endpoint": BATCH, "rates": {"shuffled": -0.1}},
        {"endpoint": "account/lookup", "rates": {"shuffled": 0.1}},
        {"endpoint": BATCH, "rates": {"earthquake": 0.1}},
        {"endpoint": BATCH, "rates": {"late_commit": 0.1}, "seconds": {"late_commit": -1}},
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong: dict[str, object], testbed: Testbed) -> None:
    with testbed.client() as crm:
        assert crm.post("/api/admin/fault-schedule", json={"seed": 1, "endpoints": [wrong]}).status_code == 422
        planned = {"endpoint": "account/lookup", "fault": min(OF_BATCHES).value}
        assert crm.post("/api/admin/faults", json=planned).status_code == 422


def _until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
