"""A mapping rule as cells of a sheet, and cells back as what a mapping file says. Pure.

A cell is the text that a person reads and edits; the other way about only cells that changed are looked at, so that
what nobody touched stays as it is written in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import yaml

from rollout.model.entity import FieldSpec, FieldType

EDITABLE = (
    *("source_columns", "const", "lookup", "transform", "date_format", "required", "on_error", "default"),
    *("optional", "note", "confirmed_by", "confirmed_on"),
)
"""Cells of a rule that people may change."""
BETWEEN = " | "
"""Between columns of which the first with a value is taken."""
_DATED = {FieldType.DATE: "date", FieldType.DATETIME: "datetime"}
_KEYS = {"source_columns": "source"}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class CellError(ValueError):
    """A cell that says nothing a mapping could mean; the message tells what and how to write it."""


def cells_of(rule: Mapping[str, Any] | None) -> dict[str, str]:
    """The cells of a rule as a mapping file has it; yes/no and on_error as they are written there. None: no rule."""
    rule = rule or {}
    source = rule.get("source")
    return {
        "source_columns": BETWEEN.join(source) if isinstance(source, list) else _text(source),
        "const": _text(rule.get("const")),
        "lookup": _text(rule.get("lookup")),
        "transform": transform_text(rule.get("transform")),
        "date_format": date_format(rule.get("transform")) or "",
        "required": "yes" if rule.get("required") is True else "no" if rule else "",
        "on_error": _text(rule.get("on_error") or ("reject" if rule else "")),
        "default": _text(rule.get("default")),
        "optional": "yes" if rule.get("optional") is True else "no" if rule else "",
        "note": _text(rule.get("note")),
        "confirmed_by": _text(rule.get("confirmed_by")),
        "confirmed_on": _text(rule.get("confirmed_on")),
    }


def changes_of(
    rule: Mapping[str, Any] | None, changed: Mapping[str, str], field: FieldSpec, parse: Callable[[str], Any]
) -> dict[str, Any]:
    """What changed cells mean for a rule: key of the mapping file → new value, None takes the key out.

    Args:
        rule: As the file has it; None: there is none yet.
        changed: Cells that differ from `cells_of`, as they came back.
        field: The field that the rule fills.
        parse: Reads YAML text; raises CellError.

    Raises:
        CellError: A cell cannot be understood.
    """
    values = {
        _KEYS.get(name, name): _meant(name, cell, rule or {}, parse)
        for name, cell in changed.items()
        if name != "date_format"
    }
    if "date_format" in changed:
        transform = values["transform"] if "transform" in values else (rule or {}).get("transform")
        values["transform"] = with_date_format(transform, changed["date_format"], field)
    return values


def _meant(name: str, cell: str, rule: Mapping[str, Any], parse: Callable[[str], Any]) -> Any:
    """What one changed cell means for its key; None takes the key out."""
    match name:
        case "source_columns":
            columns = [part.strip() for part in cell.split(BETWEEN.strip()) if part.strip()]
            return columns if len(columns) > 1 else next(iter(columns), None)
        case "required" | "optional":
            return True if _yes(cell) else None
        case "on_error":
            if cell not in ("reject", "null", "default", ""):
                raise CellError("write reject, null or default")
            return cell if cell not in ("reject", "") or name in rule else None
        case "transform":
            return _steps(parse(cell)) if cell else None
        case "confirmed_on":
            return _day(cell) if cell else None
        case _:
            return cell or None


def transform_text(transform: Any) -> str:
    """A rule's transforms in one line of YAML."""
    if transform is None or isinstance(transform, str):
        return _text(transform)
    told = yaml.safe_dump(transform, default_flow_style=True, allow_unicode=True, width=100_000, sort_keys=False)
    return str(told).strip()


def date_format(transform: Any) -> str | None:
    """The confirmed format in a rule's transforms."""
    for step in transform if isinstance(transform, list) else [transform]:
        if isinstance(step, Mapping):
            name, args = _named(step)
            if name in _DATED.values():
                found = args.get("format", args.get("value"))
                return str(found) if found else None
    return None


def with_date_format(transform: Any, pattern: str, field: FieldSpec) -> Any:
    """A rule's transforms with another confirmed date format; "" takes it out.

    Raises:
        CellError: The field holds no dates.
    """
    name = _DATED.get(field.type)
    if name is None:
        raise CellError("only date fields have a date format")
    steps = list(transform) if isinstance(transform, list) else [] if transform is None else [transform]
    places = [place for place, step in enumerate(steps) if _is_step(step, name)]
    step: Any = {name: {"format": pattern}} if pattern else name
    if places:
        steps[places[-1]] = step
    else:
        steps.append(step)
    return steps[0] if len(steps) == 1 else steps


def _is_step(step: Any, name: str) -> bool:
    return step == name or (isinstance(step, Mapping) and _named(step)[0] == name)


def _named(step: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and arguments of a step in any of the ways in which mappings write one."""
    name, args = (step["name"], step.get("args", {})) if "name" in step else next(iter(step.items()))
    return str(name), args if isinstance(args, Mapping) else {"value": args}


def _steps(plain: Any) -> Any:
    kinds = (str, Mapping)
    if not isinstance(plain, (*kinds, list)) or (
        isinstance(plain, list) and not all(isinstance(x, kinds) for x in plain)
    ):
        raise CellError("write a transform's name, or several as [text, {value_map: {file: …}}]")
    return plain


def _yes(cell: str) -> bool:
    if cell not in ("yes", "no", ""):
        raise CellError("write yes or no")
    return cell == "yes"


def _day(cell: str) -> str:
    text = cell.replace("/", "-")
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise CellError("write a date as 2026-03-01")


def _text(value: Any) -> str:
    return "" if value is None else str(value)
