"""What the journal remembers of a record after a row's outcome: the entries of its merge base. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.load.machine import LANDED, Decision, RowState
from rollout.load.merge_base import Fingerprint, learned
from rollout.load.plan import Action
from rollout.load.work import Work
from rollout.model.entity import Values
from rollout.model.target import Op

Entries = Mapping[str, str | None]
"""Entries of a merge base by field; None: the entry goes."""

_LANDED_IN_PART = ("neither_old_nor_new", "key_not_stored")
"""Reasons of conflicts found after a call: people changed some fields since, or the record did not take our key."""


def base_entries(work: Work, decision: Decision, fields: Sequence[str], fingerprint: Fingerprint) -> Entries | None:
    """What the merge base learns from a row's outcome; None where the record is not known to be in the target."""
    if decision.state is RowState.UNDONE:
        return _restored(work, decision) if work.row.action is Action.RESTORE else None
    if decision.state not in LANDED:
        return None
    if decision.state is RowState.ADOPTED:
        return _adopted(work, decision, fingerprint)
    if work.sent_s is None:  # nothing was sent: the target holds the planned values already
        return {**work.row.agreed, **learned(work.new, work.new, fingerprint)}
    sent = {name: work.new.get(name) for name in fields} if work.op is Op.CREATE else work.new
    # Found by looking: what differs may be a person's, so it must not pass for what the target made of our value.
    stored = sent if work.probed or work.record is None else work.record.values
    entries = learned(sent, stored, fingerprint)
    return {**work.row.agreed, **entries} if work.row.agreed else entries


def forgets(work: Work, decision: Decision) -> bool:
    """Whether the record is not ours any more."""
    return decision.state is RowState.UNDONE and work.row.action in (Action.DELETE, Action.RELEASE)


def after_image(work: Work, decision: Decision, own_login: str | None) -> Values | None:
    """What the target stored, as far as it is known to be ours; None where there is nothing to keep.

    Normally that is the whole record as it was read back. Where the outcome was found by looking later, and somebody
    else than we (``own_login``) changed the record last, it is only what we sent: the rest may be people's work, which
    an undo must not take for ours.
    """
    record = work.record
    if decision.state is RowState.CONFLICT and decision.reason_code in _LANDED_IN_PART:
        return work.new  # what holds ours can still go back
    if record is None or work.sent_s is None:
        return None
    names = work.new.keys() if decision.settled is None else decision.settled
    if decision.state is RowState.UNDONE:
        return {name: record.values.get(name) for name in names} if work.row.action is Action.RESTORE else None
    if decision.state not in LANDED:
        return None
    if work.probed and (own_login is None or record.modified_by != own_login):
        return {name: work.new[name] for name in names}
    return record.values


def _restored(work: Work, decision: Decision) -> Entries:
    """The entries before the load, for the fields that went back."""
    back = work.new.keys() if decision.settled is None else decision.settled
    return {name: work.row.base.get(name) for name in back}


def _adopted(work: Work, decision: Decision, fingerprint: Fingerprint) -> Entries:
    # A field that people filled has our value as its entry: to the next plan theirs is an edit, and stays.
    settled = work.new.keys() if decision.settled is None else decision.settled
    ours = learned(work.new, work.new, fingerprint)
    if work.probed or work.record is None:
        return {**work.row.agreed, **ours}
    sent = {name: work.new[name] for name in settled}
    return {**work.row.agreed, **ours, **learned(sent, work.record.values, fingerprint)}
