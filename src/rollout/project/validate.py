"""A document against its model: pydantic's errors become findings with file and line, all at once."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rollout.model.finding import Finding
from rollout.project.yamlfile import Document, Place

Model = TypeVar("Model", bound=BaseModel)


def validate(document: Document, model: type[Model]) -> tuple[Model | None, list[Finding]]:
    """The document as a model, or None and what is wrong with it."""
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        findings: dict[tuple[Place, str], Finding] = {}
        for item in error.errors(include_url=False, include_context=False):
            finding = _finding(document, model, item["type"], item["loc"], item["msg"], item["input"])
            # A value that fits no member of a union fails once a member; the first says enough.
            findings.setdefault((document.known(item["loc"]), finding.id + _missing_key(item)), finding)
        return None, list(findings.values())


def _missing_key(item: Any) -> str:
    return str(item["loc"][-1]) if item["type"] == "missing" else ""


def _finding(document: Document, model: type[BaseModel], kind: str, loc: Place, message: str, value: Any) -> Finding:
    place = document.known(loc)
    shown = ".".join(map(str, place)) or "the file"
    if kind == "extra_forbidden":
        key = str(loc[-1])
        near = difflib.get_close_matches(key, _keys(model), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "remove it, or correct its indentation"
        return document.error("project.unknown_key", f"unknown key '{'.'.join(map(str, loc))}'", place, hint=hint)
    if kind == "missing":
        around = ".".join(map(str, loc[:-1])) or "the file"
        hint = f"add `{loc[-1]}:`"
        return document.error("project.missing_key", f"{around} lacks the key '{loc[-1]}'", place, hint=hint)
    text = message.removeprefix("Value error, ")
    return document.error("project.invalid_value", f"{shown}: {text}", place, hint=_hint(kind, value))


def _hint(kind: str, value: Any) -> str:
    if kind in {"string_type", "enum", "literal_error"} and (value is None or isinstance(value, bool | int | float)):
        return "YAML reads this as a number, yes/no or nothing; put it in quotes if it is text"
    return ""


@cache
def _keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Every key that may stand somewhere in such a file."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return tuple(sorted({key for part in parts for key in part.get("properties", {})}))
