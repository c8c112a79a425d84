"""Plans, their rows and their approvals, as the journal keeps them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, desc, func, insert, or_, select, text, update

import rollout
from rollout.errors import ApprovalError
from rollout.journal import schema
from rollout.journal.engine import ROUGHLY, analyze
from rollout.journal.plan_rows import PlanRows, RowIdentity, StoredRow

__all__ = [
    "COVERING",
    "FORWARD",
    "TAKING_BACK",
    "ApprovalRecord",
    "PlanRecord",
    "Plans",
    "RowIdentity",
    "StoredRow",
]

FORWARD = ("load", "delta", "retry")
"""Kinds of plans that load records."""
COVERING = ("load", "delta")
"""Kinds of plans that hold every record of their wave."""
TAKING_BACK = ("undo", "unmerge")
"""Kinds of plans that take back what others did; they must be finished once they have begun."""


@dataclass(frozen=True)
class PlanRecord:
    """A plan's header."""

    plan_id: str
    target: str
    wave: str
    state: str
    plan_hash: str
    key_id: str
    inputs: dict[str, Any]
    counts: dict[str, dict[str, int]]
    estimate: dict[str, Any]
    code_version: str
    created_at: datetime
    kind: str = "load"
    """load | delta | retry | undo | unmerge."""
    scope: Mapping[str, Any] = field(default_factory=dict)
    """Of an undo or unmerge: what it takes back. Of a retry: the plan whose rows it takes up again."""

    @property
    def order(self) -> list[str]:
        """The plan's entities in the order that they were planned in, and its hash was made in."""
        return list(self.inputs["order"])


@dataclass(frozen=True)
class ApprovalRecord:
    """Who approved a plan."""

    person: str
    reason: str
    plan_hash: str
    at: datetime


