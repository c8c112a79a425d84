"""What the memory target promises beyond the laws."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from rollout.connectors import registry
from rollout.connectors.base import Connector, Op, RowStatus, TargetReader, Writer, WriteRow
from rollout.connectors.memory import MemoryConnector, MemoryFault, forget_store
from rollout.connectors.reasons import Reason
from rollout.errors import ConfigError, Fatal, OutcomeUnknown, UnsupportedOperation

SCHEMA = {
    "account": {
        "name": {"required": True, "max_length": 5},
        "employees": {"type": "integer"},
        "revenue": {"type": "decimal"},
        "active": {"type": "boolean"},
        "since": {"type": "date"},
        "seen_at": {"type": "datetime"},
        "region": {"type": "picklist", "picklist": ["华东"]},
        "parent": {"type": "reference", "references": "account"},
    }
}


def make(**options: object) -> MemoryConnector:
    return MemoryConnector(name="m", options={"entities": SCHEMA, **options}, base_dir=Path())


def create(key: str, **values: str | None) -> WriteRow:
    return WriteRow(key, Op.CREATE, {"name": "虚构", **values})


def test_the_registry_makes_it_and_it_speaks_all_protocols() -> None:
    connector = registry.create("memory", name="m", options={"entities": SCHEMA}, base_dir=Path())
    assert isinstance(connector, Connector)
    assert isinstance(connector, TargetReader)
    assert isinstance(connector, Writer)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"name": None}, Reason.REQUIRED_MISSING),
        ({"name": ""}, Reason.REQUIRED_MISSING),
        ({"name": "六个字的名字"}, Reason.TOO_LONG),
        ({"employees": "12.0"}, Reason.WRONG_TYPE),
        ({"employees": "１２"}, Reason.WRONG_TYPE),
        ({"revenue": "1e3"}, Reason.WRONG_TYPE),
        ({"active": "yes"}, Reason.WRONG_TYPE),
        ({"since": "20010203"}, Reason.WRONG_TYPE),
        ({"since": "2001-02-30"}, Reason.WRONG_TYPE),
        ({"seen_at": "2001-02-03T04:05:06"}, Reason.WRONG_TYPE),
        ({"region": "火星"}, Reason.NOT_IN_PICKLIST),
        ({"parent": "M999"}, Reason.REFERENCE_MISSING),
        ({"colour": "red"}, Reason.UNKNOWN_FIELD),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(values: dict[str, str | None], reason: Reason) -> None:
    memory = make()
    [result] = memory.write("account", [create("k", **values)])
    assert (result.status, result.reason_code) == (RowStatus.REJECTED, reason.value)
    assert memory.count("account") == 0


def test_right_values_of_each_type_are_taken() -> None:
    values = {
        "employees": "-3",
        "revenue": "-0.5",
        "active": "false",
        "since": "2001-02-03",
        "seen_at": "2001-02-03T04:05:06Z",
        "region": "华东",
    }
    [result] = make().write("account", [create("k", **values)])
    assert result.status is RowStatus.CREATED


def test_a_store_is_shared_by_name_and_forgotten() -> None:
    name = uuid.uuid4().hex
    one, two, other = make(store=name), make(store=name), make()
    one.write("account", [create("k")])
    assert (two.count("account"), other.count("account")) == (1, 0)
    forget_store(name)
    assert make(store=name).count("account") == 0


def test_without_unique_keys_a_second_create_is_seen_as_a_duplicate() -> None:
    memory = make(enforces_unique=False)
    memory.write("account", [create("k")])
    memory.write("account", [create("k")])
    assert len(memory.read_by_keys("account", ["k"])["k"]) == 2


def test_a_lost_call_stores_nothing_and_faults_are_used_up() -> None:
    memory = make()
    memory.fail_next(MemoryFault.LOST_CALL)
    with pytest.raises(OutcomeUnknown):
        memory.write("account", [create("k")])
    assert memory.count("account") == 0
    assert memory.write("account", [create("k")])[0].status is RowStatus.CREATED


def test_misuse_is_refused() -> None:
    memory = make(max_read_keys=1)
    with pytest.raises(UnsupportedOperation, match="twice"):
        memory.write("account", [create("k"), create("k")])
    with pytest.raises(UnsupportedOperation, match="2 keys"):
        memory.read_by_keys("account", ["a", "b"])
    with pytest.raises(Fatal, match="no entity 'ghost'"):
        memory.count("ghost")
    with pytest.raises(ConfigError, match="concurrency"):
        make(concurrency=0)
    with pytest.raises(ConfigError, match="colour"):
        make(colour="red")


def test_an_adopted_key_must_be_free() -> None:
    memory = make()
    memory.write("account", [create("taken")])
    target_id = memory.add("account", {"name": "手工"}, user="li.na")
    [result] = memory.write("account", [WriteRow("taken", Op.UPDATE, {}, target_id)])
    assert (result.status, result.reason_code) == (RowStatus.CONFLICT, Reason.KEY_EXISTS.value)
