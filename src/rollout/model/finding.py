"""A finding: something a person should know, as data that can be listed, counted, silenced and translated."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from rollout.model.base import Frozen


class Level(StrEnum):
    """How bad it is. Only ``error`` stops the verb that found it."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(Frozen):
    """One finding. ``message`` and ``hint`` are English sentences; documents look up ``id`` in the catalogue."""

    id: str = Field(description="Stable dotted id, such as `mapping.column_missing`.")
    level: Level
    message: str
    where: str = Field(default="", description="file:line, or source/entity/field/row key.")
    hint: str = Field(default="", description="What to do next.")
    count: int | None = Field(default=None, description="Rows concerned.")
    detail: dict[str, Any] = Field(default_factory=dict, description="Figures and masked examples.")


def has_errors(findings: list[Finding]) -> bool:
    """Whether any finding stops the work."""
    return any(finding.level is Level.ERROR for finding in findings)
