"""Cleaning up what a drill made: found by the beginning of its key, deleted, nothing else touched."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from rollout.connectors.base import Op, Remover, TargetRecord, WriteRow
from rollout.connectors.crm_testbed import TestbedConnector
from rollout.connectors.testing import Harness
from rollout.errors import Fatal, UnsupportedOperation
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.server import Testbed

Connect = Callable[..., TestbedConnector]


def _found(crm: Remover, prefix: str, entity: str = "account") -> dict[str | None, TargetRecord]:
    return {record.migration_key: record for record in crm.read_by_key_prefix(entity, prefix)}


def test_records_are_found_by_the_beginning_of_their_key_alone(testbed_harness: Harness, connect: Connect) -> None:
    mark = f"{uuid.uuid4()}"
    keys = [f"{mark}%_{number:02}" for number in range(25)]
    strangers = [f"{mark}x_1", f"x{mark}%_1", f"{mark}%"]
    testbed_harness.write(*(testbed_harness.create(n, key=key) for n, key in enumerate([*keys, *strangers])))
    crm = connect(page_rows=10)
    assert isinstance(crm, Remover)
    found = _found(crm, f"{mark}%_")
    assert list(found) == keys
    assert found[keys[3]] == crm.read_by_keys("account", [keys[3]])[keys[3]][0]


def test_what_is_deleted_is_gone_and_the_rest_stays(
    testbed_harness: Harness, connect: Connect, testbed: Testbed
) -> None:
    mark = f"{uuid.uuid4()}"
    rows = [testbed_harness.create(number, key=f"{mark}-{number}") for number in range(4)]
    testbed_harness.write(*rows)
    crm = connect()
    ids = [record.target_id for record in _found(crm, mark).values()]
    testbed.inject(f"account/{ids[0]}", Fault.LOST_ANSWER)
    testbed.inject(f"account/{ids[1]}", Fault.UNAVAILABLE)
    crm.delete("account", ids[:3])
    assert list(_found(crm, mark)) == [f"{mark}-3"]
    crm.delete("account", ids[:3])  # done already


def test_a_record_that_others_refer_to_is_not_deleted(testbed_harness: Harness, connect: Connect) -> None:
    crm, row = connect(), testbed_harness.create(1)
    parent = testbed_harness.write(row)[row.migration_key].target_id
    assert parent is not None
    child = WriteRow(testbed_harness.new_key(), Op.CREATE, {"account": parent, "text": "虚构回访"})
    crm.write("followup", [child])
    with pytest.raises(Fatal, match="跟进记录 still refer"):
        crm.delete("account", [parent])
    assert testbed_harness.found(row.migration_key)


def test_an_empty_beginning_is_refused(connect: Connect) -> None:
    with pytest.raises(UnsupportedOperation, match="every record"):
        list(connect().read_by_key_prefix("account", ""))


def test_values_of_every_kind_come_back_as_they_were_sent(connect: Connect) -> None:
    crm = connect()
    sent = {
        "message": {
            "external_user": "wm_虚构",
            "text": "您好",
            "sent_at": "2026-01-31T00:00:00Z",
            "channel": "微信客服",
        },
        "order": {
            "order_no": "SO-1",
            "amount": "12000.5",
            "quantity": "3",
            "ordered_on": "2026-01-31",
            "status": "已下单",
        },
        "ticket": {"subject": "虚构", "kind": "报修", "status": "新建", "needs_sales": "true", "owner": "li.na"},
    }
    for entity, values in sent.items():
        key = f"kinds-{uuid.uuid4()}"
        [result] = crm.write(entity, [WriteRow(key, Op.CREATE, values)])
        assert result.reason_code is None, result
        [record] = crm.read_by_keys(entity, [key])[key]
        assert {name: value for name, value in record.values.items() if value is not None} == values
