"""The record that the health check creates, reads back and deletes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from rollout.errors import UnsupportedOperation
from rollout.model.entity import FieldType, TargetField, TargetSchema, Values

KEY_PREFIX = "probe:"
"""Begins the migration keys of synthetic records, so that what a crash left behind is found and removed."""
LEFT_BEHIND_AFTER = timedelta(minutes=5)
"""A younger record may be another health check's, which is still at it."""
_STAMP = "%Y%m%dT%H%M%S"
_VALUES = {
    FieldType.INTEGER: "1",
    FieldType.DECIMAL: "1",
    FieldType.BOOLEAN: "false",
    FieldType.DATE: "2000-01-01",
    FieldType.DATETIME: "2000-01-01T00:00:00Z",
    FieldType.PHONE: "+8610000000000",
    FieldType.EMAIL: "probe@example.invalid",
}


def new_key(now: datetime, unique: str) -> str:
    """A migration key that tells when it was made."""
    return f"{KEY_PREFIX}{now.astimezone(UTC).strftime(_STAMP)}:{unique}"


def is_left_behind(key: str, now: datetime) -> bool:
    """Whether a synthetic record's check is over; one whose key tells no time was not made by this version."""
    try:
        made_at = datetime.strptime(key.removeprefix(KEY_PREFIX).split(":")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return True
    return not timedelta() <= now - made_at < LEFT_BEHIND_AFTER


def choose_entity(schema: TargetSchema, preferred: Sequence[str]) -> str:
    """The first of the entities that can be created without another record.

    Raises:
        UnsupportedOperation: There is none.
    """
    for name in preferred:
        fields = schema.entities.get(name)
        if fields is not None and not any(field.required and field.references for field in fields.values()):
            return name
    raise UnsupportedOperation("the target has no entity that can be created by itself")


def values(fields: Mapping[str, TargetField], unique: str) -> Values:
    """A value for each required field, by its type.

    Raises:
        UnsupportedOperation: A required field has a type that no value can be made up for.
    """
    return {name: _value(field, unique) for name, field in fields.items() if field.required and field.writable}


def _value(field: TargetField, unique: str) -> str:
    if field.type is FieldType.TEXT:
        return f"健康检查 probe {unique}"[: field.max_length]
    if field.type is FieldType.PICKLIST and field.picklist:
        return field.picklist[0]
    if field.type in _VALUES:
        return _VALUES[field.type]
    raise UnsupportedOperation(f"the target requires '{field.name}', and no {field.type} can be made up")
