"""The checks of row rules: which rows of a mapped chunk break one. Pure, over Arrow columns of canonical text.

A rule judges only what it can: a row that lacks a value which `order`, `range` or `pattern` compares keeps to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rollout.cleanse.spec import RowRule
from rollout.errors import ConfigError
from rollout.model.entity import FieldSpec, FieldType

_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL})
_DATES = frozenset({FieldType.DATE, FieldType.DATETIME})

_OF_DAYS = frozenset({"order", "range"})
CODES: Mapping[str, str] = MappingProxyType(
    {
        "order": "rule_order",
        "range": "rule_range",
        "pattern": "rule_pattern",
        "any_of": "rule_any_of",
        "required_if": "rule_required_if",
    }
)
"""Check → the reason code of a row that breaks it."""
REFUSED = "rule_refused"
"""The reason code of a row that a rule refuses for good."""

Columns = Mapping[str, Any]
"""By field its column."""


def broken(rule: RowRule, columns: Columns, fields: Mapping[str, FieldSpec], *, time_zone: str) -> Any:
    """Which rows break a rule: a boolean array without nulls.

    Args:
        rule: Checked by :func:`refuse_unfit`.
        columns: By field its canonical values.
        fields: The entity's.
        time_zone: In which an instant has its day, where days are compared.
    """
    if rule.check in _OF_DAYS and _compares_days(rule, fields):
        columns = {name: _days(values, fields[name], time_zone) for name, values in columns.items()}
    return pc.fill_null(_CHECKS[rule.check](rule, columns, fields), False)


def refuse_unfit(rule: RowRule, fields: Mapping[str, FieldSpec], *, where: str) -> None:
    """Refuse a rule that cannot be judged over these fields.

    Raises:
        ConfigError: It names no field of the entity, a reference, or fields or bounds that cannot be compared.
    """
    unknown = [name for name in rule.named if name not in fields]
    if unknown:
        raise ConfigError(f"rule '{rule.name}' names what is no field: {', '.join(unknown)}", where=where)
    if any(fields[name].references for name in rule.named):
        raise ConfigError(
            f"rule '{rule.name}' names a reference", where=where, hint="references are judged by what they lead to"
        )
    if rule.check in {"order", "range"}:
        kinds = [_kind(fields[name]) for name in rule.fields]
        if None in kinds or len(set(kinds)) > 1:
            told = f"rule '{rule.name}' compares fields that have no common order"
            raise ConfigError(told, where=where, hint="name numbers, or dates")
        for bound in (rule.min, rule.max):
            _bound(rule, bound, kinds[0], where=where)


def _kind(spec: FieldSpec) -> str | None:
    return "number" if spec.type in _NUMBERS else "date" if spec.type in _DATES else None


def _bound(rule: RowRule, bound: str | None, kind: str | None, *, where: str) -> None:
    if bound is None or kind != "number":
        return
    try:
        _numbers(pa.array([bound]))
    except pa.ArrowInvalid as error:
        raise ConfigError(f"rule '{rule.name}': '{bound}' is no number", where=where) from error


def _numbers(values: Any) -> Any:
    return pc.cast(values, pa.float64())


def _compares_days(rule: RowRule, fields: Mapping[str, FieldSpec]) -> bool:
    """Whether a date stands beside an instant, or a bound is a day: then of instants the day alone counts."""
    if rule.check == "range":
        return all(bound is None or len(bound) == len("2000-01-01") for bound in (rule.min, rule.max))
    return any(fields[name].type is FieldType.DATE for name in rule.fields)


def _days(values: Any, spec: FieldSpec, time_zone: str) -> Any:
    """The days of instants where the company is; other values as they are."""
    if spec.type is not FieldType.DATETIME:
        return values
    instants = pc.assume_timezone(pc.strptime(values, format="%Y-%m-%dT%H:%M:%SZ", unit="s"), "UTC")
    local = pc.local_timestamp(pc.cast(instants, pa.timestamp("s", time_zone)))
    return pc.strftime(local, format="%Y-%m-%d")


def _comparable(values: Any, spec: FieldSpec) -> Any:
    """Numbers as such, dates as text that sorts."""
    return _numbers(values) if spec.type in _NUMBERS else values


def _order(rule: RowRule, columns: Columns, fields: Mapping[str, FieldSpec]) -> Any:
    first, second = (_comparable(columns[name], fields[name]) for name in rule.fields)
    return pc.greater(first, second)


def _range(rule: RowRule, columns: Columns, fields: Mapping[str, FieldSpec]) -> Any:
    (name,) = rule.fields
    values = _comparable(columns[name], fields[name])

    def bound(text: str) -> Any:
        return _comparable(pa.array([text]), fields[name])[0]

    outside = pa.repeat(pa.scalar(False), len(values))
    if rule.min is not None:
        outside = pc.or_kleene(outside, pc.less(values, bound(rule.min)))
    if rule.max is not None:
        outside = pc.or_kleene(outside, pc.greater(values, bound(rule.max)))
    return outside


def _pattern(rule: RowRule, columns: Columns, fields: Mapping[str, FieldSpec]) -> Any:  # noqa: ARG001 - one shape
    return pc.invert(pc.match_substring_regex(columns[rule.fields[0]], pattern=f"^(?:{rule.pattern})$"))


def _any_of(rule: RowRule, columns: Columns, fields: Mapping[str, FieldSpec]) -> Any:  # noqa: ARG001 - one shape
    missing = pc.is_null(columns[rule.fields[0]])
    for name in rule.fields[1:]:
        missing = pc.and_(missing, pc.is_null(columns[name]))
    return missing


def _required_if(rule: RowRule, columns: Columns, fields: Mapping[str, FieldSpec]) -> Any:  # noqa: ARG001 - one shape
    missing = pc.is_null(columns[rule.fields[0]])
    for name, values in rule.when.items():
        missing = pc.and_(missing, pc.is_in(columns[name], value_set=pa.array(values, pa.string())))
    return missing


_CHECKS: Mapping[str, Callable[[RowRule, Columns, Mapping[str, FieldSpec]], Any]] = MappingProxyType(
    {
        "order": _order,
        "range": _range,
        "pattern": _pattern,
        "any_of": _any_of,
        "required_if": _required_if,
    }
)
