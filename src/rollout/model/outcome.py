"""What happened to a source row. Every row is in exactly one bucket per (source row, entity, wave)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from rollout.model.base import Frozen


class Bucket(StrEnum):
    """The eleven places a source row can be in; together they are the whole source (promise 1)."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    ADOPTED = "adopted"
    MERGED = "merged"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    SKIPPED = "skipped"
    CONFLICT = "conflict"
    WAITING = "waiting"
    UNKNOWN = "unknown"


LOADED = (Bucket.CREATED, Bucket.UPDATED, Bucket.UNCHANGED, Bucket.ADOPTED)
"""Buckets whose rows are in the target as planned."""

OPEN = (Bucket.WAITING, Bucket.UNKNOWN)
"""Buckets that must be empty before a phase closes."""


class Accounting(Frozen):
    """The conservation table of one entity: how many source rows lie in each bucket."""

    entity: str
    source: int = Field(ge=0, description="Rows read from the sources, counted independently of the buckets.")
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    adopted: int = 0
    merged: int = 0
    rejected: int = 0
    quarantined: int = 0
    skipped: int = 0
    conflict: int = 0
    waiting: int = 0
    unknown: int = 0
    undone: int = Field(default=0, description="Of the skipped rows those that were loaded and then taken back.")
    not_loaded: int = Field(default=0, description="Golden rows that no load has reached yet; 0 after a load.")

    @property
    def accounted(self) -> bool:
        """Whether the buckets add up to the source, with nothing left out."""
        return self.not_loaded == 0 and self.source == sum(self.bucket(bucket) for bucket in Bucket)

    @property
    def closed(self) -> bool:
        """Whether the phase may close: all rows accounted for, and none open."""
        return self.accounted and all(self.bucket(bucket) == 0 for bucket in OPEN)

    @property
    def loaded(self) -> int:
        """Source rows that are in the target as planned."""
        return sum(self.bucket(bucket) for bucket in LOADED)

    def bucket(self, bucket: Bucket) -> int:
        """Rows in one bucket."""
        return int(getattr(self, bucket.value))
