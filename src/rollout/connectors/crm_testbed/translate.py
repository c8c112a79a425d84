"""Canonical text here, JSON there; and what the CRM's answers to rows mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import httpx
import orjson

from rollout.connectors.base import AutomationRule, RowResult, RowStatus, TargetRecord, WriteRow
from rollout.connectors.reasons import Reason
from rollout.model.entity import FieldType, TargetField

_INTEGER_BITS = 63
_INTEGER = re.compile(r"-?[0-9]+")
_CODED = (FieldType.BOOLEAN, FieldType.INTEGER)
_STATUSES = {status.value: status for status in RowStatus}
_REASONS = {reason.value: reason for reason in Reason}


def target_field(described: Mapping[str, Any]) -> TargetField:
    """A field of `describe`."""
    return TargetField(
        name=described["name"],
        type=FieldType(described["type"]),
        required=described["required"],
        max_length=described["max_length"],
        picklist=tuple(described["picklist"]),
        references=described["references"],
        unique=described["unique"],
        writable=described["writable"],
    )


class Shape(NamedTuple):
    """Those of an entity's fields that canonical text and JSON write in different ways."""

    coded: Mapping[str, FieldType]
    """Booleans and integers, by name."""
    decimals: Collection[str]


def shape(fields: Mapping[str, TargetField]) -> Shape:
    """What is to be looked at in every record, found once for all of them."""
    coded = {name: field.type for name, field in fields.items() if field.type in _CODED}
    return Shape(coded, [name for name, field in fields.items() if field.type is FieldType.DECIMAL])


def to_message(shape: Shape, row: WriteRow) -> dict[str, Any]:
    """A row as the API takes it. Raises ValueError if a value is not of its field's type."""
    # Half a surrogate pair cannot travel: a UnicodeEncodeError is a ValueError.
    "".join(filter(None, row.values.values())).encode()
    sent: dict[str, Any] = dict(row.values)
    for name, kind in shape.coded.items():
        if sent.get(name) is not None:
            sent[name] = _to_json(kind, name, sent[name])
    return {
        "migration_key": row.migration_key,
        "op": row.op.value,
        "id": row.target_id,
        "expected_version": int(row.expected_version) if row.expected_version is not None else None,
        # A field that the CRM does not have is sent as text; it is the CRM that refuses it.
        "fields": sent,
    }


def _to_json(kind: FieldType, name: str, value: str) -> int | bool:
    if kind is FieldType.BOOLEAN:
        if value not in ("true", "false"):
            raise ValueError(f"{name} is neither true nor false")
        return value == "true"
    if not _INTEGER.fullmatch(value):
        raise ValueError(f"{name} is not an integer")
    number = int(value)
    if number.bit_length() > _INTEGER_BITS:
        raise ValueError(f"{name} is too large an integer")
    return number


def _to_text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain_decimal(text: str) -> str:
    """Without exponent and trailing zeros; raises ValueError if it is no number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"'{text}' is no decimal number") from None
    plain = f"{number:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain == "-0" else plain


def record(entity: str, shape: Shape, item: Mapping[str, Any]) -> TargetRecord:
    """A record as the API shows it."""
    values = {
        name: value if value.__class__ is str and value else _to_text(value) for name, value in item["fields"].items()
    }
    for name in shape.decimals:
        if (text := values.get(name)) is not None:
            values[name] = _plain_decimal(text)
    return TargetRecord(
        entity=entity,
        migration_key=item["migration_key"],
        target_id=item["id"],
        values=values,
        version=str(item["version"]),
        modified_by=item["modified_by"],
        created_at=datetime.fromisoformat(item["created_at"]),
        modified_at=datetime.fromisoformat(item["modified_at"]),
    )


def rule(item: Mapping[str, Any]) -> AutomationRule:
    """A rule of the automation as the API shows it."""
    settings = {name: str(value) for name, value in item["settings"].items()}
    return AutomationRule(item["name"], item["label"], item["kind"], is_on=bool(item["enabled"]), settings=settings)


def outcomes(entity: str, shape: Shape, response: httpx.Response, sent: Mapping[str, object]) -> list[RowResult]:
    """One result a row sent, by key. No, two or unreadable answers for a key leave its row UNKNOWN."""
    answers: dict[str, list[RowResult]] = {key: [] for key in sent}
    try:
        items = orjson.loads(response.content)["outcomes"]
    except (ValueError, KeyError, TypeError):
        items = []
    for item in items if isinstance(items, list) else []:
        result = _result(entity, shape, item)
        if result is not None and result.migration_key in answers:
            answers[result.migration_key].append(result)
    return [
        found[0] if len(found) == 1 else RowResult(key, RowStatus.UNKNOWN, message="no usable answer for this row")
        for key, found in answers.items()
    ]


def _result(entity: str, shape: Shape, item: Any) -> RowResult | None:
    try:
        status = _STATUSES[item["status"]]
        done = status in (RowStatus.CREATED, RowStatus.UPDATED, RowStatus.UNCHANGED)
        if done and not item["id"]:
            return None
        gone = status is RowStatus.DELETED
        reason = None if done or gone else _REASONS.get(item["reason"], Reason.REFUSED).value
        stored = _stored(entity, shape, item) if done else None
        return RowResult(item["migration_key"], status, item["id"], reason, item.get("message") or "", stored)
    except (ValueError, KeyError, TypeError):
        return None


def _stored(entity: str, shape: Shape, item: Any) -> TargetRecord | None:
    """The record in an answer; None if there is no usable one: it is then read."""
    try:
        found = record(entity, shape, item["record"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if found.target_id == item["id"] else None
