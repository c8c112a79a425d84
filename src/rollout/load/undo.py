"""What taking a load back does to one record: its lines in the journal become one row of an undo. Pure.

Writes are taken back last in, first out, and field by field: a field goes back only as far as it held, each time, what
our write before had left in it. What people typed in between, or since, stays. A record that we created goes away only
if nobody has touched it since; one that people made, and that we adopted, is given back to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rollout.load.plan import Action, PlannedRow
from rollout.model.entity import Values
from rollout.model.target import TargetRecord


class Deed(StrEnum):
    """What a line of the journal did to its record."""

    CREATED = "created"
    ADOPTED = "adopted"
    UPDATED = "updated"
    RESTORED = "restored"
    """An undo put fields back."""
    ENDED = "ended"
    """An undo deleted the record, or gave it back to the people who made it."""
    UNKNOWN = "unknown"
    """Nobody knows whether the call landed."""


class Written(NamedTuple):
    """One line of the journal that changed a record, or may have."""

    plan_id: str
    deed: Deed
    target_id: str | None
    fields: frozenset[str] = frozenset()
    """The fields that it set."""
    before: Values | None = None
    """The record just before; None: there was none, or what was kept of it is destroyed."""
    after: Values | None = None
    """What the target stored, as far as it is known to be ours: all fields, or only those that were sent. None: what
    was kept of it is destroyed."""
    base: Mapping[str, str | None] = {}
    """The merge base's entries before, by field."""
    took_back: frozenset[str] = frozenset()
    """Of an undo's line: the plans whose writes it took back."""


class History(NamedTuple):
    """A record with all that we ever did to it, oldest first."""

    migration_key: str
    golden_key: str
    lines: tuple[Written, ...]


@dataclass(frozen=True)
class UndoScope:
    """What is to be taken back, and what the target can do."""

    plans: frozenset[str]
    """The plans whose writes go back."""
    through: bool
    """Later writes to the same records go back with them."""
    can_delete: bool
    can_tell_links: bool
    """The target tells who refers to a record: without that nothing may be deleted."""


class Chain(NamedTuple):
    """A record's lines since it came to be, and those of them that still stand."""

    lines: tuple[Written, ...]
    standing: tuple[Written, ...]


def chain(lines: Sequence[Written]) -> Chain:
    """The lines since the record was created or adopted last, and those that no undo has taken back yet."""
    since: list[Written] = []
    standing: list[Written] = []
    for line in lines:
        if line.deed is Deed.CREATED or (line.deed is Deed.ADOPTED and not _is_adopted(standing, line.target_id)):
            since, standing = [line], [line]
        elif line.deed is Deed.ENDED:
            since, standing = [], []
        elif line.deed is Deed.RESTORED:
            since.append(line)
            standing = _without(standing, line.took_back)
        else:
            since.append(line)
            standing.append(line)
    return Chain(tuple(since), tuple(standing))


def _is_adopted(standing: Sequence[Written], target_id: str | None) -> bool:
    """Whether this very record was adopted before: it took our values, and only now our key."""
    return bool(standing) and standing[0].deed is Deed.ADOPTED and standing[0].target_id == target_id


def _without(standing: Sequence[Written], plans: frozenset[str]) -> list[Written]:
    """What stands once the updates of these plans, and all above them, are taken back."""
    for at, line in enumerate(standing):
        if line.deed is Deed.UPDATED and line.plan_id in plans:
            return list(standing[:at])
    return list(standing)


def later_plans(history: History, scope: UndoScope) -> frozenset[str]:
    """Plans outside the scope that wrote to the record after one inside it: they must go first, or along."""
    standing = chain(history.lines).standing
    first = next((at for at, line in enumerate(standing) if line.plan_id in scope.plans), len(standing))
    return frozenset(line.plan_id for line in standing[first:]) - scope.plans


def undo_row(
    history: History, scope: UndoScope, now: TargetRecord | None, *, is_persons: bool = False
) -> PlannedRow | None:
    """The row that takes a record back; None where nothing of it is to be taken back.

    Args:
        history: The record's lines.
        scope: What is to be taken back. The record has no later plans, or ``through`` is set.
        now: The record as the target holds it; None: it is gone.
        is_persons: The target says that a person changed it last.
    """
    since, standing = chain(history.lines)
    first = next((at for at, line in enumerate(standing) if line.plan_id in scope.plans), None)
    if first is None:
        return None
    undone = standing[first:]
    row = PlannedRow(history.migration_key, history.golden_key, Action.KEEP, target_id=_target_id(undone))
    if any(line.deed is Deed.UNKNOWN for line in standing):
        told = "what became of an earlier call is not known yet: decide that first"
        return row._replace(reason_code="outcome_unknown", message=told)
    if undone[0].deed is Deed.CREATED:
        return _uncreated(row, since, undone, scope, now, is_persons=is_persons)
    back = _going_back(undone, now)
    if undone[0].deed is Deed.ADOPTED and scope.can_delete:
        return row._replace(action=Action.RELEASE, new=back.new, old=back.old)
    return row._replace(action=Action.RESTORE, new=back.new, old=back.old, base=back.base)


