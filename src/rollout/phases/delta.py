"""`delta`: while both systems live, what has changed since the load, three ways; any number of times.

What people changed in the CRM stays, or is a conflict that they decide about; rows gone from the source are listed,
and nothing is deleted. What is to be written is a plan a wave that a named person approves, as for the first load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal.gone import GoneRecord, gone_records
from rollout.journal.plans import Plans
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.phases.drift import source_inputs
from rollout.phases.leases import working_on
from rollout.phases.pace import few_collections
from rollout.phases.plan import PlanSummary, plan_wave, prepare_to_plan
from rollout.phases.wave_order import refuse_unknown_wave
from rollout.report.files import write_list


class DeltaSummary(Frozen):
    """What changed on either side since the load."""

    cleansed: bool = Field(description="Sources or rules had changed, and were read again.")
    plans: tuple[PlanSummary, ...] = Field(description="A plan for each wave in which there is something to do.")
    up_to_date: tuple[str, ...] = Field(description="Waves in which there is nothing new.")
    not_loaded: tuple[str, ...] = Field(description="Waves that were never loaded, or were taken back.")
    gone: dict[str, int] = Field(description="Records whose rows are gone from the source, by entity. They stay.")
    gone_file: str | None = Field(description="They, one a line, relative to the workspace; None: there are none.")

    @property
    def to_decide(self) -> int:
        """Rows that people must decide about once the plans are loaded."""
        return sum(plan.conflict for summary in self.plans for plan in summary.entities.values())


def run_delta(context: PhaseContext, *, wave: str | None = None) -> DeltaSummary:
    """Cleanse again if need be, and plan what changed in every wave that is loaded.

    Args:
        context: The phase's context.
        wave: Only this one; None: all that are loaded.

    Raises:
        ConfigError: There is no such wave, it is not loaded, or the sources cannot be used as declared.
        ApprovalError: An undo has begun and is not finished, or a later wave has no go any more.
        Retryable: A source, the target or the database cannot be reached, or somebody else works on the target.
    """
    target_name, _, target = context.target("plan")
    if wave is not None:
        refuse_unknown_wave(context, wave)
    loaded = _loaded(context, target_name)
    if wave is not None and wave not in loaded:
        raise ConfigError(
            f"wave '{wave}' is not loaded: there is nothing to compare", hint="load it first with `rollout plan`"
        )
    cleansed = _cleanse_if_changed(context)
    chosen = [wave] if wave is not None else loaded
    with few_collections(), working_on(context, target_name, target) as lease, context.journal.running("delta") as run:
        prepare_to_plan(context, target_name, target, lease)
        planned = [plan_wave(context, name, lease, kind="delta") for name in chosen]
        with context.journal.transaction() as connection:
            gone = list(gone_records(connection, context.journal.project_id, target_name))
        summary = DeltaSummary(
            cleansed=cleansed,
            plans=tuple(plan for plan in planned if plan.is_kept),
            up_to_date=tuple(plan.wave for plan in planned if not plan.is_kept),
            not_loaded=tuple(known.name for known in context.project.spec.waves if known.name not in loaded),
            gone=dict(Counter(record.entity for record in gone)),
            gone_file=_write_gone(context, run.run_id, gone) if gone else None,
        )
        run.summary = summary.model_dump(mode="json")
    return summary


def _loaded(context: PhaseContext, target_name: str) -> list[str]:
    """The waves that are in the target, in order."""
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        names = [wave.name for wave in context.project.spec.waves]
        return [name for name in names if plans.is_loaded(connection, target_name, name)]


def _cleanse_if_changed(context: PhaseContext) -> bool:
    run = context.journal.latest_run("cleanse")
    if run is not None and run.summary.get("inputs") == source_inputs(context):
        return False
    from rollout.phases.cleanse import run_cleanse  # noqa: PLC0415 - heavy

    run_cleanse(context)
    return True


def _write_gone(context: PhaseContext, run_id: str, gone: Sequence[GoneRecord]) -> str:
    path = write_list(context.project.workspace.reports, f"gone-{run_id}.csv", GoneRecord._fields, gone)
    return f"{path.parent.name}/{path.name}"
