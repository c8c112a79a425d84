"""What an entity's records look like in the target: fields, types, pick-lists, relations.

Values travel as text in one canonical form a type, from the cleansed stage to the read-back: ``None`` is "no value" (an
empty string is never a value), ``true``/``false``, integers as digits, decimals without exponent or trailing zeros,
dates ``YYYY-MM-DD``, instants ``YYYY-MM-DDTHH:MM:SSZ`` (UTC), phones in E.164 (extension after ``;ext=``). Connectors
translate at their edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from rollout.model.base import Frozen

Values = Mapping[str, str | None]
"""One record's values in canonical text, by field name of the project."""


class FieldType(StrEnum):
    """Types a field may have; each has one canonical text form (module docstring)."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    PHONE = "phone"
    EMAIL = "email"
    USCC = "uscc"
    PICKLIST = "picklist"
    REFERENCE = "reference"


class FieldSpec(Frozen):
    """One field of an entity."""

    type: FieldType = FieldType.TEXT
    label: str = Field(default="", description="What people call it, in the company's language.")
    required: bool = False
    max_length: int | None = Field(default=None, ge=1, description="Characters.")
    picklist: tuple[str, ...] = Field(default=(), description="Allowed values of a `picklist` field.")
    references: str | None = Field(default=None, description="Entity that a `reference` field points to.")
    target_name: str | None = Field(default=None, description="The field's name in the target, if it differs.")
    personal: bool = Field(default=False, description="Personal data: masked wherever people look.")
    verify: bool = Field(default=True, description="Compared when the load is verified.")


class TargetField(Frozen):
    """A field as the target describes it."""

    name: str
    type: FieldType
    required: bool = False
    max_length: int | None = None
    picklist: tuple[str, ...] = ()
    references: str | None = None
    unique: bool = False
    writable: bool = True


class TargetSchema(Frozen):
    """What `describe` answers: the target's fields by entity."""

    entities: dict[str, dict[str, TargetField]]
