"""A mapping made ready to run: names looked up, arguments validated, defaults in canonical form. All errors at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from rollout.errors import ConfigError
from rollout.mapping.spec import MappingRule, MappingSpec, OnError
from rollout.mapping.transforms import Step, compile_steps, run_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.model.entity import FieldSpec, FieldType


@dataclass(frozen=True)
class FieldPlan:
    """How one field of the entity is filled and checked."""

    name: str
    spec: FieldSpec
    rule: MappingRule | None
    """None: nothing is mapped to the field."""
    steps: tuple[Step, ...] = ()
    default: str | None = None
    """The rule's default in canonical text."""


def compile_mapping(
    mapping: MappingSpec, fields: Mapping[str, FieldSpec], context: TransformContext
) -> tuple[FieldPlan, ...]:
    """One plan a field, in the entity's order.

    Raises:
        ConfigError: Lists everything that cannot work: unknown fields, transforms or arguments, and constants or
            defaults that are no values of their field.
    """
    rules = {rule.target: rule for rule in mapping.fields}
    problems = [f"field '{name}' is not a field of {mapping.entity}" for name in rules if name not in fields]
    plans = []
    for name, spec in fields.items():
        rule = rules.get(name)
        if rule is None:
            plans.append(FieldPlan(name, spec, None))
            continue
        try:
            steps = compile_steps(rule.transform, spec.type, where=f"field '{name}'")
            default = _default(rule, spec, context)
            plans.append(FieldPlan(name, spec, rule, steps, default))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(
            "; ".join(problems),
            where=f"mapping of {mapping.entity} from {mapping.source}",
            hint="run `rollout check` for file and line",
        )
    return tuple(plans)


def _default(rule: MappingRule, spec: FieldSpec, context: TransformContext) -> str | None:
    """The default as the field's own normaliser writes it; it does not go through the rule's transforms."""
    if rule.on_error is not OnError.DEFAULT or rule.default is None:
        return None
    if spec.type is FieldType.REFERENCE:
        raise ConfigError("a reference has no default", where=f"field '{rule.target}'", hint="use reject or null")
    coded = run_steps(pa.array([rule.default]), compile_steps((), spec.type), context)
    value: str | None = coded.values[0].as_py()
    too_long = value is not None and spec.max_length is not None and len(value) > spec.max_length
    if value is None or too_long or (spec.picklist and value not in spec.picklist):
        raise ConfigError(
            f"the default '{rule.default}' is no value of a {spec.type.value} field",
            where=f"field '{rule.target}'",
            hint=f"use one of: {', '.join(spec.picklist)}" if spec.picklist else "correct the default",
        )
    return value
