"""What the in-memory target keeps its records in; connectors may share one by name."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count


@dataclass(slots=True)
class Stored:
    """One record. ``values`` is replaced, never changed in place, so readers need no copy."""

    target_id: str
    migration_key: str | None
    values: dict[str, str | None]
    version: int
    modified_by: str
    created_at: datetime
    modified_at: datetime


@dataclass(slots=True)
class Table:
    """Records of one entity by id, in the order they were created, and the ids under each key."""

    records: dict[str, Stored] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)


class Store:
    """All records behind one lock; a batch is applied under it as a whole."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ids = count(1)
        self.tables: dict[str, Table] = {}

    def table(self, entity: str) -> Table:
        """The entity's records; none to begin with."""
        return self.tables.setdefault(entity, Table())


_stores: dict[str, Store] = {}
_stores_lock = threading.Lock()


def shared_store(name: str | None) -> Store:
    """The store of this name, or one of its own if there is none."""
    if name is None:
        return Store()
    with _stores_lock:
        return _stores.setdefault(name, Store())


def forget_store(name: str) -> None:
    """Drop a shared store, so that the next connector naming it starts empty."""
    with _stores_lock:
        _stores.pop(name, None)