def kept(
    row: PlannedRow, undone: Sequence[Written], now: TargetRecord | None, *, reason_code: str, message: str
) -> PlannedRow:
    """The row of a record that we created and that stays: what we changed in it later goes back all the same."""
    back = _going_back(undone[1:], now)
    stays = row._replace(action=Action.KEEP, new={}, old={}, reason_code=reason_code, message=message)
    if not back.new:
        return stays
    return stays._replace(action=Action.RESTORE, new=back.new, old=back.old, base=back.base)


def linked(
    history: History, scope: UndoScope, row: PlannedRow, now: TargetRecord, entities: Sequence[str]
) -> PlannedRow:
    """The row of a record that was to be deleted, and that records of these entities refer to."""
    standing = chain(history.lines).standing
    first = next(at for at, line in enumerate(standing) if line.plan_id in scope.plans)
    told = f"records refer to it: {', '.join(sorted(entities))}"
    return kept(row, standing[first:], now, reason_code="linked_since", message=told)


def _uncreated(
    row: PlannedRow,
    since: Sequence[Written],
    undone: Sequence[Written],
    scope: UndoScope,
    now: TargetRecord | None,
    *,
    is_persons: bool,
) -> PlannedRow:
    expected, overwritten = untouched(since)
    if now is None:
        return row._replace(action=Action.DELETE, old=expected)
    edited = {name for name in {*expected, *now.values} if expected.get(name) != now.values.get(name)} | overwritten
    if now.migration_key != row.migration_key:
        edited.add("migration_key")
    if edited or is_persons:
        told = f"edited in the CRM since the load: {', '.join(sorted(edited))}" if edited else "saved in the CRM since"
        return kept(row, undone, now, reason_code="edited_since", message=told)
    if not scope.can_delete:
        told = "this target does not let us delete records"
        return kept(row, undone, now, reason_code="cannot_delete", message=told)
    if not scope.can_tell_links:
        told = "this target does not tell which records refer to it: deleting it might take people's work along"
        return kept(row, undone, now, reason_code="links_unknown", message=told)
    return row._replace(action=Action.DELETE, old=dict(now.values))


def untouched(since: Sequence[Written]) -> tuple[dict[str, str | None], set[str]]:
    """What a record that we created holds if nobody touched it, and the fields in which we wrote over people's work.

    A field that changed along with ours was changed by the target itself: by its rules, or because it keeps a copy.
    """
    expected: dict[str, str | None] = {}
    overwritten: set[str] = set()
    for line in since:
        after = line.after or {}
        if line.deed is Deed.CREATED:
            expected = dict(after)
            continue
        before = line.before or {}
        overwritten |= {name for name in line.fields if before.get(name) != expected.get(name)}
        expected |= {name: value for name, value in after.items() if name in line.fields or before.get(name) != value}
    return expected, overwritten


class _Back(NamedTuple):
    new: dict[str, str | None]
    old: dict[str, str | None]
    base: dict[str, str | None]


def _going_back(undone: Sequence[Written], now: TargetRecord | None) -> _Back:
    """For each field that these writes set: what it goes back to, what it should hold now, and its base then."""
    found = _Back({}, {}, {})
    ends: set[str] = set()
    for line in reversed(undone):
        before, after = line.before or {}, line.after or {}
        for name in sorted(line.fields):
            if name not in found.new:
                found.old[name] = after.get(name)
            elif name in ends or found.new[name] != after.get(name):
                ends.add(name)  # people changed it between our writes: theirs is what there was before
                continue
            found.new[name] = before.get(name)
            found.base[name] = line.base.get(name)
    # What our write did not change, and people did since, is theirs.
    for name in [name for name, value in found.new.items() if value == found.old[name]]:
        if now is not None and now.values.get(name) != found.new[name]:
            del found.new[name], found.old[name], found.base[name]
    return found


def _target_id(undone: Sequence[Written]) -> str | None:
    return next((line.target_id for line in reversed(undone) if line.target_id), None)
