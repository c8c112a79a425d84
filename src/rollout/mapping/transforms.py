"""The registry of named transforms, and how a chain of them runs over a column. Pure; no eval.

Every chain starts with `tidy` (width, white space, control characters, placeholders) and ends with the normaliser of
the field's type, so that whatever a mapping names, the stage holds canonical text. A rule that names no transform gets
just those two.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, model_validator

from rollout.errors import ConfigError
from rollout.mapping.spec import TransformStep
from rollout.mapping.transforms_base import (
    Coded,
    Transform,
    TransformContext,
    Transformed,
    by_scalar,
    nulls,
    then,
    to_arrow,
    to_series,
)
from rollout.mapping.transforms_codes import PhoneArgs, email, phone, uscc
from rollout.mapping.transforms_text import (
    TextArgs,
    company_match_key,
    company_name,
    lookup_key,
    one_line,
    text,
    tidy,
    upper,
)
from rollout.mapping.transforms_values import DateArgs, NumberArgs, boolean, date_, datetime_, decimal, integer
from rollout.model.base import Frozen
from rollout.model.entity import FieldType

if TYPE_CHECKING:
    import pandas as pd


class ValueMapArgs(Frozen):
    """Arguments of `value_map`."""

    file: str | None = Field(default=None, description="CSV with the columns raw, value; relative to the project.")
    table: dict[str, str] = Field(default_factory=dict, description="The map itself, for a handful of values.")
    unmapped: str = Field(
        default="problem",
        pattern="^(problem|keep)$",
        description="What a value outside the map is: a problem, or kept.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        """`value_map: x.csv` names the file."""
        if isinstance(data, dict) and set(data) == {"value"} and isinstance(data["value"], str):
            return {"file": data["value"]}
        return data

    @model_validator(mode="after")
    def _one_place(self) -> ValueMapArgs:
        if (self.file is None) == (not self.table):
            raise ValueError("a value map has either a file or a table")
        return self


def value_map(values: Any, args: ValueMapArgs, context: TransformContext) -> Coded:
    """Values by a table; a value outside it is a problem unless it is to be kept."""
    if args.file is not None and args.file not in context.value_maps:
        raise ConfigError(f"value map '{args.file}' was not loaded", hint="check that the file exists and is readable")
    table: Mapping[str, str] = (
        context.value_maps[args.file]
        if args.file is not None
        else {lookup_key(raw): value for raw, value in args.table.items()}
    )
    # A value that is already a result of the map stays: cleansing twice changes nothing.
    results = set(table.values())

    def mapped(cell: str) -> tuple[str | None, str | None]:
        value = table.get(lookup_key(cell))
        if value is not None:
            return value, None
        return (cell, None) if cell in results or args.unmapped == "keep" else (None, "value_unmapped")

    return by_scalar(one_line(values), mapped)


def owner(values: Any, _: Frozen, context: TransformContext) -> Coded:
    """Users of the target by their legacy name."""
    users = set(context.owner_map.values())

    def mapped(cell: str) -> tuple[str | None, str | None]:
        user = context.owner_map.get(lookup_key(cell)) or (cell if cell in users else None)
        if user is not None:
            return user, None
        return (context.owner_default, "owner_defaulted") if context.owner_default else (None, "owner_unknown")

    return by_scalar(one_line(values), mapped)


_ALL = (
    Transform("text", "width folded, white space collapsed, control characters removed", text, TextArgs),
    Transform("upper", "upper case", upper),
    Transform("company_name", "brackets and spaces of company names made uniform", company_name),
    Transform("company_match_key", "what spellings of one company have in common; for matching", company_match_key),
    Transform("phone", "E.164, extension after ;ext=", phone, PhoneArgs),
    Transform("email", "address with its domain in lower case", email),
    Transform("uscc", "unified social credit code with a right check digit", uscc),
    Transform("date", "YYYY-MM-DD", date_, DateArgs),
    Transform("datetime", "YYYY-MM-DDTHH:MM:SSZ", datetime_, DateArgs),
    Transform("integer", "whole number", integer, NumberArgs),
    Transform("decimal", "decimal number", decimal, NumberArgs),
    Transform("boolean", "true or false", boolean),
    Transform("value_map", "values by a table", value_map, ValueMapArgs),
    Transform("owner", "user of the target by legacy name", owner),
)

TRANSFORMS: Mapping[str, Transform] = MappingProxyType({transform.name: transform for transform in _ALL})
"""Every transform by the name that mappings use."""

DEFAULT_TRANSFORM: Mapping[FieldType, str] = MappingProxyType(
    {
        FieldType.TEXT: "text",
        FieldType.INTEGER: "integer",
        FieldType.DECIMAL: "decimal",
        FieldType.BOOLEAN: "boolean",
        FieldType.DATE: "date",
        FieldType.DATETIME: "datetime",
        FieldType.PHONE: "phone",
        FieldType.EMAIL: "email",
        FieldType.USCC: "uscc",
        FieldType.PICKLIST: "text",
        FieldType.REFERENCE: "text",
    }
)
"""The normaliser of each field type: what makes canonical text of its values."""


_PROBE_ROWS, _FEW_VALUES = 1_000, 100
"""A column whose first rows hold so few distinct values is worth a look for more of the same."""


@dataclass(frozen=True)
class Step:
    """A transform with its validated arguments."""

    transform: Transform
    args: Frozen


def compile_steps(
    steps: Sequence[TransformStep], field_type: FieldType | None = None, *, where: str = ""
) -> tuple[Step, ...]:
    """Look up and validate a chain; with a field type, its normaliser is put last unless it is there already.

    Raises:
        ConfigError: A name the registry lacks, or arguments that its model refuses; ``where`` is passed on.
    """
    compiled = [_compile(step, where) for step in steps]
    if field_type is not None and (not compiled or compiled[-1].transform.name != DEFAULT_TRANSFORM[field_type]):
        compiled.append(_compile(TransformStep(name=DEFAULT_TRANSFORM[field_type]), where))
    return tuple(compiled)


def _compile(step: TransformStep, where: str) -> Step:
    transform = TRANSFORMS.get(step.name)
    if transform is None:
        near = difflib.get_close_matches(step.name, TRANSFORMS, n=1)
        raise ConfigError(
            f"no transform is called '{step.name}'",
            where=where,
            hint=f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(sorted(TRANSFORMS))}",
        )
    try:
        return Step(transform, transform.args.model_validate(step.args))
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}" for item in error.errors())
        known = ", ".join(transform.args.model_fields) or "none"
        raise ConfigError(
            f"transform '{step.name}' refuses its arguments ({told})", where=where, hint=f"it takes: {known}"
        ) from None


def value_map_files(steps: Iterable[TransformStep]) -> tuple[str, ...]:
    """Files that the `value_map` steps of a chain name."""
    return tuple(
        args.file
        for step in steps
        if isinstance(args := _compile(step, "").args, ValueMapArgs) and args.file is not None
    )


def run_steps(column: Any, steps: Sequence[Step], context: TransformContext) -> Coded:
    """Run a chain over an Arrow text column; a column of few distinct values through these alone."""
    if len(column) > _PROBE_ROWS and len(column.slice(0, _PROBE_ROWS).unique()) <= _FEW_VALUES:
        encoded = column.dictionary_encode()
        if len(encoded.dictionary) * 10 <= len(column):
            coded = _chain(encoded.dictionary, steps, context)
            codes = None if coded.codes is None else coded.codes.take(encoded.indices)
            return Coded(coded.values.take(encoded.indices), codes)  # noqa: PD011 - an Arrow array
    return _chain(column, steps, context)


def _chain(column: Any, steps: Sequence[Step], context: TransformContext) -> Coded:
    coded = tidy(column, context)
    for step in steps:
        coded = then(coded, step.transform.column(coded.values, step.args, context))
    return coded


def transform_series(
    values: pd.Series[Any],
    steps: Sequence[Step],
    context: TransformContext = TransformContext(),  # noqa: B008 - frozen
) -> Transformed:
    """Run a chain over a pandas column of text.

    Args:
        values: Text, any index; null is "no value".
        steps: From `compile_steps`.
        context: Regions, placeholders and loaded maps.

    Returns:
        Values and reason codes over the same index, Arrow-backed. Input is not changed.
    """
    coded = run_steps(to_arrow(values), steps, context)
    codes = nulls(len(values)) if coded.codes is None else coded.codes
    return Transformed(to_series(coded.values, values.index, values.name), to_series(codes, values.index, values.name))


def normalise(
    values: pd.Series[Any],
    field_type: FieldType,
    context: TransformContext = TransformContext(),  # noqa: B008 - frozen
) -> Transformed:
    """Canonical text of a field type: what a mapping without transforms gives."""
    return transform_series(values, compile_steps((), field_type), context)
