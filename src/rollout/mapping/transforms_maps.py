"""Values by tables that people keep: value maps, the owner map, and the customer codes of group companies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from rollout.errors import ConfigError
from rollout.mapping.transforms_base import Coded, TransformContext, by_scalar
from rollout.mapping.transforms_text import lookup_key, one_line
from rollout.model.base import Frozen


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
    """Users of the target by their legacy name; the pool's user, or nobody, where the map says so."""
    pool = lookup_key(context.owner_pool)
    users = {user for user in context.owner_map.values() if lookup_key(user) != pool}
    pooled = (context.owner_pool_user, None if context.owner_pool_user else "owner_pool")

    def mapped(cell: str) -> tuple[str | None, str | None]:
        key = lookup_key(cell)
        user = context.owner_map.get(key) or (cell if cell in users else None)
        if lookup_key(user or cell) == pool or (user is None and cell == context.owner_pool_user):
            return pooled
        if user is not None:
            return user, None
        return (context.owner_default, "owner_defaulted") if context.owner_default else (None, "owner_unknown")

    return by_scalar(one_line(values), mapped)


class CodeMapArgs(Frozen):
    """Arguments of `code_map`."""

    file: str = Field(description="CSV with the columns company, code, customer; relative to the project.")
    company: str = Field(min_length=1, description="The group company whose codes the column holds.")


CodeMap = Mapping[str, Mapping[str, str]]
"""By company its codes and the customer that each stands for; all keys folded by `lookup_key`."""


def code_map(values: Any, args: CodeMapArgs, context: TransformContext) -> Coded:
    """Customer numbers by the codes that one group company has for them; several codes may be one customer."""
    if args.file not in context.code_maps:
        raise ConfigError(f"code map '{args.file}' was not loaded", hint="check that the file exists and is readable")
    table = context.code_maps[args.file].get(lookup_key(args.company), {})
    if not table:
        raise ConfigError(
            f"code map '{args.file}' has no line of company '{args.company}'", hint="correct the company's name"
        )
    # A customer may be written as such, by who repairs a row; not where that is a code, of whatever company.
    coded = {code for codes in context.code_maps[args.file].values() for code in codes}
    customers = {customer for customer in table.values() if lookup_key(customer) not in coded}

    def mapped(cell: str) -> tuple[str | None, str | None]:
        found = table.get(lookup_key(cell)) or (cell if cell in customers else None)
        return (found, None) if found else (None, "code_unmapped")

    return by_scalar(one_line(values), mapped)
