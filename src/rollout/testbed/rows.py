"""A row to store, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.testbed.messages import Operation, Status
from rollout.testbed.validation import Json, Problem


@dataclass(frozen=True, slots=True)
class Row:
    """One row to store. ``key`` None: a user's own doing, which leaves the migration key as it is."""

    key: str | None
    op: Operation
    fields: Mapping[str, Json]
    id: str | None = None
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row."""

    row: Row
    status: Status
    id: str | None = None
    version: int | None = None
    problem: Problem | None = None
    record: Mapping[str, Any] | None = None
    """As it is stored, where it was asked for: the parts of a `Record`."""
