"""For each golden record the fields that will change, decided three ways. Pure.

Base is what we last sent and saw stored (`rollout.load.merge_base`), theirs is what the target holds now, ours is
what the sources say now. What people changed in the CRM is never overwritten silently: where they changed a field and
the source did not, their value stays; where both did, the row is a conflict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from rollout.load.machine import duplicates
from rollout.load.merge_base import Base, Fingerprint, three_way
from rollout.model.entity import Values
from rollout.model.target import Capabilities, TargetRecord


class Action(StrEnum):
    """What the plan does with a row."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    ADOPT = "adopt"
    """A record that people created becomes ours: it takes the migration key, and values where it has none."""
    SKIP = "skip"
    """A named person said that the row is not to be loaded."""
    DELETE = "delete"
    """Undo of a create."""
    RESTORE = "restore"
    """Undo of an update: fields go back."""
    RELEASE = "release"
    """Undo of an adoption: fields go back, and the migration key goes."""
    KEEP = "keep"
    """Undo that is not possible without destroying people's work."""


LOADING = (Action.CREATE, Action.UPDATE, Action.UNCHANGED, Action.CONFLICT, Action.ADOPT, Action.SKIP)
UNDOING = (Action.DELETE, Action.RESTORE, Action.RELEASE, Action.KEEP)

_NOTHING: Mapping[str, Any] = MappingProxyType({})


# Rows are named tuples, here and on their way to the target: a frozen dataclass takes five times as long to make.
class Reference(NamedTuple):
    """A reference field's parent, by migration key: its target id may not exist before the load."""

    entity: str
    migration_key: str


class PlannedRow(NamedTuple):
    """One row of a plan."""

    migration_key: str
    golden_key: str
    action: Action
    new: Values = _NOTHING
    """Fields to set, references excluded."""
    old: Values = _NOTHING
    """The same fields as the target holds them now (updates), references included as target ids."""
    references: Mapping[str, Reference] = _NOTHING
    """Reference fields to set."""
    target_id: str | None = None
    kept: tuple[str, ...] = ()
    """Fields that people changed and the source did not: theirs stay."""
    agreed: Mapping[str, str] = _NOTHING
    """Entries that the merge base gains from fields found equal."""
    deferred: Mapping[str, Reference] = _NOTHING
    """Reference fields that are set in a second step, once every record of their cycle exists."""
    base: Mapping[str, str | None] = _NOTHING
    """Of updates, by field set: the merge base's entry before. Of undos: the entry that it goes back to; None: none."""
    overwrites: tuple[str, ...] = ()
    """Fields in which the plan openly overwrites what people typed (field ownership, or a named person's decision)."""
    reason_code: str | None = None
    message: str = ""

    def payload(self) -> dict[str, object]:
        """What is sealed in the journal and covered by the plan's hash."""
        return {
            "new": dict(self.new),
            "old": dict(self.old),
            "references": {name: list(reference) for name, reference in self.references.items()},
            "target_id": self.target_id,
            "kept": list(self.kept),
            "agreed": dict(self.agreed),
            "deferred": {name: list(reference) for name, reference in self.deferred.items()},
            "base": dict(self.base),
            "overwrites": list(self.overwrites),
            "message": self.message,
        }

    @classmethod
    def from_payload(
        cls, migration_key: str, golden_key: str, action: str, reason_code: str | None, payload: Mapping[str, Any]
    ) -> PlannedRow:
        """Read back what :meth:`payload` wrote."""
        return cls(
            migration_key,
            golden_key,
            Action(action),
            payload["new"],
            payload["old"],
            {name: Reference(*ref) for name, ref in payload["references"].items()},
            payload["target_id"],
            tuple(payload["kept"]),
            payload["agreed"],
            {name: Reference(*ref) for name, ref in payload["deferred"].items()},
            payload["base"],
            tuple(payload["overwrites"]),
            reason_code,
            payload["message"],
        )


