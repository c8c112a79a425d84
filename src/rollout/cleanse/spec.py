"""Rules over a whole row as `rollout.yaml` declares them: which check, over which fields, what a breach leads to."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from rollout.model.base import Frozen

Check = Literal["order", "range", "pattern", "any_of", "required_if"]
"""Names of the checks; `rollout.cleanse.row_rules` has what they do."""
_FIELDS: dict[str, tuple[int, int]] = {
    "order": (2, 2),
    "range": (1, 1),
    "pattern": (1, 1),
    "any_of": (2, 20),
    "required_if": (1, 1),
}
_ARGUMENTS: dict[str, frozenset[str]] = {
    "order": frozenset(),
    "range": frozenset({"min", "max"}),
    "pattern": frozenset({"pattern"}),
    "any_of": frozenset(),
    "required_if": frozenset({"when"}),
}


class Breach(StrEnum):
    """What happens to a row that breaks a rule."""

    QUARANTINE = "quarantine"
    """It waits in quarantine until somebody repairs it."""
    REJECT = "reject"
    """It stays out for good: it is in quarantine, and nobody is asked to repair it."""
    NULL = "null"
    """The rule's `field` loses its value, with a finding."""
    DEFAULT = "default"
    """The rule's `default` takes its place, with a finding."""


class RowRule(Frozen):
    """A rule over the cleansed values of a row."""

    name: str = Field(min_length=1, description="What people call it; it is printed where a row breaks it.")
    check: Check = Field(
        description="order: the first field is not above the second (dates, numbers). range: between min and max. "
        "pattern: the whole value matches a regular expression. any_of: at least one field has a value. "
        "required_if: the field has a value where others have those of `when`."
    )
    fields: tuple[str, ...] = Field(min_length=1)
    min: str | None = Field(default=None, description="Of range, as canonical text: 0, 0.01, 2000-01-01.")
    max: str | None = None
    pattern: str | None = Field(default=None, description="Of pattern: RE2 syntax.")
    when: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Of required_if: field → values.")
    action: Breach = Breach.QUARANTINE
    field: str | None = Field(
        default=None, description="The field that null and default act on; default: the last of `fields`."
    )
    default: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        least, most = _FIELDS[self.check]
        if not least <= len(self.fields) <= most:
            raise ValueError(
                f"rule '{self.name}': {self.check} takes {least}{f' to {most}' if most > least else ''}"
                f" fields, not {len(self.fields)}"
            )
        given = {name for name in ("min", "max", "pattern", "when") if getattr(self, name)}
        if stray := sorted(given - _ARGUMENTS[self.check]):
            raise ValueError(f"rule '{self.name}': {self.check} takes no {', '.join(stray)}")
        if _ARGUMENTS[self.check] and not given:
            raise ValueError(f"rule '{self.name}': {self.check} needs {' or '.join(sorted(_ARGUMENTS[self.check]))}")
        if (self.action is Breach.DEFAULT) != (self.default is not None):
            raise ValueError(f"rule '{self.name}': `default` goes with action: default")
        if self.action is Breach.NULL and self.check in {"any_of", "required_if"}:
            raise ValueError(f"rule '{self.name}': there is no value that null could drop")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"rule '{self.name}': the pattern is no regular expression ({error})") from error
        return self

    @property
    def acts_on(self) -> str:
        """The field that null and default act on."""
        return self.field or self.fields[-1]

    @property
    def named(self) -> tuple[str, ...]:
        """Every field that it names."""
        return tuple(dict.fromkeys((*self.fields, *self.when, self.acts_on)))