class Plans(PlanRows):
    """The plans of a project, and their rows."""

    def forget_drafts(self, connection: Connection, target: str) -> None:
        """Remove what interrupted planning left. Drafts were never complete, and nobody could approve them."""
        drafts = select(schema.plan.c.plan_id).where(
            schema.plan.c.project_id == self._project_id,
            schema.plan.c.target == target,
            schema.plan.c.state == "draft",
        )
        connection.execute(delete(schema.plan_row).where(schema.plan_row.c.plan_id.in_(drafts)))
        connection.execute(delete(schema.plan).where(schema.plan.c.plan_id.in_(drafts)))

    def create(
        self,
        connection: Connection,
        *,
        target: str,
        wave: str,
        key_id: str,
        kind: str = "load",
        scope: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a plan; answers its id. It cannot be approved before it is sealed."""
        plan_id = uuid.uuid4().hex[:12]
        connection.execute(
            insert(schema.plan).values(
                plan_id=plan_id,
                project_id=self._project_id,
                kind=kind,
                scope=dict(scope or {}),
                target=target,
                wave=wave,
                state="draft",
                plan_hash="",
                key_id=key_id,
                inputs={},
                counts={},
                estimate={},
                code_version=rollout.__version__,
                created_at=datetime.now(UTC),
            )
        )
        return plan_id

    def seal(
        self,
        connection: Connection,
        plan_id: str,
        *,
        plan_hash: str,
        inputs: Mapping[str, Any],
        counts: Mapping[str, Any],
        estimate: Mapping[str, Any],
    ) -> None:
        """Finish a draft: from here on it is what people approve."""
        analyze(connection, schema.plan_row, statistics_target=ROUGHLY)
        connection.execute(
            update(schema.plan)
            .where(schema.plan.c.plan_id == plan_id, schema.plan.c.state == "draft")
            .values(
                state="proposed",
                plan_hash=plan_hash,
                inputs=dict(inputs),
                counts=dict(counts),
                estimate=dict(estimate),
            )
        )

    def supersede_older(
        self, connection: Connection, plan_id: str, target: str, wave: str, *, kind: str = "load"
    ) -> None:
        """A new plan of a target and wave takes the place of those that its rows are made without regard to.

        A plan that loads takes the place of every one that loads and is not wholly applied, and of those that take
        back and are not begun. A plan that takes back takes the place of those that take back and are not begun.
        """
        not_begun = and_(schema.plan.c.kind.in_(TAKING_BACK), schema.plan.c.begun_at.is_(None))
        replaced = or_(schema.plan.c.kind.in_(FORWARD), not_begun) if kind in FORWARD else not_begun
        self._supersede(connection, plan_id, *_of(target, wave), replaced)

    def supersede_loads(self, connection: Connection, plan_id: str, target: str, wave: str) -> None:
        """What takes back has begun: the plans that load, and are not wholly applied, rest on what is no longer so."""
        self._supersede(connection, plan_id, *_of(target, wave), schema.plan.c.kind.in_(FORWARD))

    def _supersede(self, connection: Connection, plan_id: str, *where: Any) -> None:
        connection.execute(
            update(schema.plan)
            .where(
                schema.plan.c.project_id == self._project_id,
                schema.plan.c.plan_id != plan_id,
                schema.plan.c.state.in_(["proposed", "approved", "loading"]),
                *where,
            )
            .values(state="superseded")
        )

    def move(self, connection: Connection, plan_id: str, state: str, *, before: Sequence[str]) -> None:
        """Move a plan on: proposed → approved → loading → applied.

        Raises:
            ApprovalError: The plan is in none of the states ``before`` any more: a newer one took its place.
        """
        values: dict[str, Any] = {"state": state}
        if state == "loading":
            values["begun_at"] = func.coalesce(schema.plan.c.begun_at, func.clock_timestamp())
        moved = connection.execute(
            update(schema.plan)
            .where(schema.plan.c.plan_id == plan_id, schema.plan.c.state.in_(list(before)))
            .values(**values)
        ).rowcount
        if not moved:
            raise ApprovalError(
                f"plan {plan_id} is no longer {' or '.join(before)}: a newer plan took its place",
                hint="see `rollout plan`, have the newest plan approved, and load that",
            )

    def get(self, connection: Connection, plan_id: str) -> PlanRecord | None:
        """One plan of this project."""
        return self._one(connection, schema.plan.c.plan_id == plan_id)

    def latest(
        self,
        connection: Connection,
        target: str,
        states: Sequence[str],
        *,
        wave: str | None = None,
        kinds: Sequence[str] | None = None,
    ) -> PlanRecord | None:
        """The newest plan of a target, of a wave and of kinds (None: of any), in one of the states."""
        return self._one(connection, *_of(target, wave, kinds), schema.plan.c.state.in_(list(states)))

    def latest_approved(
        self,
        connection: Connection,
        target: str,
        states: Sequence[str],
        *,
        wave: str | None = None,
        kinds: Sequence[str] = FORWARD,
    ) -> PlanRecord | None:
        """Of the plans in one of the states the one approved last, whichever was made first."""
        approved = (
            select(func.max(schema.approval.c.seq))
            .where(schema.approval.c.plan_id == schema.plan.c.plan_id)
            .scalar_subquery()
        )
        where = (*_of(target, wave, kinds), schema.plan.c.state.in_(list(states)))
        return self._one(connection, *where, order=(desc(approved).nulls_last(),))

    def latest_begun(self, connection: Connection, target: str, *, wave: str | None = None) -> PlanRecord | None:
        """The newest plan of all of a wave's records that a load has begun, superseded since or not.

        Of the wave begun last where none is named. Retries and undos hold only some records, see
        `rollout.journal.overlay`.
        """
        begun = schema.plan.c.begun_at
        where = (*_of(target, wave), begun.is_not(None), schema.plan.c.kind.in_(["load", "delta"]))
        return self._one(connection, *where, order=(desc(begun),))

    def latest_tried(self, connection: Connection, target: str, wave: str, *, kind: str) -> PlanRecord | None:
        """The plan of a wave's records in a target that another target's plan of a kind is best compared with.

        The newest of that kind that a load has begun; where there is none, of any kind that holds all records; where
        nothing was begun, the newest that was made.
        """
        table = schema.plan.c
        where = (*_of(target, wave, COVERING), table.state != "draft")
        order = (table.begun_at.is_(None), table.kind != kind, desc(table.begun_at).nulls_last())
        return self._one(connection, *where, order=order)

    def is_loaded(self, connection: Connection, target: str, wave: str) -> bool:
        """Whether a load or delta of a wave was begun, and no undo of it has begun since."""
        query = text("""
            SELECT EXISTS (
              SELECT FROM plan p WHERE p.project_id = :project AND p.target = :target AND p.wave = :wave
                AND p.kind = ANY(:covering) AND p.begun_at IS NOT NULL AND NOT EXISTS (
                  SELECT FROM plan u WHERE u.project_id = p.project_id AND u.target = p.target AND u.kind = 'undo'
                    AND u.begun_at IS NOT NULL AND u.scope -> 'plans' @> to_jsonb(p.plan_id)))
        """)
        where = {"project": self._project_id, "target": target, "wave": wave, "covering": list(COVERING)}
        return bool(connection.execute(query, where).scalar_one())

    def _one(self, connection: Connection, *where: Any, order: Sequence[Any] = ()) -> PlanRecord | None:
        row = (
            connection.execute(
                select(schema.plan)
                .where(schema.plan.c.project_id == self._project_id, *where)
                .order_by(*order, desc(schema.plan.c.seq))
                .limit(1)
            )
            .mappings()
            .first()
        )
        return PlanRecord(**{name: row[name] for name in PlanRecord.__dataclass_fields__}) if row else None

    def approve(self, connection: Connection, plan: PlanRecord, *, person: str, reason: str) -> None:
        """Record an approval of the plan as it is now. Raises ApprovalError if a newer one took its place."""
        self.move(connection, plan.plan_id, "approved", before=("proposed", "approved"))
        connection.execute(
            insert(schema.approval).values(
                project_id=self._project_id,
                plan_id=plan.plan_id,
                plan_hash=plan.plan_hash,
                person=person,
                reason=reason,
                at=datetime.now(UTC),
            )
        )

    def approval(self, connection: Connection, plan: PlanRecord) -> ApprovalRecord | None:
        """The newest approval that covers exactly this plan."""
        table = schema.approval
        row = (
            connection.execute(
                select(table)
                .where(table.c.plan_id == plan.plan_id, table.c.plan_hash == plan.plan_hash)
                .order_by(desc(table.c.seq))
                .limit(1)
            )
            .mappings()
            .first()
        )
        return ApprovalRecord(**{name: row[name] for name in ApprovalRecord.__dataclass_fields__}) if row else None

    def with_open_lines(self, connection: Connection, target: str) -> list[tuple[PlanRecord, str]]:
        """Plans of a target, oldest first, each with an entity that has lines whose outcome is not decided."""
        query = text("""
            SELECT DISTINCT p.seq, p.plan_id, s.entity FROM row_state s JOIN plan p USING (plan_id)
            WHERE p.project_id = :project AND p.target = :target AND s.state IN ('intent', 'unknown')
            ORDER BY p.seq, s.entity
        """)
        found = connection.execute(query, {"project": self._project_id, "target": target}).all()
        plans = {row.plan_id: self.get(connection, row.plan_id) for row in found}
        return [(plan, row.entity) for row in found if (plan := plans[row.plan_id]) is not None]


def _of(target: str, wave: str | None, kinds: Sequence[str] | None = None) -> list[Any]:
    """Conditions: plans of a target, and of a wave and kinds if they are named."""
    return [
        schema.plan.c.target == target,
        *([schema.plan.c.wave == wave] if wave is not None else []),
        *([schema.plan.c.kind.in_(list(kinds))] if kinds is not None else []),
    ]
