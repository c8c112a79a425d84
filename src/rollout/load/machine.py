"""The row state machine: what may follow what, and every decision about a row. Pure.

::

    planned ─► waiting (for a parent)
       │           │
       ▼           ▼
     intent ─► created | updated | unchanged | adopted | rejected | conflict | skipped | unknown | retried
        │                                                                                  └► unknown is probed again
        └────► undone | kept (the rows of an undo)

Here are the states, and the decisions about creates and updates; those about rows that an undo takes back are in
`rollout.load.machine_undo`, those about records that people made and that become ours in `rollout.load.machine_adopt`.

A line in ``intent`` means: the call may have been sent. ``retried`` closes an attempt that provably stored nothing; the
next attempt is a line of its own. Closed lines never change, except ``unknown`` and ``waiting``, which are still open
questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from rollout.model.entity import Values
from rollout.model.target import Capabilities, Op, RowResult, RowStatus, TargetRecord


class RowState(StrEnum):
    """States of a journal line. A planned row has none yet."""

    WAITING = "waiting"
    INTENT = "intent"
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    ADOPTED = "adopted"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    SKIPPED = "skipped"
    """A named person said that this row is not to be loaded."""
    UNKNOWN = "unknown"
    RETRIED = "retried"
    UNDONE = "undone"
    """What an earlier load did to the record is taken back."""
    KEPT = "kept"
    """It is not taken back: people have edited the record or linked others to it since."""


_STATES = {
    RowStatus.CREATED: RowState.CREATED,
    RowStatus.UPDATED: RowState.UPDATED,
    RowStatus.UNCHANGED: RowState.UNCHANGED,
    RowStatus.DELETED: RowState.UNDONE,
    RowStatus.REJECTED: RowState.REJECTED,
    RowStatus.CONFLICT: RowState.CONFLICT,
    RowStatus.UNKNOWN: RowState.UNKNOWN,
}
LANDED = frozenset({RowState.CREATED, RowState.UPDATED, RowState.UNCHANGED, RowState.ADOPTED})
"""The record is in the target as the plan has it."""
DONE = LANDED | {RowState.UNDONE}
"""The row's plan is carried out."""


class Decision(NamedTuple):
    """What a row becomes, or None for ``state``: send it."""

    state: RowState | None
    target_id: str | None = None
    reason_code: str | None = None
    message: str = ""
    values: Values | None = None
    """Of a row to be sent: the fields to set, if not all that are planned."""
    settled: frozenset[str] | None = None
    """Of an outcome: the fields that are as the row has them, if not all."""

    @property
    def send(self) -> bool:
        """Whether the row is to be sent (again)."""
        return self.state is None


SEND = Decision(None)


def before_update(old: Values, new: Values, current: Sequence[TargetRecord], target_id: str | None) -> Decision:
    """Decide about an update with the record as it is now (promise 2).

    Args:
        old: The planned fields as they were when the plan was made.
        new: The planned fields as they are to become.
        current: The records that carry the migration key now.
        target_id: The record that the plan saw.
    """
    if not current:
        return Decision(RowState.CONFLICT, reason_code="record_gone", message="the record was deleted since the plan")
    record = current[0]
    if misfit := _misfit(current, target_id):
        return misfit
    if all(record.values.get(name) == value for name, value in new.items()):
        return Decision(RowState.UNCHANGED, target_id=record.target_id)
    drifted = sorted(name for name, value in new.items() if record.values.get(name) not in (value, old.get(name)))
    if drifted:
        return Decision(
            RowState.CONFLICT,
            target_id=record.target_id,
            reason_code="changed_since_plan",
            message=f"changed in the CRM since the plan: {', '.join(drifted)}",
        )
    return SEND


def before_create(current: Sequence[TargetRecord]) -> Decision:
    """Decide about a create whose key was looked up first: the plan saw no record, so one now is a conflict."""
    if not current:
        return SEND
    if len(current) > 1:
        return duplicates(current)
    return Decision(
        RowState.CONFLICT,
        target_id=current[0].target_id,
        reason_code="appeared_since_plan",
        message="a record with this migration key appeared since the plan",
    )


def after_answer(result: RowResult) -> Decision:
    """Turn the target's answer for one row into an outcome. Conflicts and unknowns must be probed by the caller."""
    return Decision(_STATES[result.status], result.target_id, result.reason_code, result.message)


def probe(
    op: Op,
    new: Values,
    old: Values,
    current: Sequence[TargetRecord],
    *,
    target_id: str | None,
    elapsed_s: float,
    capabilities: Capabilities,
) -> Decision:
    """Decide an open intent by looking at the target (promise 3).

    Args:
        op: What the intent asked for.
        new: The fields it was to set.
        old: The same fields before it (updates).
        current: The records that carry the migration key now.
        target_id: The record that an update was for.
        elapsed_s: Seconds since the intent, behind which the call began.
        capabilities: Of the target: when absence proves that nothing was stored.

    Returns:
        The outcome; `SEND` when nothing was stored for sure; `unknown` when that cannot be said yet.
    """
    if op is Op.CREATE:
        if len(current) > 1:
            return duplicates(current)
        if current:
            # Migration keys are ours and random: a record that carries this one is the record we created.
            return Decision(RowState.CREATED, target_id=current[0].target_id)
        return SEND if elapsed_s >= capabilities.absence_decides_after_s else _undecided()
    if not current:
        return Decision(RowState.CONFLICT, reason_code="record_gone", message="the record was deleted meanwhile")
    if misfit := _misfit(current, target_id):
        return misfit
    record = current[0]
    held = {name: record.values.get(name) for name in new}
    if all(held[name] == value for name, value in new.items()):
        return Decision(RowState.UPDATED, target_id=record.target_id)
    neither = sorted(name for name, value in held.items() if value not in (new[name], old.get(name)))
    if neither:
        return Decision(
            RowState.CONFLICT,
            target_id=record.target_id,
            reason_code="neither_old_nor_new",
            message=f"holds neither the old nor the new value: {', '.join(neither)}",
        )
    return unless_late(SEND, elapsed_s=elapsed_s, capabilities=capabilities)


def unless_late(decision: Decision, *, elapsed_s: float, capabilities: Capabilities) -> Decision:
    """Hold back what changes a record until the call before it can no longer be carried out late.

    A conditional write that lands late is refused, or our next one is: sending again is safe at once.
    """
    late_s = capabilities.call_timeout_s + capabilities.max_commit_delay_s + capabilities.read_your_writes_delay_s
    if not decision.send or capabilities.conditional_update or elapsed_s >= late_s:
        return decision
    return _undecided()


def duplicates(current: Sequence[TargetRecord]) -> Decision:
    """Several records carry one migration key: a person must say which one counts."""
    return Decision(
        RowState.CONFLICT,
        reason_code="duplicate_in_target",
        message="several records carry this migration key: " + ", ".join(sorted(r.target_id for r in current)),
    )


def _misfit(current: Sequence[TargetRecord], target_id: str | None) -> Decision | None:
    if len(current) > 1:
        return duplicates(current)
    if target_id is not None and current[0].target_id != target_id:
        return Decision(
            RowState.CONFLICT,
            target_id=current[0].target_id,
            reason_code="record_replaced",
            message=f"the migration key is on record {current[0].target_id} now, the plan saw {target_id}",
        )
    return None


def _undecided() -> Decision:
    return Decision(
        RowState.UNKNOWN, reason_code="no_answer", message="no answer, and too early to say that nothing was stored"
    )
