"""A mapping made ready to run: names looked up, arguments validated, defaults in canonical form. All errors at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rollout.cleanse.row_rules import refuse_unfit
from rollout.cleanse.spec import RowRule
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


def compile_rules(
    rules: Sequence[RowRule], fields: Mapping[str, FieldSpec], context: TransformContext, *, where: str
) -> tuple[RowRule, ...]:
    """Row rules with their defaults in canonical text.

    Raises:
        ConfigError: A rule names what is no field, cannot be judged over its fields, or has a default that is no value.
    """
    done = []
    for rule in rules:
        refuse_unfit(rule, fields, where=where)
        if rule.default is not None:
            value = _canonical(rule.default, fields[rule.acts_on], context, where=f"{where}, rule '{rule.name}'")
            rule = rule.model_copy(update={"default": value})  # noqa: PLW2901 - the same rule, its default made ready
        done.append(rule)
    return tuple(done)


def _default(rule: MappingRule, spec: FieldSpec, context: TransformContext) -> str | None:
    """The default as the field's own normaliser writes it; it does not go through the rule's transforms."""
    if rule.on_error is not OnError.DEFAULT or rule.default is None:
        return None
    if spec.type is FieldType.REFERENCE:
        raise ConfigError("a reference has no default", where=f"field '{rule.target}'", hint="use reject or null")
    return _canonical(rule.default, spec, context, where=f"field '{rule.target}'")


def _canonical(default: str, spec: FieldSpec, context: TransformContext, *, where: str) -> str:
    coded = run_steps(pa.array([default]), compile_steps((), spec.type), context)
    value: str | None = coded.values[0].as_py()
    too_long = value is not None and spec.max_length is not None and len(value) > spec.max_length
    if value is None or too_long or (spec.picklist and value not in spec.picklist):
        raise ConfigError(
            f"the default '{default}' is no value of a {spec.type.value} field",
            where=where,
            hint=f"use one of: {', '.join(spec.picklist)}" if spec.picklist else "correct the default",
        )
    return value
