"""The protocols every connector speaks, and the capabilities the core asks instead of product names.

A connector class is constructed by :func:`rollout.connectors.registry.create` with ``(name, options, base_dir)`` and
implements the protocols it can: `Connector` always, then `SourceReader` (legacy data), `TargetReader`, `Writer` and
`Remover` (a CRM), `LinkReader` and `Automation` (what a trustworthy load asks a CRM besides), `ChangeFeed` (a system
that a sync reads), `Messenger` (people are told something), `Scripted` (a
made-up system that tests play on). What a connector
raises is one of :mod:`rollout.errors`; nothing of its transport leaks out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from rollout.mapping.spec import SourceSpec
from rollout.model.entity import TargetSchema, Values
from rollout.model.finding import Finding
from rollout.model.target import Capabilities, Op, RowResult, RowStatus, TargetRecord, WriteRow

if TYPE_CHECKING:  # a second to import, which only what reads sources should pay
    import pandas as pd

__all__ = [
    "Automation",
    "AutomationRule",
    "Capabilities",
    "ChangeFeed",
    "ChangePage",
    "ChangedRecord",
    "Connector",
    "Directory",
    "DirectoryUser",
    "FileFingerprint",
    "LinkReader",
    "Message",
    "Messenger",
    "Op",
    "QuietWriter",
    "RecordLink",
    "Remover",
    "RowResult",
    "RowStatus",
    "Scripted",
    "SourceChunk",
    "SourceReader",
    "TargetReader",
    "TargetRecord",
    "WriteRow",
    "Writer",
]


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
    ``file`` and ``sheet`` say what the columns belong to; only they can where there is a header and no row.
    ``fingerprint`` comes with the last chunk of a query's answer: of the rows read, whatever the next answer is.
    """

    frame: pd.DataFrame
    findings: list[Finding] = field(default_factory=list)
    unreadable: pd.DataFrame | None = None
    file: str = ""
    sheet: str = ""
    fingerprint: FileFingerprint | None = None


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

    def read_by_ids(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        """Records by target id, at most `max_read_keys` of them; those that do not exist are absent."""
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
        `OutcomeUnknown` when it may have been, `RowRejected` when the call was refused as a whole for what some row of
        it holds and nothing was stored (the load then looks for that row), `Fatal` when further calls are pointless.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChangedRecord:
    """A record of a feed as it is now. ``values`` are canonical text, under the feed's own field names."""

    source_id: str
    """Stable and unique within the stream."""
    changed_at: datetime
    """Aware; when the feed's system says it was last changed."""
    values: Values


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A page of a feed."""

    records: Sequence[ChangedRecord]
    cursor: str
    """Where the next page begins; opaque to everybody but the connector."""
    has_more: bool


@runtime_checkable
class ChangeFeed(Protocol):
    """Tells what changed in a system, oldest first."""

    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        """The next page of a stream.

        Args:
            stream: What is asked for, such as ``orders``.
            cursor: Where the last page ended; None: from the beginning.
            overlap_s: On resuming from a cursor, records changed up to this many seconds before it come again: a
                change that was committed late with an early timestamp must not be missed. Feeds whose cursor is a
                position in a log, not a time, ignore it.
            limit: At most this many records.
        """
        ...


@runtime_checkable
class Scripted(Protocol):
    """A made-up system in which integration tests bring about what people and machines do in a real one.

    Real systems have no such door: there the tests say what a person has to do by hand.
    """

    def example(self, stream: str, source_id: str, *, reference: str | None) -> ChangedRecord:
        """A valid record of a stream, not yet put there; ``reference`` is the legacy customer's row key.

        Raises UnsupportedOperation, as the others do, when this instance is connected to a real system.
        """
        ...

    def put(self, stream: str, records: Sequence[ChangedRecord]) -> None:
        """Let the records come about, or change, as if now. Raises Retryable, Fatal, UnsupportedOperation."""
        ...

    def withdraw(self, stream: str, source_ids: Sequence[str]) -> None:
        """Remove records without trace; one that is gone already is done. Raises as `put`."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """Something people are told. Plain text; ``title`` is one line."""

    title: str
    text: str


@runtime_checkable
class Messenger(Protocol):
    """Sends messages to people."""

    def send(self, message: Message) -> None:
        """Send one. Raises Retryable (not sent, try later), Fatal (refused), OutcomeUnknown (may have been sent)."""
        ...


@runtime_checkable
class Remover(Protocol):
    """Finds and deletes records that a load test or a drill made, by the beginning of their migration key."""

    def read_by_key_prefix(self, entity: str, prefix: str) -> Iterator[TargetRecord]:
        """Records whose migration key begins with ``prefix``."""
        ...

    def delete(self, entity: str, target_ids: Sequence[str]) -> None:
        """Delete records; one that is gone already is done. Raises Fatal for one that others refer to."""
        ...


@runtime_checkable
class QuietWriter(Protocol):
    """Can ask its target, call by call, to set nothing off (`Capabilities.suppresses_automation`)."""

    def quiet(self) -> Connector:
        """The same connector, but that its writes set off no rule of the target; the same object every time."""
        ...


@dataclass(frozen=True, slots=True)
class RecordLink:
    """A record that refers to another one."""

    entity: str
    """The target's entity, whether the project knows it or not."""
    target_id: str
    migration_key: str | None
    modified_by: str | None = None


@runtime_checkable
class LinkReader(Protocol):
    """Tells which records refer to a record: an undo must not take those of people's records away."""

    def links_to(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, Sequence[RecordLink]]:
        """By target id (at most `max_read_keys`) the records of all entities that refer to it; absent: none do."""
        ...


@runtime_checkable
class RecordPages(Protocol):
    """Tells where people see a record in the target."""

    def page_of(self, entity: str, target_id: str) -> str:
        """The address of the record's page, for a browser of somebody who may log in there."""
        ...


@dataclass(frozen=True, slots=True)
class AutomationRule:
    """Something that a CRM does by itself, and that a load could set off or that could undo a load."""

    name: str
    label: str
    kind: str
    """linkage | assignment | recycling | sla | notification."""
    is_on: bool
    settings: Mapping[str, str]
    """Under the target's own names. What preflight looks for, where a rule has it: ``entity`` (what it acts on);
    recycling: ``clock_field`` (the time it counts from) and ``holding_days``, ``owner_field`` and ``max_per_owner``;
    sla: ``answer_within_h``."""


@runtime_checkable
class Automation(Protocol):
    """A target's own rules, and what they did: a load keeps them quiet, and proves it by counting."""

    def automation_rules(self) -> Sequence[AutomationRule]:
        """All rules, by name."""
        ...

    def switch_rule(self, name: str, *, on: bool) -> None:
        """Switch one rule. Raises Fatal if there is no such rule, or this login may not."""
        ...

    def automation_counts(self) -> Mapping[str, int]:
        """What the rules have brought about so far: ``workflow_runs``, ``todos``, ``notifications``, ``messages``."""
        ...


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """A user of a system, with what they may do there."""

    login: str
    role: str
    is_active: bool


@runtime_checkable
class Directory(Protocol):
    """Tells who may do what in a system."""

    @property
    def own_login(self) -> str:
        """Who we are there: what this login changed was not changed by a person."""
        ...

    def users(self) -> Sequence[DirectoryUser]:
        """Everybody who can log in, inactive ones included, by login."""
        ...
