"""JSON values to column values and back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from rollout.testbed.entities import ENTITIES, Entity, Field, Kind, format_id, parse_id
from rollout.testbed.tables import DECIMAL_DIGITS, DECIMAL_PLACES

Json = str | int | float | bool | None
Stored = str | int | Decimal | bool | date | None

_INT4 = 2**31


class Reason(StrEnum):
    """Why the CRM did not do what was asked."""

    REQUIRED_MISSING = "required_missing"
    WRONG_TYPE = "wrong_type"
    TOO_LONG = "too_long"
    NOT_IN_PICKLIST = "not_in_picklist"
    UNKNOWN_FIELD = "unknown_field"
    READ_ONLY_FIELD = "read_only_field"
    UNKNOWN_OWNER = "unknown_owner"
    REFERENCE_MISSING = "reference_missing"
    NOT_FOUND = "not_found"
    KEY_EXISTS = "key_exists"
    VERSION_CHANGED = "version_changed"
    REFERENCED = "referenced"


SYSTEM_FIELDS = ("id", "migration_key", "version", "created_at", "modified_at", "modified_by")
"""Fields that the CRM itself keeps; `migration_key` is given beside the fields, not among them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row is refused, in words for its author."""

    reason: Reason
    message: str


class Refused(Exception):  # noqa: N818 - carries a Problem to the row it belongs to; never leaves the package
    """A value the CRM does not take."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(reason, message)


def read_fields(entity: Entity, fields: Mapping[str, Json]) -> dict[str, Stored]:
    """Column values of the fields named. Raises Refused at the first that will not do."""
    values: dict[str, Stored] = {}
    for name, raw in fields.items():
        field = entity.field(name)
        if field is None:
            reason = Reason.READ_ONLY_FIELD if name in SYSTEM_FIELDS else Reason.UNKNOWN_FIELD
            raise Refused(reason, f"字段 {name} 不存在或不可写 (no such writable field)")
        values[name] = read_value(field, raw)
        if field.required and values[name] is None:
            raise _missing(field)
    return values


def complete(entity: Entity, values: Mapping[str, Stored]) -> dict[str, Stored]:
    """Values of all fields of a new record. Raises Refused if a required one is missing."""
    for field in entity.fields:
        if field.required and values.get(field.name) is None:
            raise _missing(field)
    return {field.name: values.get(field.name) for field in entity.fields}


def read_value(field: Field, raw: Json) -> Stored:
    """One JSON value as the column's. Text is trimmed; an empty text is no value."""
    if isinstance(raw, str):
        raw = raw.strip()
        if not raw.isprintable():
            _check_characters(field, raw)
    if raw is None or raw == "":
        return None
    return _READERS.get(field.kind, _read_text)(field, raw)


def write_value(field: Field, value: Stored) -> Json:
    """A column's value as JSON. Decimals are strings, so that no digit is lost on the way."""
    if value is None or isinstance(value, str):  # most are
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):  # before date: every datetime is one
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if field.references and isinstance(value, int):
        return format_id(ENTITIES[field.references], value)
    return value


def no_such_reference(field: Field, value: object) -> Refused:
    """The refusal of a reference to nothing."""
    return Refused(Reason.REFERENCE_MISSING, f"{field.label} ({field.name}): no {field.references} '{value}'")


def no_such_owner(field: Field, value: object) -> Refused:
    """The refusal of a login that no active user has."""
    return Refused(Reason.UNKNOWN_OWNER, f"{field.label} ({field.name}): no active user '{value}'")


def _missing(field: Field) -> Refused:
    return Refused(Reason.REQUIRED_MISSING, f"{field.label} ({field.name}) must have a value")


def _wrong_type(field: Field, expected: str) -> Refused:
    return Refused(Reason.WRONG_TYPE, f"{field.label} ({field.name}) must be {expected}")


def _check_characters(field: Field, text: str) -> None:
    """Refuse what PostgreSQL cannot keep: NUL and halves of surrogate pairs."""
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise _wrong_type(field, "text without NUL or broken characters")


def _read_text(field: Field, raw: Json) -> str:
    if not isinstance(raw, str):
        raise _wrong_type(field, "text")
    if field.picklist and raw not in field.picklist:
        raise Refused(Reason.NOT_IN_PICKLIST, f"{field.label} ({field.name}) must be one of {'|'.join(field.picklist)}")
    if field.max_length is not None and len(raw) > field.max_length:
        raise Refused(Reason.TOO_LONG, f"{field.label} ({field.name}) has more than {field.max_length} characters")
    if field.kind is Kind.EMAIL and not all(raw.partition("@")):
        raise _wrong_type(field, "an e-mail address")
    return raw


def _read_boolean(field: Field, raw: Json) -> bool:
    if not isinstance(raw, bool):
        raise _wrong_type(field, "true or false")
    return raw


def _read_integer(field: Field, raw: Json) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise _wrong_type(field, "an integer")
    if not -_INT4 <= raw < _INT4:
        raise Refused(Reason.TOO_LONG, f"{field.label} ({field.name}) is out of range")
    return raw


def _read_reference(field: Field, raw: Json) -> int:
    number = parse_id(ENTITIES[field.references or ""], raw) if isinstance(raw, str) else None
    if number is None:
        raise no_such_reference(field, raw)
    return number


def _read_decimal(field: Field, raw: Json) -> Decimal:
    if isinstance(raw, bool):
        raise _wrong_type(field, "a decimal number")
    try:
        number = Decimal(str(raw))
    except InvalidOperation:
        raise _wrong_type(field, "a decimal number") from None
    if not number.is_finite():
        raise _wrong_type(field, "a decimal number")
    exponent = number.normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 0
    if places > DECIMAL_PLACES or number.adjusted() >= DECIMAL_DIGITS - DECIMAL_PLACES:
        raise Refused(Reason.TOO_LONG, f"{field.label} ({field.name}) has more digits than it can hold")
    return number


def _read_date(field: Field, raw: Json) -> date:
    try:
        parsed = date.fromisoformat(raw) if isinstance(raw, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != raw:
        raise _wrong_type(field, "a date YYYY-MM-DD")
    return parsed


def _read_datetime(field: Field, raw: Json) -> datetime:
    """An instant; fractions of a second are cut off."""
    try:
        parsed = datetime.fromisoformat(raw) if isinstance(raw, str) else None
        if parsed is not None and parsed.tzinfo is not None:
            return parsed.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        pass
    raise _wrong_type(field, "an instant with time zone, such as 2026-01-31T08:00:00Z")


_READERS: dict[Kind, Callable[[Field, Json], Stored]] = {
    Kind.BOOLEAN: _read_boolean,
    Kind.INTEGER: _read_integer,
    Kind.DECIMAL: _read_decimal,
    Kind.DATE: _read_date,
    Kind.DATETIME: _read_datetime,
    Kind.REFERENCE: _read_reference,
}
