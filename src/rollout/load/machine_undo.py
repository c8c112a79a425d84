"""Decisions about the rows of an undo: what goes back, and what stays because people have worked on it since. Pure.

Each decision is made from the record as it is now, whether or not we have called before: after a crash the same look
tells what the call did. Only that nothing is sent too early (`rollout.load.machine.unless_late`) is left to the caller.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from rollout.load.machine import SEND, Decision, RowState
from rollout.model.entity import Values
from rollout.model.target import RowResult, RowStatus, TargetRecord


class Fields(NamedTuple):
    """The fields of a record that is to go back, by what it holds now."""

    back: frozenset[str]
    """What they were before the load."""
    ours: dict[str, str | None]
    """What the load wrote: with the values that they go back to."""
    others: tuple[str, ...]
    """Neither: people changed them since."""


def compare(new: Values, old: Values, held: Values) -> Fields:
    """Part fields by what the record holds: ``new`` (gone back), ``old`` (what we wrote) or neither."""
    back = frozenset(name for name, value in new.items() if held.get(name) == value)
    ours = {
        name: value for name, value in new.items() if name not in back and name in old and held.get(name) == old[name]
    }
    return Fields(back, ours, tuple(sorted(new.keys() - back - ours.keys())))


def look_at_deletion(
    key: str, old: Values, record: TargetRecord | None, target_id: str | None, *, is_sent: bool
) -> Decision:
    """Decide about a record that our load created, links to it aside.

    Args:
        key: Our migration key.
        old: What the record holds if nobody edited it: its newest after-image.
        record: It as it is now; None: gone.
        target_id: Its id.
        is_sent: We have asked for its deletion before.
    """
    if record is None:
        gone = None if is_sent else "already_gone"
        told = "" if is_sent else "the record was deleted before the undo came to it"
        return Decision(RowState.UNDONE, target_id, gone, told)
    edited = sorted(name for name, value in old.items() if record.values.get(name) != value)
    if record.migration_key != key:
        edited.append("migration_key")
    if edited:
        return Decision(
            RowState.KEPT, record.target_id, "edited_since", f"edited in the CRM since the load: {', '.join(edited)}"
        )
    return SEND


def linked(target_id: str, entities: Collection[str]) -> Decision:
    """A record that other records refer to stays, and so do theirs."""
    told = f"records refer to it: {', '.join(sorted(entities))}" if entities else "other records refer to it"
    return Decision(RowState.KEPT, target_id, "linked_since", told)


def links_unknown(target_id: str) -> Decision:
    """The target cannot tell who refers to a record: people may have linked theirs to it."""
    told = "the target cannot tell whether other records refer to it: a person must look, and delete it there"
    return Decision(RowState.KEPT, target_id, "links_unknown", told)


def awaits(target_id: str, links: int) -> Decision:
    """The records that refer to it are still to be taken back themselves."""
    return Decision(RowState.WAITING, target_id, "still_linked", f"waits for {links} records that refer to it")


def look_at_return(key: str, new: Values, old: Values, record: TargetRecord | None, *, releases: bool) -> Decision:
    """Decide about a record whose fields go back to what they were before our load.

    Args:
        key: Our migration key.
        new: The values to put back.
        old: What the load left in these fields.
        record: The record as it is now; None: gone.
        releases: The key goes too.
    """
    misfit = _misfit(key, record, releases=releases)
    if misfit is not None or record is None:
        return misfit or _gone()
    fields = compare(new, old, record.values)
    if fields.ours or (releases and record.migration_key == key):
        return Decision(None, record.target_id, values=fields.ours)
    return _returned(record.target_id, fields.back, fields.others, is_released=releases)


def after_return(key: str, new: Values, sent: Values, record: TargetRecord | None, *, releases: bool) -> Decision:
    """Decide with the record read back after the target said that it put the fields ``sent`` back."""
    misfit = _misfit(key, record, releases=releases)
    if misfit is not None or record is None:
        return misfit or _gone()
    if releases and record.migration_key == key:
        return Decision(RowState.KEPT, record.target_id, "key_not_released", "the record still has our migration key")
    # What the target made of a value that we put back (it trims, it truncates) is not a person's edit.
    settled = frozenset(name for name, value in new.items() if name in sent or record.values.get(name) == value)
    others = tuple(sorted(new.keys() - settled))
    decision = _returned(record.target_id, settled, others, is_released=releases)
    differing = sorted(name for name in sent if record.values.get(name) != new[name])
    if decision.state is not RowState.UNDONE or not differing or decision.reason_code:
        return decision
    told = f"the target stored another value: {', '.join(differing)}"
    return decision._replace(reason_code="stored_differently", message=told)


def after_refusal(result: RowResult, target_id: str | None) -> Decision:
    """What the target will not take back stays, with its reason."""
    assert result.status is RowStatus.REJECTED
    return Decision(RowState.KEPT, target_id, result.reason_code or "refused", result.message)


def still_there(target_id: str) -> Decision:
    """A deletion that the target confirmed, and that its reads do not show."""
    told = "deleted, says the target, but its reads still show the record"
    return Decision(RowState.UNKNOWN, target_id, "still_there", told)


def _misfit(key: str, record: TargetRecord | None, *, releases: bool) -> Decision | None:
    if record is None:
        return _gone()
    if record.migration_key == key or (releases and record.migration_key is None):
        return None
    told = "the record does not carry our migration key any more"
    return Decision(RowState.CONFLICT, record.target_id, "record_replaced", told)


def _gone() -> Decision:
    return Decision(RowState.CONFLICT, reason_code="record_gone", message="people deleted the record since the load")


def _returned(target_id: str, back: frozenset[str], others: tuple[str, ...], *, is_released: bool) -> Decision:
    if not others:
        return Decision(RowState.UNDONE, target_id)
    told = f"changed in the CRM since the load, and left alone: {', '.join(others)}"
    if back or is_released:
        return Decision(RowState.UNDONE, target_id, "partly_undone", told, settled=back)
    return Decision(RowState.CONFLICT, target_id, "changed_since_load", told)
