"""Sources and mappings as declared: where rows come from, and which column becomes which field."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rollout.model.base import Frozen

RESERVED_COLUMNS = ("_key", "_source_key", "_source", "_file", "_sheet", "_line", "_repeats")
"""Columns that reading adds to a source's own; no source may have one of that name."""


class SourceSpec(Frozen):
    """One source of an entity: files by glob, a sheet, or an SQL query."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Unique within the project.")
    system: str = Field(description="A key of `systems`; its connector reads the rows.")
    path: str | None = Field(default=None, description="Glob relative to the system's root, for files.")
    query: str | None = Field(default=None, description="SELECT statement, for SQL systems.")
    format: Literal["auto", "csv", "xlsx", "xls"] = "auto"
    encoding: str = Field(default="auto", description="auto: detected and stated in a finding.")
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    sheet: str | None = Field(default=None, description="Sheet name or glob; None: every sheet with the columns.")
    header_rows: int = Field(default=1, ge=1, le=5, description="Header lines; several are joined with '/'.")
    skip_rows: int = Field(default=0, ge=0, description="Title lines before the header.")
    row_key: tuple[str, ...] = Field(min_length=1, description="Columns that identify a row.")
    mapping: str = Field(description="Mapping file, relative to the project.")
    priority: int = Field(default=1, ge=1, description="1 wins over 2 where sources disagree.")
    repeats: Literal["apart", "same"] = Field(
        default="apart",
        description="Rows that repeat a row key. apart: records of their own, with a warning; same: the same record "
        "once more, as where each row of a sheet holds a customer, a contact and an order line.",
    )
    time_zone: str | None = Field(default=None, description="Of instants in this source; default: the project's.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.query is None):
            raise ValueError("a source has either a path or a query")
        return self


class OnError(StrEnum):
    """What happens to a row whose value cannot be transformed."""

    REJECT = "reject"
    """The row goes to quarantine with the reason."""
    NULL = "null"
    """The value is dropped, with a finding."""
    DEFAULT = "default"
    """The rule's `default` takes its place, with a finding."""


class TransformStep(Frozen):
    """A named transform of the registry, with its arguments."""

    name: str
    args: dict[str, Any] = Field(default_factory=dict)


class MappingRule(Frozen):
    """How one field of the entity gets its value: from a column, a constant, or a look-up of another entity."""

    target: str = Field(description="Field of the entity.")
    source: str | tuple[str, ...] | None = Field(default=None, description="Column; of several the first with a value.")
    const: str | None = None
    lookup: str | None = Field(default=None, description="Entity whose row key the column holds.")
    transform: tuple[TransformStep, ...] = Field(
        default=(), description="Applied in order, after the field type's own normaliser has been found by type."
    )
    required: bool = Field(default=False, description="An empty value counts as an error here.")
    on_error: OnError = OnError.REJECT
    default: str | None = None
    optional: bool = Field(
        default=False, description="Files may lack the column: regions keep lists of their own. Then it holds nothing."
    )
    note: str = ""
    confirmed_by: str = ""
    confirmed_on: date | None = Field(default=None, description="The day on which that person confirmed this line.")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        """`transform: phone`, `transform: [text, {value_map: {file: x.csv}}]` become steps."""
        if isinstance(data, dict) and "transform" in data:
            raw = data["transform"]
            steps = raw if isinstance(raw, list | tuple) else [raw]
            data = {**data, "transform": [_step(step) for step in steps]}
        return data

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.source is None) == (self.const is None):
            raise ValueError(f"field '{self.target}' needs either a source or a const")
        if self.lookup and self.source is None:
            raise ValueError(f"field '{self.target}': a lookup needs a source column")
        if self.on_error is OnError.DEFAULT and self.default is None:
            raise ValueError(f"field '{self.target}': on_error: default needs a default")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Source columns this rule reads."""
        if self.source is None:
            return ()
        return (self.source,) if isinstance(self.source, str) else self.source


def _step(raw: Any) -> Any:
    if isinstance(raw, str):
        return {"name": raw}
    if isinstance(raw, dict) and len(raw) == 1 and "name" not in raw:
        name, args = next(iter(raw.items()))
        return {"name": name, "args": args if isinstance(args, dict) else {"value": args}}
    return raw


class MappingSpec(Frozen):
    """A mapping file: one entity, one source."""

    entity: str
    source: str
    fields: tuple[MappingRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_rule_a_field(self) -> Self:
        targets = [rule.target for rule in self.fields]
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise ValueError(f"mapped more than once: {', '.join(twice)}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Every source column the mapping reads, in order, each once."""
        return tuple(dict.fromkeys(column for rule in self.fields for column in rule.columns))

    def lacking(self, columns: Collection[str]) -> list[str]:
        """What a file with these columns lacks: of the columns that one rule reads it needs one, unless optional."""
        lacking = (
            " or ".join(rule.columns)
            for rule in self.fields
            if rule.columns and not rule.optional and not set(rule.columns) & set(columns)
        )
        return list(dict.fromkeys(lacking))
