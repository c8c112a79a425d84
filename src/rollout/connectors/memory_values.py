"""What the in-memory target checks of values: types, lengths, pick-lists, required fields. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime

from pydantic import Field

from rollout.connectors.reasons import Reason
from rollout.model.base import Frozen
from rollout.model.entity import FieldType, Values

Problem = tuple[Reason, str]


class MemoryField(Frozen):
    """A field of the schema; its name is its key in the options."""

    type: FieldType = FieldType.TEXT
    required: bool = False
    max_length: int | None = Field(default=None, ge=1)
    picklist: tuple[str, ...] = ()
    references: str | None = None


def no_empty_text(values: Values) -> Values:
    """An empty string is never a value; like the real ones, this target stores none instead."""
    return {name: value or None for name, value in values.items()} if "" in values.values() else values


def missing(required: tuple[str, ...], values: Values) -> Problem | None:
    """The first required field that has no value."""
    for name in required:
        if values[name] is None:
            return Reason.REQUIRED_MISSING, f"{name} has no value"
    return None


_INTEGER = re.compile(r"-?\d+", re.ASCII)
_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_Check = Callable[[str, str], Problem | None]


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_instant(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False


_IS_TYPE: Mapping[FieldType, Callable[[str], object]] = {
    FieldType.INTEGER: _INTEGER.fullmatch,
    FieldType.DECIMAL: _DECIMAL.fullmatch,
    FieldType.BOOLEAN: ("true", "false").__contains__,
    FieldType.DATE: _is_date,
    FieldType.DATETIME: _is_instant,
}


def checker(spec: MemoryField) -> _Check | None:
    """A check of one field's values, or None where every text will do (the common case costs nothing)."""
    is_type = _IS_TYPE.get(spec.type)
    allowed = frozenset(spec.picklist)
    limit = spec.max_length
    if is_type is None and not allowed and limit is None:
        return None

    def check(name: str, value: str) -> Problem | None:
        if is_type is not None and not is_type(value):
            return Reason.WRONG_TYPE, f"{name} is not a {spec.type.value}"
        if allowed and value not in allowed:
            return Reason.NOT_IN_PICKLIST, f"{name} is not one of the allowed values"
        if limit is not None and len(value) > limit:
            return Reason.TOO_LONG, f"{name} has more than {limit} characters"
        return None

    return check
