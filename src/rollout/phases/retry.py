"""`load --retry`: a plan of the rows that an earlier one left over, as named persons decided about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor

from rollout.errors import DriftError
from rollout.journal.leases import Lease
from rollout.journal.overlay import lines
from rollout.journal.plans import PlanRecord
from rollout.journal.row_decisions import RowDecision
from rollout.load.adopt import Adoptions
from rollout.load.decided import settle_fields
from rollout.load.plan import PlannedRow, Reference, plan_row
from rollout.load.work import record_fingerprint
from rollout.model.choice import Choice
from rollout.phases.adoption import AdoptionFinder
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.drift import drifted, plan_inputs
from rollout.phases.golden import GoldenRecord
from rollout.phases.plan import PlanSummary, plan_wave
from rollout.phases.planner import Known, Planner, given_values
from rollout.phases.rejects import Queue

UNFINISHED = ("none", "waiting")
"""States of rows that no decision is needed about: they are sent once what they wait for is there."""


class RetryPlanner(Planner):
    """Plans the rows that are sent again: those with a decision, and those that no load has finished."""

    def __init__(
        self,
        context: PhaseContext,
        target: TargetConnector,
        target_name: str,
        wave: str,
        background: Executor,
        *,
        wanted: Mapping[str, Collection[str]],
        decided: Mapping[str, Mapping[str, RowDecision]],
    ) -> None:
        super().__init__(context, target, target_name, wave, background)
        self._wanted = wanted
        self._decided = decided

    def _golden(self, entity: str) -> Iterator[Sequence[GoldenRecord]]:
        wanted = self._wanted.get(entity, ())
        if not wanted:
            return
        for batch in super()._golden(entity):
            chosen = [record for record in batch if record.golden_key in wanted]
            if chosen:
                yield chosen

    def _settled(self, finder: AdoptionFinder, adoptions: Adoptions) -> Adoptions:
        # The plan beneath names its rows by their keys, so none may change: the next whole plan sees to it.
        return finder.held_back(adoptions)

    def _compared_row(
        self, entity: str, record: GoldenRecord, key: str, references: dict[str, Reference], known: Known
    ) -> PlannedRow:
        row = super()._compared_row(entity, record, key, references, known)
        decision = self._decided.get(entity, {}).get(key)
        if decision is None:
            return row
        fingerprint = record_fingerprint(self._ledger, entity, key)
        if decision.action is Choice.USE_LEGACY and row.reason_code == "record_gone":
            return plan_row(
                key,
                record.golden_key,
                given_values(record),
                references,
                current=(),
                base=None,
                parent_ids=known.parent_ids,
                fingerprint=fingerprint,
                deferrable=self._deferrable[entity],
            )
        by_field = decision.counting(row.old)
        return settle_fields(row, by_field, parent_ids=known.parent_ids, fingerprint=fingerprint) if by_field else row


class Retry:
    """What a retry of a wave takes up again.

    Args:
        context: The phase's context.
        queue: The wave's, its decisions recorded.
    """

    def __init__(self, context: PhaseContext, queue: Queue) -> None:
        self._context = context
        self._overlay = queue.overlay
        self.decided: dict[str, dict[str, RowDecision]] = {}
        self.rows = 0
        """Rows that it sends, or closes, as somebody decided."""
        self.unfinished = 0
        """Rows that no load has come to yet: nobody saw them in the queue."""
        self._wanted: dict[str, set[str]] = {}
        for entity in context.project.spec.load_order:
            pending = {
                line.migration_key: decision
                for line in queue.lines(entity, skipped=True)
                if (decision := queue.pending(entity, line))
            }
            self.decided[entity] = pending
            self._wanted[entity] = {decision.golden_key for decision in pending.values()}
            self.rows += len(pending)
            with context.journal.transaction() as connection:
                for line in lines(connection, queue.overlay, entity=entity, states=UNFINISHED):
                    is_resent = line.state == "none" and queue.pending(entity, line) is not None
                    self._wanted[entity].add(line.golden_key)
                    self.rows += is_resent
                    self.unfinished += line.state == "none" and not is_resent

    def plan(self, lease: Lease) -> PlanSummary:
        """Make the plan, under the target's lease.

        Raises:
            DriftError: Sources or rules changed since the load: the rows are no longer those that people saw.
            Retryable: The target or the database cannot be reached.
        """
        base = self._overlay.base
        refuse_other_sources(self._context, base)

        def make(
            context: PhaseContext, target: TargetConnector, target_name: str, wave: str, background: Executor
        ) -> Planner:
            return RetryPlanner(
                context, target, target_name, wave, background, wanted=self._wanted, decided=self.decided
            )

        return plan_wave(self._context, base.wave, lease, kind="retry", scope={"of": base.plan_id}, make_planner=make)


def refuse_other_sources(context: PhaseContext, base: PlanRecord) -> None:
    """Raises DriftError where a retry would send other rows than the load left over."""
    target_name, _, target = context.target("plan")
    now = plan_inputs(context, target_name, target, base.wave)
    # What people said since of records that the target held before is what a retry is for.
    changes = drifted({**base.inputs, **{name: now[name] for name in ("target_schema", "adoptions")}}, now)
    if changes:
        raise DriftError(
            f"changed since plan {base.plan_id} was loaded: {'; '.join(changes)}",
            hint="run `rollout cleanse` and `rollout plan` (or `rollout delta`): decisions and repairs are kept",
        )