def plan_row(
    migration_key: str,
    golden_key: str,
    values: Values,
    references: Mapping[str, Reference],
    *,
    current: Sequence[TargetRecord],
    base: Base | None,
    parent_ids: Mapping[Reference, str],
    fingerprint: Fingerprint,
) -> PlannedRow:
    """Plan one golden record.

    Args:
        migration_key: Its migration key.
        golden_key: Its golden key.
        values: Its values; a reference field is among them only where it is to have none.
        references: Its references that have a value.
        current: Records of the target that carry the migration key.
        base: What we know of our last write, or None if we never wrote it.
        parent_ids: Target ids of parents that are already loaded.
        fingerprint: Of this record's values, as the base has them.
    """
    if len(current) > 1:
        doubled = duplicates(current)
        return PlannedRow(
            migration_key,
            golden_key,
            Action.CONFLICT,
            reason_code=doubled.reason_code,
            message=doubled.message,
        )
    if not current:
        if base is not None:
            return PlannedRow(
                migration_key,
                golden_key,
                Action.CONFLICT,
                reason_code="record_gone",
                message="we loaded this record, and somebody deleted it since",
            )
        given = {name: value for name, value in values.items() if value is not None}
        return PlannedRow(migration_key, golden_key, Action.CREATE, new=given, references=references)
    # A parent that is not loaded yet has no id: nothing that the target holds can be equal to it.
    parents = {name: parent_ids.get(ref, f"{UNRESOLVED}{ref.migration_key}") for name, ref in references.items()}
    found = three_way({**values, **parents}, current[0].values, base, fingerprint)
    if found.clashing:
        return PlannedRow(
            migration_key,
            golden_key,
            Action.CONFLICT,
            target_id=current[0].target_id,
            reason_code="changed_on_both_sides",
            message=f"changed both in the CRM and in the source: {', '.join(found.clashing)}",
        )
    return PlannedRow(
        migration_key,
        golden_key,
        Action.UPDATE if found.changing else Action.UNCHANGED,
        new={name: value for name, value in found.changing.items() if name not in references},
        old={name: current[0].values.get(name) for name in found.changing},
        base={name: base.get(name) if base is not None else None for name in found.changing},
        references={name: references[name] for name in found.changing if name in references},
        target_id=current[0].target_id,
        kept=tuple(found.kept),
        agreed=found.agreed,
    )


UNRESOLVED = "\x00unresolved:"
"""Stands for the id of a parent that has none yet."""


class PlanHash:
    """SHA-256 over a plan's inputs and, in order, every row's keys, action, reason and keyed digest."""

    def __init__(self, inputs: bytes) -> None:
        self._hash = hashlib.sha256(inputs)

    def add(self, entity: str, rows: Iterable[tuple[str, ...]]) -> None:
        """Add rows as (migration key, golden key, action, reason code, digest)."""
        self._hash.update("".join(["\x1f".join((entity, *row)) + "\x1e" for row in rows]).encode())

    def hexdigest(self) -> str:
        """The plan's hash."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a load will cost."""

    calls: int
    seconds: float
    basis: str


def estimate(
    rows_to_send: Mapping[str, tuple[int, int]],
    *,
    batch_rows: int,
    concurrency: int,
    call_s: float,
    capabilities: Capabilities,
) -> Estimate:
    """Estimate a load from the creates and updates of each entity, and the time a call was measured to take.

    A batch costs the write and the read-back; before updates, and where the target does not enforce the key, it is
    looked at first. The target's rate bounds calls a second.
    """
    looks = 0 if capabilities.enforces_unique else 1
    calls = sum(
        (2 + looks) * -(-creates // batch_rows) + 3 * -(-updates // batch_rows)
        for creates, updates in rows_to_send.values()
    )
    seconds = calls * call_s / concurrency
    if capabilities.rate_per_s:
        seconds = max(seconds, calls / capabilities.rate_per_s)
    return Estimate(calls=calls, seconds=round(seconds, 1), basis=f"{call_s:.3f} s a call, {concurrency} at once")
