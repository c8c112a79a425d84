"""The protocols every connector speaks, and the capabilities the core asks instead of product names.

A connector class is constructed by :func:`rollout.connectors.registry.create` with ``(name, options, base_dir)`` and
implements the protocols it can: `Connector` always, then `SourceReader` (legacy data), `TargetReader` and `Writer` (a
CRM). What a connector raises is one of :mod:`rollout.errors`; nothing of its transport leaks out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import pandas as pd

from rollout.mapping.spec import SourceSpec
from rollout.model.entity import TargetSchema, Values
from rollout.model.finding import Finding


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do, with units. The core plans by these figures."""

    max_batch_rows: int = 1
    """Rows one write call may carry."""
    max_read_keys: int = 100
    """Migration keys one `read_by_keys` call may carry."""
    concurrency: int = 1
    """Calls that may be under way at once."""
    rate_per_s: float | None = None
    """Calls a second, over all workers; None: unlimited."""
    daily_calls: int | None = None
    """Calls a day; None: unlimited."""
    external_id_field: str | None = None
    """The target's field that holds our migration key; None: the target has none."""
    enforces_unique: bool = False
    """The target itself refuses a second record with the same migration key."""
    supports_upsert: bool = False
    conditional_update: bool = False
    """An update can carry the version it expects, and is refused if the record changed since."""
    call_timeout_s: float = 30.0
    max_commit_delay_s: float = 0.0
    """How long after a call's end a lost answer may still be committed."""
    read_your_writes_delay_s: float = 0.0
    """How long a stored record may stay invisible to reads."""
    suppresses_automation: bool = False
    """Writes can be flagged so that workflows and notifications stay quiet."""

    @property
    def absence_decides_after_s(self) -> float:
        """From an intent's time on, when "not found" proves "never stored" (promise 3). 0 if uniqueness is enforced."""
        if self.enforces_unique:
            return 0.0
        return self.call_timeout_s + self.max_commit_delay_s + self.read_your_writes_delay_s


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """A record as the target holds it now. References are the *target ids* of the records pointed to."""

    entity: str
    migration_key: str | None
    target_id: str
    values: Values
    version: str | None = None
    """Opaque; for conditional updates."""
    modified_by: str | None = None


class Op(StrEnum):
    """What a write asks for."""

    CREATE = "create"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class WriteRow:
    """One row of a write call. ``values`` are the fields to set; references hold target ids."""

    migration_key: str
    op: Op
    values: Values
    target_id: str | None = None
    """Set for updates."""
    expected_version: str | None = None
    """For conditional updates; None: unconditional."""


class RowStatus(StrEnum):
    """What the target said of one row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    """The record changed since it was read, or another record holds the key."""
    UNKNOWN = "unknown"
    """The target gave no usable answer for this row; it may have landed."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """The outcome of one row of a write, joined by key, never by position."""

    migration_key: str
    status: RowStatus
    target_id: str | None = None
    reason_code: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class FileFingerprint:
    """One input of a source: a file's path relative to the project and SHA-256, or a query and its result's hash."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourceChunk:
    """Up to ``chunk_rows`` rows of one file or sheet, all columns Arrow-backed text, nothing interpreted.

    ``frame`` has the source's own columns under their own names, and three of ours: ``_file`` (path relative to the
    project), ``_sheet`` (or "") and ``_line`` (int64, the line in the file at which the row starts, 1-based; in a
    workbook the row number). ``findings`` tell what was detected or put right while reading (encoding, ragged rows).
    Rows that cannot be read as a row are in ``unreadable`` with the same three columns, ``raw`` and ``reason``.
    """

    frame: pd.DataFrame
    findings: list[Finding] = field(default_factory=list)
    unreadable: pd.DataFrame | None = None


@runtime_checkable
class Connector(Protocol):
    """What every connector can do."""

    name: str
    capabilities: Capabilities

    def check(self) -> list[Finding]:
        """Reach the system with the credentials given; findings instead of exceptions."""
        ...

    def describe(self) -> TargetSchema:
        """The schema the system has now."""
        ...

    def close(self) -> None:
        """Release connections. Safe to call twice."""
        ...


@runtime_checkable
class SourceReader(Protocol):
    """Reads legacy data once, all columns as text."""

    def fingerprint(self, source: SourceSpec) -> list[FileFingerprint]:
        """What the source consists of now. Raises ConfigError when nothing matches."""
        ...

    def read(self, source: SourceSpec, *, chunk_rows: int) -> Iterator[SourceChunk]:
        """The rows in file order, bounded in memory."""
        ...


@runtime_checkable
class TargetReader(Protocol):
    """Reads what a target holds."""

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        """Records by migration key. More than one record under a key is a duplicate the caller must see."""
        ...

    def read_all(self, entity: str) -> Iterator[TargetRecord]:
        """Every record of an entity, those without migration key included, in pages."""
        ...

    def count(self, entity: str) -> int:
        """How many records the target says it holds."""
        ...


@runtime_checkable
class Writer(Protocol):
    """Writes one entity's rows."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        """Write a batch of at most ``max_batch_rows``.

        Answers one result a row, by key. Raises `Retryable` only when nothing of the batch can have been stored,
        `OutcomeUnknown` when it may have been, `Fatal` when further calls are pointless.
        """
        ...
