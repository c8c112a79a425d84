"""What a batch is made of on its way to the target, and the pure steps between two calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from rollout.connectors.base import TargetReader, Writer
from rollout.journal.crypto import Sealer
from rollout.journal.leases import Lease
from rollout.journal.plans import PlanRecord
from rollout.journal.rows import RowStates
from rollout.journal.store import Journal
from rollout.load.machine import Decision, RowState
from rollout.load.plan import Action, PlannedRow
from rollout.model.entity import Values
from rollout.model.target import Capabilities, Op, RowResult, RowStatus, TargetRecord


class LoadableTarget(TargetReader, Writer, Protocol):
    """A target as the load sees it."""

    name: str
    capabilities: Capabilities


@dataclass(frozen=True)
class LoadScope:
    """What all batches of one entity's load share."""

    journal: Journal
    plan: PlanRecord
    entity: str
    target: LoadableTarget
    sealer: Sealer
    lease: Lease
    states: RowStates
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    max_attempts: int = 5


@dataclass(frozen=True, slots=True)
class Work:
    """A row on its way to the target."""

    row: PlannedRow
    digest: str
    attempt: int
    new: Values
    """Fields to set, references resolved to target ids."""
    intent_at: datetime | None = None
    record: TargetRecord | None = None
    """The record as it was just before the write (updates)."""
    answer: RowResult | None = None
    """The target's answer to the latest attempt, where it must be probed."""

    @property
    def key(self) -> str:
        """The migration key."""
        return self.row.migration_key

    @property
    def op(self) -> Op:
        """What is asked of the target."""
        return Op.CREATE if self.row.action is Action.CREATE else Op.UPDATE


@dataclass
class Round:
    """What one look at a batch decided."""

    decided: list[tuple[Work, Decision]] = field(default_factory=list)
    send: list[Work] = field(default_factory=list)


def split_answers(
    works: Sequence[Work], results: Mapping[str, RowResult]
) -> tuple[list[tuple[Work, RowResult]], list[Work]]:
    """Part rows with a usable answer from those that must be probed."""
    answered, doubtful = [], []
    for work in works:
        result = results.get(work.key)
        if result is None or result.status in (RowStatus.UNKNOWN, RowStatus.CONFLICT):
            doubtful.append(replace(work, answer=result if result and result.status is RowStatus.CONFLICT else None))
        else:
            answered.append((work, result))
    return answered, doubtful


def after_read_back(work: Work, decision: Decision, records: Sequence[TargetRecord]) -> tuple[Decision, Work]:
    """Correct an outcome by what is really stored; the record becomes the after-image."""
    if not records:
        return replace(
            decision,
            state=RowState.UNKNOWN,
            reason_code="not_readable",
            message="stored, says the target, but not found",
        ), work
    if len(records) > 1:
        return Decision(
            RowState.CONFLICT,
            reason_code="duplicate_in_target",
            message="several records carry this migration key: " + ", ".join(sorted(r.target_id for r in records)),
        ), work
    record = records[0]
    differing = sorted(name for name, value in work.new.items() if record.values.get(name) != value)
    corrected = replace(decision, target_id=record.target_id)
    if differing:
        corrected = replace(
            corrected,
            reason_code="stored_differently",
            message=f"the target stored another value: {', '.join(differing)}",
        )
    return corrected, replace(work, record=record)


def row_place(plan_id: str, entity: str, migration_key: str) -> str:
    """Where a plan row's sealed payload belongs."""
    return f"{plan_id}/{entity}/{migration_key}"


def image_place(plan_id: str, entity: str, migration_key: str, attempt: int, kind: str) -> str:
    """Where a sealed before- or after-image belongs."""
    return f"{plan_id}/{entity}/{migration_key}/{attempt}/{kind}"
