"""What a connector's author provides, so that the laws can be tried on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rollout.connectors.base import (
    Connector,
    Op,
    RowResult,
    RowStatus,
    TargetReader,
    TargetRecord,
    Writer,
    WriteRow,
)
from rollout.model.entity import Values


class Target(Connector, TargetReader, Writer, Protocol):
    """What the laws are about: a connector that reads and writes."""


class LawBrokenError(AssertionError):
    """A connector does not do what the load relies on."""


def expect(condition: object, message: str) -> None:
    """Raise LawBrokenError unless the condition holds; unlike `assert`, also under ``python -O``."""
    if not condition:
        raise LawBrokenError(message)


@dataclass(frozen=True, kw_only=True)
class Harness:
    """A connector on a target of its own (records left by other laws do no harm), and ways to act as others do.

    The callables that are None make the laws that need them be skipped, with that reason.
    """

    target: Target
    entity: str
    sample: Callable[[int], dict[str, str | None]]
    """Valid, canonical values of all fields; different for different numbers."""
    spoilt: tuple[str, str | None]
    """A field and a value that the target refuses (a pick-list's stranger, None for a required field)."""
    text_field: str
    """A field of free text that may be empty, 40 characters or longer."""
    reference: tuple[str, str, Callable[[str], dict[str, str | None]]] | None = None
    """A child entity, its reference field, and valid values of a child of the target id given."""
    edit: Callable[[str, Values], None] | None = None
    """Change a record (by target id) as a person would, not through the connector."""
    remove: Callable[[str], None] | None = None
    """Delete a record (by target id) as a person would."""
    add: Callable[[dict[str, str | None]], str] | None = None
    """Create a record without migration key as a person would; its target id."""
    lose_next_answer: Callable[[], None] | None = None
    """Let the next write be stored, and its answer be lost."""
    refuse_next_call: Callable[[], None] | None = None
    """Let the next write be refused as 'try again later', with nothing stored."""
    limit_next_call: Callable[[float], None] | None = None
    """Let the next write be refused as one too many, with nothing stored and so many seconds to wait."""
    with_secret: Callable[[str], Target] | None = None
    """A connector to the same target, with a secret that is wrong."""
    unprepared: Callable[[], Target] | None = None
    """A connector to a target that lacks the field of the migration key."""
    incapable: Mapping[str, Callable[[], Target]] = field(default_factory=dict)
    """By name of a capability that this connector declares: one to the same target that declares it False."""
    page_rows: int = 5
    """Records that the target gives in a page are at most so many, when everything is read."""
    new_key: Callable[[], str] = field(default=lambda: f"law-{uuid.uuid4()}")

    # --- short words for the laws ---

    def create(self, number: int = 0, /, *, key: str | None = None, **changes: str | None) -> WriteRow:
        """A row to create."""
        return WriteRow(key or self.new_key(), Op.CREATE, {**self.sample(number), **changes})

    def spoilt_row(self, number: int = 0) -> WriteRow:
        """A row the target refuses."""
        name, value = self.spoilt
        return self.create(number, **{name: value})

    def write(self, *rows: WriteRow) -> dict[str, RowResult]:
        """Write, and check that exactly one result a row came back."""
        results = self.target.write(self.entity, rows)
        answered = sorted(result.migration_key for result in results)
        asked = sorted(row.migration_key for row in rows)
        expect(answered == asked, f"asked for {len(asked)} rows, answered for {len(answered)} or for other keys")
        return {result.migration_key: result for result in results}

    def stored(self, number: int = 0, /, **changes: str | None) -> TargetRecord:
        """Create a record and read it back."""
        row = self.create(number, **changes)
        result = self.write(row)[row.migration_key]
        expect(result.status is RowStatus.CREATED, f"a valid row was {result.status.value}: {result.message}")
        return self.read(row.migration_key)

    def read(self, key: str) -> TargetRecord:
        """The one record under the key."""
        found = self.found(key)
        expect(len(found) == 1, f"{len(found)} records under one key")
        return found[0]

    def found(self, key: str) -> Sequence[TargetRecord]:
        """All records under the key."""
        return self.target.read_by_keys(self.entity, [key]).get(key, ())

    def delete(self, record: TargetRecord, *, expected: str | None = None) -> RowResult:
        """Delete a record in a batch."""
        key = record.migration_key or ""
        return self.write(WriteRow(key, Op.DELETE, {}, record.target_id, expected))[key]

    def update(self, record: TargetRecord, *, expected: str | None = None, **values: str | None) -> RowResult:
        """Update the named fields."""
        key = record.migration_key or ""
        return self.write(WriteRow(key, Op.UPDATE, values, record.target_id, expected))[key]


@dataclass(frozen=True)
class Law:
    """A law: its name is its sentence. ``needs`` says why it does not apply to a harness, or None."""

    check: Callable[[Harness], None]
    needs: Callable[[Harness], str | None]

    @property
    def name(self) -> str:
        """The sentence."""
        return self.check.__name__

    def __str__(self) -> str:
        return self.name

    def skipped_because(self, harness: Harness) -> str | None:
        """Why the law does not apply, or None if it does."""
        return self.needs(harness)

    def __call__(self, harness: Harness) -> None:
        """Try the law; LawBrokenError says how it is broken."""
        self.check(harness)
