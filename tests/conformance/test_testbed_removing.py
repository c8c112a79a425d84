"""Deleting and releasing in a batch, and who refers to whom: what taking a load back rests on."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import httpx
import pytest

from rollout.connectors.base import LinkReader, Op, RecordLink, RowStatus, WriteRow
from rollout.connectors.crm_testbed import TestbedConnector
from rollout.connectors.reasons import Reason
from rollout.connectors.testing import Harness
from rollout.errors import UnsupportedOperation
from rollout.testbed.server import Testbed

Connect = Callable[..., TestbedConnector]
CONTACT = {"name": "虚构联系人", "legacy_no": "L1"}


def key() -> str:
    return f"removing-{uuid.uuid4()}"


def test_rows_of_all_kinds_go_in_one_batch_and_answer_by_key(testbed_harness: Harness) -> None:
    doomed, released, changed = (testbed_harness.stored(number) for number in range(3))
    created = testbed_harness.create(4)
    gone = WriteRow(key(), Op.DELETE, {}, "A-999999")
    results = testbed_harness.write(
        WriteRow(doomed.migration_key or "", Op.DELETE, {}, doomed.target_id, doomed.version),
        WriteRow(released.migration_key or "", Op.RELEASE, {"remark": "as it was"}, released.target_id),
        WriteRow(changed.migration_key or "", Op.UPDATE, {"remark": "x"}, changed.target_id),
        created,
        gone,
    )
    statuses = [results[k or ""].status.value for k in (doomed.migration_key, released.migration_key)]
    statuses += [results[k or ""].status.value for k in (changed.migration_key, created.migration_key)]
    assert statuses == ["deleted", "updated", "updated", "created"]
    assert results[gone.migration_key].status is RowStatus.DELETED
    assert results[gone.migration_key].reason_code is None
    assert not testbed_harness.found(doomed.migration_key or "")
    assert not testbed_harness.found(released.migration_key or "")
    stays = testbed_harness.target.read_by_ids("account", [released.target_id, doomed.target_id])
    assert {k: (r.migration_key, r.values["remark"]) for k, r in stays.items()} == {
        released.target_id: (None, "as it was")
    }
    again = testbed_harness.write(WriteRow(released.migration_key or "", Op.RELEASE, {}, released.target_id))
    assert again[released.migration_key or ""].status is RowStatus.UNCHANGED


def test_the_history_of_a_deleted_and_a_released_record_tells(testbed: Testbed, testbed_harness: Harness) -> None:
    doomed, released = testbed_harness.stored(1), testbed_harness.stored(2)
    testbed_harness.write(
        WriteRow(doomed.migration_key or "", Op.DELETE, {}, doomed.target_id),
        WriteRow(released.migration_key or "", Op.RELEASE, {}, released.target_id),
    )
    with testbed.client() as crm:
        ends = crm.get(f"/api/account/{doomed.target_id}/history").json()["entries"]
        [*_, last] = [e for e in ends if e["action"] == "delete" and e["field"] == "name"]
        assert (last["by"], last["new"]) == ("migration", None)
        first = crm.get(f"/api/account/{released.target_id}/history").json()["entries"][0]
    assert (first["field"], first["old"], first["new"]) == ("migration_key", released.migration_key, None)


def test_only_the_record_that_is_meant_is_deleted(testbed_harness: Harness) -> None:
    record, other = testbed_harness.stored(1), testbed_harness.stored(2)
    assert testbed_harness.edit is not None
    testbed_harness.edit(record.target_id, {"remark": "by a person"})
    old = WriteRow(record.migration_key or "", Op.DELETE, {}, record.target_id, record.version)
    swapped = WriteRow(other.migration_key or "", Op.DELETE, {}, record.target_id)
    for row, reason in ((old, Reason.VERSION_CHANGED), (swapped, Reason.KEY_EXISTS)):
        result = testbed_harness.write(row)[row.migration_key]
        assert (result.status, result.reason_code) == (RowStatus.CONFLICT, reason.value)
    assert testbed_harness.found(record.migration_key or "")
    assert testbed_harness.found(other.migration_key or "")


def test_a_record_that_others_refer_to_stays_and_its_neighbours_go(testbed_harness: Harness) -> None:
    parent, lonely = testbed_harness.stored(1), testbed_harness.stored(2)
    testbed_harness.target.write("contact", [WriteRow(key(), Op.CREATE, CONTACT | {"account": parent.target_id})])
    rows = [WriteRow(record.migration_key or "", Op.DELETE, {}, record.target_id) for record in (parent, lonely)]
    results = testbed_harness.write(*rows)
    answer = results[parent.migration_key or ""]
    assert (answer.status, answer.reason_code) == (RowStatus.REJECTED, Reason.REFERENCED.value)
    assert results[lonely.migration_key or ""].status is RowStatus.DELETED
    assert testbed_harness.found(parent.migration_key or "")


def test_links_name_every_record_that_refers(testbed: Testbed, testbed_harness: Harness, connect: Connect) -> None:
    crm = connect()
    assert isinstance(crm, LinkReader)
    parent, other = testbed_harness.stored(1), testbed_harness.stored(2)
    child = key()
    [contact] = crm.write("contact", [WriteRow(child, Op.CREATE, CONTACT | {"account": parent.target_id})])
    with testbed.client("li.na") as person:
        fields = {"account": parent.target_id, "text": "虚构回访"}
        followup = person.post("/api/followup", json={"fields": fields}).raise_for_status().json()["id"]
    assert crm.links_to("account", [parent.target_id, other.target_id, "nonsense"]) == {
        parent.target_id: [
            RecordLink("contact", contact.target_id or "", child, "migration"),
            RecordLink("followup", followup, None, "li.na"),
        ]
    }
    assert crm.links_to("contact", [contact.target_id or ""]) == {}
    with pytest.raises(UnsupportedOperation, match="501 ids"):
        crm.links_to("account", ["A-1"] * 501)


def test_a_deletion_with_fields_is_a_mistake_of_its_author(testbed: Testbed) -> None:
    row = {"migration_key": key(), "op": "delete", "id": "A-1", "fields": {"name": "x"}}
    with testbed.client() as crm, pytest.raises(httpx.HTTPStatusError, match="422"):
        crm.post("/api/account/batch", json={"rows": [row]}).raise_for_status()
