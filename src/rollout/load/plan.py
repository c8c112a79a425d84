"""For each golden record the fields that will change, decided three ways. Pure.

Base is what we last sent and saw stored (`rollout.load.merge_base`), theirs is what the target holds now, ours is
what the sources say now. What people changed in the CRM is never overwritten silently: where they changed a field and
the source did not, their value stays; where both did, the row is a conflict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from rollout.load.machine import duplicates
from rollout.load.merge_base import Base, Fingerprint, Ownership, ThreeWay, three_way
from rollout.model.entity import Values
from rollout.model.target import TargetRecord


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
    clashing: tuple[str, ...] = ()
    """Of a conflict: the fields that both sides changed. ``new``, ``old`` and ``base`` then say what an update that a
    person decides on would set, those fields included."""
    reason_code: str | None = None
    message: str = ""

    def payload(self) -> dict[str, Any]:
        """What is sealed in the journal and covered by the plan's hash. What there is nothing of is left out."""
        told = {name: part for name, part in zip(_PARTS, _parts_of(self), strict=True) if part}
        for name in ("references", "deferred"):
            if name in told:
                told[name] = {field: tuple(reference) for field, reference in told[name].items()}
        return told

    @classmethod
    def from_payload(
        cls, migration_key: str, golden_key: str, action: str, reason_code: str | None, payload: Mapping[str, Any]
    ) -> PlannedRow:
        """Read back what :meth:`payload` wrote."""
        held = payload.get
        return cls(
            migration_key,
            golden_key,
            _ACTIONS[action],
            held("new", _NOTHING),
            held("old", _NOTHING),
            _references(held("references")),
            held("target_id"),
            tuple(held("kept", ())),
            held("agreed", _NOTHING),
            _references(held("deferred")),
            held("base", _NOTHING),
            tuple(held("overwrites", ())),
            tuple(held("clashing", ())),
            reason_code,
            held("message", ""),
        )


_IN_THE_OPEN = ("migration_key", "golden_key", "action", "reason_code")
"""Parts of a row that the journal has columns for."""
_ACTIONS = {action.value: action for action in Action}
_PARTS = tuple(name for name in PlannedRow._fields if name not in _IN_THE_OPEN)
_parts_of = attrgetter(*_PARTS)


def _references(payload: Mapping[str, Sequence[str]] | None) -> Mapping[str, Reference]:
    return {name: Reference._make(parent) for name, parent in payload.items()} if payload else _NOTHING


def plan_row(  # noqa: PLR0913 - the record's three sides, and by which rules they are compared
    migration_key: str,
    golden_key: str,
    values: Values,
    references: Mapping[str, Reference],
    *,
    current: Sequence[TargetRecord],
    base: Base | None,
    parent_ids: Mapping[Reference, str],
    fingerprint: Fingerprint,
    ownership: Ownership | None = None,
    deferrable: Collection[str] = (),
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
        ownership: Who its fields belong to.
        deferrable: Reference fields whose parents may be loaded later than the record: they are set in a second step.
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
        return created_row(migration_key, golden_key, values, references, parent_ids=parent_ids, deferrable=deferrable)
    ours = with_parents(values, references, parent_ids)
    found = three_way(ours, current[0].values, base, fingerprint, ownership)
    row = PlannedRow(migration_key, golden_key, Action.UNCHANGED, target_id=current[0].target_id)
    deferred = deferred_references(references, parent_ids, deferrable) if deferrable else _NOTHING
    return _compared(row, found, current[0], ours=ours, base=base, references=references, deferred=deferred)


def created_row(
    migration_key: str,
    golden_key: str,
    values: Values,
    references: Mapping[str, Reference],
    *,
    parent_ids: Mapping[Reference, str],
    deferrable: Collection[str] = (),
) -> PlannedRow:
    """Plan a golden record that the target does not have, and that we never wrote; see :func:`plan_row`."""
    given = {name: value for name, value in values.items() if value is not None}
    deferred = deferred_references(references, parent_ids, deferrable) if deferrable else _NOTHING
    if deferred:
        references = {name: reference for name, reference in references.items() if name not in deferred}
    return PlannedRow(migration_key, golden_key, Action.CREATE, given, _NOTHING, references, deferred=deferred)


def with_parents(
    values: Values, references: Mapping[str, Reference], parent_ids: Mapping[Reference, str]
) -> dict[str, str | None]:
    """Values with target ids for references. Nothing that the target holds can equal a parent that has none yet."""
    parents = {name: parent_ids.get(ref, f"{UNRESOLVED}{ref.migration_key}") for name, ref in references.items()}
    return {**values, **parents}


def deferred_references(
    references: Mapping[str, Reference], parent_ids: Mapping[Reference, str], deferrable: Collection[str]
) -> Mapping[str, Reference]:
    """References that can only be set once the parent, which comes later or at the same time, is loaded."""
    return {
        name: reference for name, reference in references.items() if name in deferrable and reference not in parent_ids
    }


def _compared(
    row: PlannedRow,
    found: ThreeWay,
    record: TargetRecord,
    *,
    ours: Values,
    base: Base | None,
    references: Mapping[str, Reference],
    deferred: Mapping[str, Reference],
) -> PlannedRow:
    """The row that follows from a comparison with a record of the target."""
    row = row._replace(kept=tuple(found.kept), agreed=found.agreed)
    differing = [*found.changing, *found.clashing]
    if not differing:
        return row
    row = row._replace(
        action=Action.UPDATE,
        new={name: ours[name] for name in differing if name not in references},
        old={name: record.values.get(name) for name in differing},
        base={name: base.get(name) if base is not None else None for name in differing},
        references={name: references[name] for name in differing if name in references and name not in deferred},
        deferred={name: deferred[name] for name in differing if name in deferred},
        overwrites=tuple(found.overwrites),
    )
    if not found.clashing:
        return row
    return row._replace(
        action=Action.CONFLICT,
        clashing=tuple(found.clashing),
        reason_code="changed_on_both_sides",
        message=f"changed both in the CRM and in the source: {', '.join(found.clashing)}",
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
