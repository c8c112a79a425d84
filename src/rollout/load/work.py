"""What a batch is made of on its way to the target, and the pure steps between two calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rollout.connectors.base import LinkReader, TargetReader, Writer
from rollout.connectors.reasons import Reason
from rollout.journal.crypto import Sealer
from rollout.journal.leases import Lease, Throttle
from rollout.journal.plans import PlanRecord
from rollout.journal.rows import RowStates
from rollout.journal.store import Journal
from rollout.load.machine import Decision, RowState, duplicates
from rollout.load.merge_base import Fingerprint
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
    fields: tuple[str, ...]
    """The entity's fields."""
    target: LoadableTarget
    throttle: Throttle
    sealer: Sealer
    """The plan's: seals payloads and images."""
    ledger: Sealer
    """The project's: fingerprints for merge bases."""
    lease: Lease
    states: RowStates
    clock_s: Callable[[], float]
    """Monotonic seconds."""
    sleep: Callable[[float], None]
    max_attempts: int = 5
    links: LinkReader | None = None
    """Tells who refers to a record; None: the target cannot."""
    deferred: tuple[str, ...] = ()
    """Reference fields of the entity that a load sets in its second step."""
    own_login: str | None = None
    """Who we are in the target, as it says who changed a record; None: it does not tell."""

    def fingerprint(self, migration_key: str) -> Fingerprint:
        """Fingerprints of one record's values."""
        return record_fingerprint(self.ledger, self.entity, migration_key)


@dataclass(slots=True)
class Work:
    """A row on its way to the target. Its batch alone holds it, and notes on it what is learned on the way."""

    key: str
    """The migration key."""
    row: PlannedRow
    digest: str
    attempt: int
    new: Values
    """Fields to set, references resolved to target ids."""
    chosen: Values | None = None
    """Those that this attempt sets, if not all."""
    record: TargetRecord | None = None
    """The record as it was just before the write (updates), or as it was read back."""
    looked_s: float | None = None
    """When an existing record was looked at for the write, on the scope's clock."""
    sent_s: float | None = None
    """When the intent was journalled, on the scope's clock; None: it was not."""
    before_image: bytes | None = None
    """The record before the write, as it was sealed for the intent."""
    answer: RowResult | None = None
    """The target's answer to the latest attempt, where the row must be probed."""
    claimed_id: str | None = None
    """The target said that it stored the row under this id, but its reads do not show it."""
    probed: bool = False
    """The outcome was found by looking: people may have changed the record before we did."""

    @property
    def op(self) -> Op:
        """What is asked of the target."""
        return _OPS[self.row.action]

    @property
    def sends(self) -> Values:
        """The fields that this attempt sets."""
        return self.new if self.chosen is None else self.chosen


_OPS = dict.fromkeys(Action, Op.UPDATE)
_OPS |= {Action.CREATE: Op.CREATE, Action.DELETE: Op.DELETE, Action.RELEASE: Op.RELEASE}
BY_ID = frozenset({Action.ADOPT, Action.DELETE, Action.RESTORE, Action.RELEASE})
"""Actions whose record is found by its id: it has our key not yet, or not any more."""


@dataclass
class Round:
    """What one look at a batch decided."""

    decided: list[tuple[Work, Decision]] = field(default_factory=list)
    send: list[Work] = field(default_factory=list)

    def note(self, looked: Sequence[tuple[Work, Decision]]) -> None:
        """Part what is decided from what is to be sent."""
        for work, decision in looked:
            if decision.send:
                self.send.append(work)
            else:
                self.decided.append((work, decision))


def split_answers(
    works: Sequence[Work], answers: Mapping[str, Sequence[RowResult]]
) -> tuple[list[tuple[Work, RowResult]], list[Work]]:
    """Part rows with one usable answer from those that must be probed."""
    answered: list[tuple[Work, RowResult]] = []
    doubtful: list[Work] = []
    for work in works:
        results = answers.get(work.key, ())
        if len(results) != 1 or results[0].status is RowStatus.UNKNOWN:
            doubtful.append(work)
        elif results[0].status is RowStatus.CONFLICT or results[0].reason_code == Reason.REFERENCED:
            work.answer = results[0]
            doubtful.append(work)
        else:
            answered.append((work, results[0]))
    return answered, doubtful


def after_read_back(work: Work, decision: Decision, records: Sequence[TargetRecord]) -> tuple[Work, Decision]:
    """Correct an outcome by what is really stored; the record becomes the after-image."""
    if not records:
        unseen = Decision(
            RowState.UNKNOWN,
            decision.target_id,
            "not_readable",
            "stored, says the target, but its reads do not show it",
        )
        return work, unseen
    if len(records) > 1:
        return work, duplicates(records)
    record = records[0]
    state, reason, told = decision.state, decision.reason_code, decision.message
    if not work.new.items() <= record.values.items():
        differing = [name for name, value in work.new.items() if record.values.get(name) != value]
        if differing:
            reason, told = "stored_differently", f"the target stored another value: {', '.join(sorted(differing))}"
    work.record = record
    return work, Decision(state, record.target_id, reason, told)


def record_fingerprint(ledger: Sealer, entity: str, migration_key: str) -> Fingerprint:
    """Fingerprints of one record's values: equal values of other records or fields do not look alike."""
    return ledger.fingerprints(f"{entity}/{migration_key}")


def row_place(plan_id: str, entity: str, migration_key: str) -> str:
    """Where a plan row's sealed payload belongs."""
    return f"{plan_id}/{entity}/{migration_key}"


def image_place(plan_id: str, entity: str, migration_key: str, attempt: int, kind: str, *, step: int = 1) -> str:
    """Where a sealed before- or after-image belongs."""
    of_step = f"{step}." if step > 1 else ""
    return f"{plan_id}/{entity}/{migration_key}/{of_step}{attempt}/{kind}"
