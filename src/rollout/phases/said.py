"""What people said about an entity's rows that decides what they become: cleansing heeds it, drift watches it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

from rollout.journal.apart import apart
from rollout.journal.crypto import canonical_json
from rollout.journal.store import Journal


@dataclass(frozen=True)
class Said:
    """Decisions about one entity's rows. Values people typed are in memory only; nothing here is logged."""

    apart: tuple[str, ...] = ()
    """Source keys of rows that a person made records of their own (`rollout unmerge`)."""

    def __bool__(self) -> bool:
        return self != Said()

    @property
    def digest(self) -> str:
        """A hash of all of it; "" where nobody said anything."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest() if self else ""


NOTHING_SAID = Said()


def said(journal: Journal, entity: str) -> Said:
    """What people said about an entity's rows until now."""
    with journal.transaction() as connection:
        return Said(apart=apart(connection, journal.project_id, entity))
