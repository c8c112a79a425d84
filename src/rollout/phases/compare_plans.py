"""Compares a target's plan with the one of another target, record by record: what the trial did not show.

Read from the journal alone; neither target is called, and nothing is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal.crypto import Sealer
from rollout.journal.facts import RESTED_ON
from rollout.journal.plans import COVERING, PlanRecord, Plans, StoredRow
from rollout.load.plan import PlannedRow
from rollout.load.plan_compare import Difference, RowDifference, compared
from rollout.load.work import row_place
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.phases.wave_order import refuse_unknown_wave
from rollout.report.files import write_list

COLUMNS = ("entity", "key", "difference", "here", "there", "fields")
_STATES = ("proposed", "approved", "loading", "applied")
_PAGE_ROWS = 5_000
"""Rows of each plan that are held at once."""


class EntityComparison(Frozen):
    """How two plans do with the records of one entity."""

    same: int = 0
    other_action: int = Field(default=0, description="Something else is done, or left to people for another reason.")
    other_values: int = Field(default=0, description="The same is done, and fields differ afterwards.")
    only_here: int = 0
    only_there: int = 0
    actions: dict[str, int] = Field(
        default_factory=dict, description="Records by `action here / action there`, where these differ."
    )
    fields: dict[str, int] = Field(default_factory=dict, description="Records by field that differs; never its values.")


class PlanComparison(Frozen):
    """A plan beside the plan of another target."""

    wave: str
    target: str
    plan_id: str
    kind: str
    other_target: str
    other_plan_id: str
    other_kind: str
    same_inputs: bool = Field(description="Both rest on the same sources and rules.")
    values_known: bool = Field(description="False: one plan's values were destroyed, and only actions were compared.")
    same: int
    differing: int
    entities: dict[str, EntityComparison]
    file: str | None = Field(description="The records that differ, one a line, relative to the workspace.")

    @property
    def is_same(self) -> bool:
        """Nothing differs, and everything was compared."""
        return not self.differing and self.values_known


def compare_plans(context: PhaseContext, *, other: str | None = None, wave: str | None = None) -> PlanComparison:
    """Compare the newest plan of the target of the phase `plan` with the one of another target.

    Of the other target the newest plan of the same kind that was loaded counts, then any that was loaded, then the
    newest that was made.

    Args:
        context: The phase's context.
        other: The other target; None: the one that this target is loaded after.
        wave: Its name; None: the one of the newest plan.

    Raises:
        ConfigError: There is no such target, wave or plan.
    """
    target_name = context.target("plan")[0]
    named = other or context.project.spec.targets[target_name].after
    _refuse_unknown_target(context, target_name, named)
    if wave is not None:
        refuse_unknown_wave(context, wave)
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        here = plans.latest(connection, target_name, _STATES, wave=wave, kinds=COVERING)
        there = plans.latest_tried(connection, str(named), here.wave, kind=here.kind) if here else None
    if here is None or there is None:
        missing, of = (target_name, wave) if here is None else (named, here.wave)
        raise ConfigError(
            f"there is no plan for target '{missing}'" + (f" of wave '{of}'" if of else ""),
            hint="make it with `rollout plan`, in the environment that works on this target (`--env`)",
        )
    return _Comparison(context, here, there).run()


def compare_with_trial(context: PhaseContext, plan_id: str) -> PlanComparison | None:
    """Compare a plan with the one that the target before its own was loaded by; None where there is none."""
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        here = plans.get(connection, plan_id)
        other = context.project.spec.targets[here.target].after if here else None
        there = plans.latest_tried(connection, other, here.wave, kind=here.kind) if here and other else None
    return _Comparison(context, here, there).run() if here and there else None


def _refuse_unknown_target(context: PhaseContext, target_name: str, other: str | None) -> None:
    known = [name for name in context.project.spec.targets if name != target_name]
    if other not in known:
        told = "no target to compare with is named" if other is None else f"there is no other target '{other}'"
        raise ConfigError(told, hint=f"known besides '{target_name}': {', '.join(known) or 'none'}")


@dataclass
class _Tally:
    """What is counted of one entity."""

    same: int = 0
    kinds: Counter[Difference] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)

    def result(self) -> EntityComparison:
        return EntityComparison(
            same=self.same,
            **{kind.value: count for kind, count in self.kinds.items()},
            actions=dict(sorted(self.actions.items())),
            fields=dict(sorted(self.fields.items())),
        )


class _Comparison:
    """One comparison of two plans."""

    def __init__(self, context: PhaseContext, here: PlanRecord, there: PlanRecord) -> None:
        self._context = context
        self._here, self._there = here, there
        self._plans = Plans(context.journal.project_id)
        self._sealers = (self._sealer(here), self._sealer(there))
        self._lines: list[tuple[str, ...]] = []

    def run(self) -> PlanComparison:
        here, there = self._here, self._there
        order = [*here.order, *(name for name in there.order if name not in here.order)]
        entities = {name: self._entity(name) for name in order}
        return PlanComparison(
            wave=here.wave,
            target=here.target,
            plan_id=here.plan_id,
            kind=here.kind,
            other_target=there.target,
            other_plan_id=there.plan_id,
            other_kind=there.kind,
            same_inputs=all(here.inputs[name] == there.inputs[name] for name in RESTED_ON),
            values_known=None not in self._sealers,
            same=sum(found.same for found in entities.values()),
            differing=len(self._lines),
            entities=entities,
            file=self._write() if self._lines else None,
        )

    def _sealer(self, plan: PlanRecord) -> Sealer | None:
        try:
            return self._context.journal.sealer(plan.key_id)
        except ConfigError:  # destroyed when the time to take it back was over: actions are still known
            return None

    def _entity(self, entity: str) -> EntityComparison:
        tally = _Tally()
        for here, there in self._pairs(entity):
            found = self._compared(entity, here, there)
            if found is None:
                tally.same += 1
                continue
            tally.kinds[found.kind] += 1
            tally.fields.update(found.fields)
            if found.kind is Difference.ACTION:
                tally.actions[f"{_told(here)} / {_told(there)}"] += 1
            self._lines.append(
                (entity, here.golden_key, found.kind.value, _told(here), _told(there), ", ".join(found.fields))
            )
        self._alone(entity, tally)
        return tally.result()

    def _pairs(self, entity: str) -> Iterator[tuple[StoredRow, StoredRow]]:
        """Rows of one record in both plans: its migration key is the same whatever the target."""
        after: int | None = -1
        while after is not None:
            with self._context.journal.transaction() as connection:
                rows, after = self._plans.page(
                    connection, self._here.plan_id, entity, after=after, limit=_PAGE_ROWS, begun=False
                )
                keys = [row.migration_key for row in rows]
                others = self._plans.rows_by_key(connection, self._there.plan_id, entity, keys)
            yield from ((row, others[row.migration_key]) for row in rows if row.migration_key in others)

    def _compared(self, entity: str, here: StoredRow, there: StoredRow) -> RowDifference | None:
        mine, theirs = self._sealers
        if mine is None or theirs is None:
            return RowDifference(Difference.ACTION) if _told(here) != _told(there) else None
        return compared(_opened(mine, self._here, entity, here), _opened(theirs, self._there, entity, there))

    def _alone(self, entity: str, tally: _Tally) -> None:
        with self._context.journal.transaction() as connection:
            here = self._plans.rows_only_in(connection, self._here.plan_id, entity, self._there.plan_id)
            there = self._plans.rows_only_in(connection, self._there.plan_id, entity, self._here.plan_id)
        tally.kinds.update({Difference.ONLY_HERE: len(here), Difference.ONLY_THERE: len(there)})
        self._lines += [(entity, key, Difference.ONLY_HERE.value, action, "", "") for key, action in here]
        self._lines += [(entity, key, Difference.ONLY_THERE.value, "", action, "") for key, action in there]

    def _write(self) -> str:
        name = f"compare-{self._here.plan_id}-{self._there.plan_id}.csv"
        path = write_list(self._context.project.workspace.reports, name, COLUMNS, self._lines)
        return f"{path.parent.name}/{path.name}"


def _opened(sealer: Sealer, plan: PlanRecord, entity: str, row: StoredRow) -> PlannedRow:
    payload = sealer.open(row.payload, row_place(plan.plan_id, entity, row.migration_key))
    return PlannedRow.from_payload(row.migration_key, row.golden_key, row.action, row.reason_code, payload)


def _told(row: StoredRow) -> str:
    return f"{row.action} ({row.reason_code})" if row.reason_code else row.action
