"""What the core knows of a target: capabilities with units, records, writes and their answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rollout.model.entity import Values


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
    returns_stored: bool = False
    """A write's answer carries each record as the target stored it, re-read after all that the write set off."""
    call_timeout_s: float = 30.0
    max_commit_delay_s: float = 0.0
    """How long after a call's end a lost answer may still be committed."""
    read_your_writes_delay_s: float = 0.0
    """How long a stored record may stay invisible to reads."""
    can_delete: bool = False
    """`Op.DELETE` and `Op.RELEASE` are carried out; without it an undo can only put fields back."""
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
    created_at: datetime | None = None
    """Aware, by the target's clock; None where it does not tell."""
    modified_at: datetime | None = None


class Op(StrEnum):
    """What a write asks for."""

    CREATE = "create"
    UPDATE = "update"
    """Set fields; a record that has no migration key yet takes the row's (adoption)."""
    DELETE = "delete"
    """Delete the record ``target_id``; ``values`` are empty. Refused (`Reason.REFERENCED`) while others refer to it."""
    RELEASE = "release"
    """Set fields and take our migration key away from the record: it was there before us, and stays."""


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
    DELETED = "deleted"
    """It is gone; a record that was gone before counts as deleted too."""
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
    stored: TargetRecord | None = None
    """The record as the target stored it, where it says so (`Capabilities.returns_stored`)."""
