"""The queue of rejects comes back: checked as a whole, signed by name, recorded, and what is sent again is planned."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from rollout.journal import audit_trail, crosswalk, people, row_decisions
from rollout.journal.leases import Lease, Throttle
from rollout.journal.ledger import Ledger
from rollout.journal.plans import Plans
from rollout.journal.row_decisions import RowDecision
from rollout.journal.rows import SECOND_STEP, STEP
from rollout.load.decided import ABANDONED
from rollout.load.machine import SEND, Decision, RowState
from rollout.load.plan import UNDOING, Action
from rollout.load.sending import Sender
from rollout.mapping.transforms_base import TransformContext
from rollout.model.base import Frozen
from rollout.model.choice import OF_UNKNOWN, Choice
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.leases import working_on
from rollout.phases.pace import few_collections
from rollout.phases.plan import PlanSummary, refuse_unfinished_undo
from rollout.phases.plan_tally import EntityPlan
from rollout.phases.rejects import LeftOver, Queue, chosen_overlay
from rollout.phases.rejects_check import Checker, SheetProblem, matched, refuse_another
from rollout.phases.retry import Retry, refuse_other_sources
from rollout.phases.settle import load_scope, settle_open_lines
from rollout.report.rejects_workbook import FilledLine, read_rejects

_LANDED_AS = {Action.CREATE: RowState.CREATED, Action.ADOPT: RowState.ADOPTED}


class ImportSummary(Frozen):
    """What became of a workbook that came back."""

    target: str
    wave: str
    problems: tuple[SheetProblem, ...] = Field(default=(), description="Any of them, and nothing was done.")
    decisions: dict[str, int] = Field(default_factory=dict, description="Rows by what was decided.")
    gone: int = Field(default=0, description="Rows with an action that are settled or were decided by looking since.")
    plan_id: str | None = Field(default=None, description="The plan of what is sent again; None: nothing is.")
    approved: bool = Field(default=False, description="By the person who decided, who saw every row of it.")
    entities: dict[str, EntityPlan] = Field(default_factory=dict, description="What that plan does.")
    unfinished: int = Field(default=0, description="Rows of that plan that no load came to yet.")
    file: str | None = None


@dataclass(frozen=True)
class _Desk:
    """What an import works with, under the target's lease."""

    context: PhaseContext
    target_name: str
    target: TargetConnector
    lease: Lease

    def queue(self, wave: str | None) -> Queue:
        """The wave's queue as it is now."""
        return Queue(self.context, self.target_name, self.target, chosen_overlay(self.context, self.target_name, wave))

    def checker(self, queue: Queue) -> Checker:
        """Checks lines against the target and the ledger."""
        spec = self.context.project.spec
        return Checker(
            entities=spec.entities,
            known={
                (entity, key): decision
                for entity in spec.load_order
                for key, decision in queue.repairs.of(entity).items()
            },
            find=self.find,
            parents=self.parent,
            ours=self.record_id,
            deserted=self.is_deserted,
            context=TransformContext(
                phone_region=spec.project.phone_region,
                placeholders=spec.cleanse.placeholders,
                time_zone=spec.project.time_zone,
            ),
            language=spec.project.languages[0],
        )

    def find(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        """Records of the target by id."""
        Throttle(self.context.journal, self.target.name, self.target.capabilities, time.sleep).wait()
        return self.target.read_by_ids(entity, target_ids)

    def record_id(self, entity: str, migration_key: str) -> str | None:
        """The id of the record that a row is known to be."""
        project_id = self.context.journal.project_id
        with self.context.journal.transaction() as connection:
            found = crosswalk.target_ids(connection, project_id, entity, self.target_name, [migration_key])
        return found.get(migration_key)

    def is_deserted(self, entity: str, target_id: str) -> bool:
        """Whether a record of ours is there that no row stands for any more."""
        with self.context.journal.transaction() as connection:
            return target_id in crosswalk.deserted(
                connection, self.context.journal.project_id, entity, self.target_name
            )

    def is_known(self, entity: str, golden_key: str) -> bool:
        """Whether the project ever planned a record of this key."""
        with self.context.journal.transaction() as connection:
            return bool(crosswalk.keys(connection, self.context.journal.project_id, entity, [golden_key]))

    def parent(self, entity: str, key: str) -> str | None:
        """The golden key of the record that a person named by its key."""
        sources = self.context.project.spec.entities[entity].sources
        ledger = Ledger(self.context.journal.project_id)
        with self.context.journal.transaction() as connection:
            for source_key in (key, *(f"{source.name}:{key}" for source in sources)):
                if golden := ledger.golden_key(connection, entity, source_key):
                    return golden
        return None


def import_rejects(context: PhaseContext, path: Path, *, person: str, code: str, reason: str) -> ImportSummary:
    """Carry out what a person decided in a workbook of the queue.

    All lines are checked first; if one of them cannot be done, nothing is. The person's name and code stand for the
    decisions, and approve the plan that follows from them.

    Args:
        context: The phase's context.
        path: The workbook.
        person: Who decided.
        code: Their personal code.
        reason: Why, in a sentence.

    Raises:
        ApprovalError: Wrong code, unknown person, no reason; or an undo is not finished.
        ConfigError: It is no such workbook, or that of another project, target or wave.
        DriftError: Sources or rules changed since the load.
        LeaseHeld: The target is being planned or loaded.
        Retryable: The target or the database cannot be reached. What was decided is kept; import again.
    """
    info, lines = read_rejects(path)
    target_name, _, target = context.target("load")
    refuse_another(info, project=context.project.spec.project.id, target=target_name)
    people.sign(context.journal, person, code, reason)
    with few_collections(), working_on(context, target_name, target) as lease:
        settle_open_lines(context, target_name, target, lease)
        desk = _Desk(context, target_name, target, lease)
        queue = desk.queue(info.get("wave"))
        refuse_other_sources(context, queue.overlay.base)
        rows = _asked_for(desk, queue, lines)
        filled, problems, gone = matched(lines, rows, context.project.spec.entities, desk.is_known)
        checker = desk.checker(queue)
        checker.problems += problems
        decisions = checker.decide(filled)
        told = ImportSummary(target=target_name, wave=queue.overlay.base.wave, gone=gone)
        if checker.problems:
            return told.model_copy(update={"problems": tuple(sorted(checker.problems, key=lambda found: found.line))})
        if not decisions:
            return told
        if not all(rows[decision.entity, decision.golden_key].is_undo for decision in decisions):
            refuse_unfinished_undo(context, target_name)
        told = told.model_copy(update={"decisions": dict(Counter(decision.action.value for decision in decisions))})
        with context.journal.running("rejects", wave=told.wave) as run:
            _record(desk, decisions, person=person, reason=reason)
            conclude_unknown(desk, run.run_id, decisions, checker.found)
            told = _plan(desk, told, person=person, reason=reason)
            run.summary = told.model_dump(mode="json")
    return told


def _asked_for(desk: _Desk, queue: Queue, lines: Sequence[FilledLine]) -> dict[tuple[str, str], LeftOver]:
    """The rows of the queue that the workbook has lines of, by entity and golden key."""
    rows: dict[tuple[str, str], LeftOver] = {}
    for entity in desk.context.project.spec.load_order:
        keys = {line.key for line in lines if line.entity == entity}
        found = [line for line in queue.lines(entity, skipped=True) if line.golden_key in keys] if keys else []
        rows |= {(entity, row.line.golden_key): row for row in queue.rows(entity, found)}
    return rows


def _record(desk: _Desk, decisions: Sequence[RowDecision], *, person: str, reason: str) -> None:
    """Record who decided what; a key of its own keeps repairs readable when the plans' images are destroyed."""
    journal = desk.context.journal
    sealer = journal.new_data_key("repair")
    with journal.transaction() as connection:
        desk.lease.assert_fence(connection)
        row_decisions.record(
            connection,
            journal.project_id,
            desk.target_name,
            (
                (
                    decision,
                    sealer.seal(decision.details(), row_decisions.place(decision.entity, decision.migration_key)),
                )
                for decision in decisions
            ),
            key_id=sealer.key_id,
            person=person,
            reason=reason,
            at=desk.context.clock(),
        )
        counts = Counter(decision.action.value for decision in decisions)
        audit_trail.append(
            connection,
            journal.project_id,
            person,
            "rejects.decided",
            desk.target_name,
            {"decisions": dict(counts), "reason": reason},
        )


def conclude_unknown(
    desk: _Desk, run_id: str, decisions: Sequence[RowDecision], found: Mapping[str, TargetRecord]
) -> None:
    """Close the lines whose outcome only a person could tell."""
    by_entity: dict[str, dict[str, RowDecision]] = {}
    for decision in decisions:
        if decision.action in OF_UNKNOWN:
            by_entity.setdefault(decision.entity, {})[decision.migration_key] = decision
    if not by_entity:
        return
    journal = desk.context.journal
    with journal.transaction() as connection:
        open_plans = Plans(journal.project_id).with_open_lines(connection, desk.target_name)
    for plan, entity in open_plans:
        chosen = by_entity.get(entity, {})
        for step in (STEP, SECOND_STEP):
            scope = load_scope(desk.context, plan, entity, desk.target, lease=desk.lease, run_id=run_id, step=step)
            with journal.transaction() as connection:
                lines = [line for line in scope.states.open_lines(connection) if line.migration_key in chosen]
                actions = Plans(journal.project_id).rows_by_key(
                    connection, plan.plan_id, entity, [line.migration_key for line in lines]
                )
            Sender(scope).conclude(
                lines,
                {
                    line.migration_key: (
                        _outcome(chosen[line.migration_key], Action(actions[line.migration_key].action), step),
                        found.get(line.migration_key),
                    )
                    for line in lines
                },
            )


def _outcome(decision: RowDecision, action: Action, step: int) -> Decision:
    """How a person's word closes a line."""
    if decision.action is Choice.RESEND:
        return SEND
    if action in UNDOING:
        state = RowState.UNDONE if decision.action is Choice.LANDED else RowState.KEPT
        return Decision(state, decision.target_id, None if state is RowState.UNDONE else ABANDONED)
    if decision.action is Choice.ABANDON:
        return Decision(RowState.SKIPPED, None, ABANDONED)
    return Decision(_LANDED_AS.get(action, RowState.UPDATED) if step == STEP else RowState.UPDATED, decision.target_id)


def _plan(desk: _Desk, told: ImportSummary, *, person: str, reason: str) -> ImportSummary:
    """Plan what is sent again, and approve it in the name of the person who decided, if they saw all of it."""
    queue = desk.queue(told.wave)
    _finish(desk, queue)
    retry = Retry(desk.context, queue)
    if not retry.rows or queue.overlay.newest.kind == "undo":
        return told
    summary = retry.plan(desk.lease)
    if not retry.unfinished:
        _approve(desk, summary, person=person, reason=reason)
    return told.model_copy(
        update={
            "plan_id": summary.plan_id,
            "approved": not retry.unfinished,
            "entities": summary.entities,
            "unfinished": retry.unfinished,
            "file": summary.file,
        }
    )


def _approve(desk: _Desk, summary: PlanSummary, *, person: str, reason: str) -> None:
    journal, plans = desk.context.journal, Plans(desk.context.journal.project_id)
    with journal.transaction() as connection:
        desk.lease.assert_fence(connection)
        plan = plans.get(connection, summary.plan_id)
        assert plan is not None
        plans.approve(connection, plan, person=person, reason=reason)
        detail = {"plan_hash": plan.plan_hash, "reason": reason}
        audit_trail.append(connection, journal.project_id, person, "plan.approved", plan.plan_id, detail)


def _finish(desk: _Desk, queue: Queue) -> None:
    """Plans of which the last open line was closed are applied."""
    plans = Plans(desk.context.journal.project_id)
    with desk.context.journal.transaction() as connection:
        desk.lease.assert_fence(connection)
        for plan in queue.overlay.plans:
            if plan.state == "loading" and plans.is_done(connection, plan.plan_id):
                plans.move(connection, plan.plan_id, "applied", before=("loading",))
