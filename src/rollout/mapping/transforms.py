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

from pydantic import ValidationError

from rollout.errors import ConfigError
from rollout.mapping.gbt4754 import IndustryArgs, gbt4754
from rollout.mapping.spec import TransformStep
from rollout.mapping.transforms_base import (
    Coded,
    Transform,
    TransformContext,
    Transformed,
    nulls,
    then,
    to_arrow,
    to_series,
)
from rollout.mapping.transforms_codes import PhoneArgs, email, phone, uscc
from rollout.mapping.transforms_maps import CodeMapArgs, ValueMapArgs, code_map, owner, value_map
from rollout.mapping.transforms_text import TextArgs, company_match_key, company_name, text, tidy, upper
from rollout.mapping.transforms_values import DateArgs, NumberArgs, boolean, date_, datetime_, decimal, integer
from rollout.model.base import Frozen
from rollout.model.entity import FieldType

if TYPE_CHECKING:
    import pandas as pd


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
    Transform("code_map", "customer number by the code of a group company", code_map, CodeMapArgs),
    Transform("gbt4754", "industry class of GB/T 4754-2017", gbt4754, IndustryArgs),
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


def code_map_files(steps: Iterable[TransformStep]) -> tuple[str, ...]:
    """Files that the `code_map` steps of a chain name."""
    return tuple(args.file for step in steps if isinstance(args := _compile(step, "").args, CodeMapArgs))


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
