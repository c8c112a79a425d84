"""`rollout plan`: what a load would change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout.cli.tables import compared_line, table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:  # heavy
    from rollout.phases.plan import PlanSummary


@click.option("--wave", help="The wave. Default: the first that is not loaded and verified with green gates.")
def _plan(invocation: Invocation, *, wave: str | None) -> int:
    """Compare the golden records with the target and plan every field that will change.

    Nothing is written to the target. The plan must be approved before it can be loaded.
    """
    from rollout.phases.plan import run_plan  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_plan(context, wave=wave)
    invocation.emit(summary, text=shown_plan(summary, invocation.workspace.root))
    return 0


def shown_plan(summary: PlanSummary, root: Path) -> str:
    """A plan as the terminal shows it; ``root`` is the workspace."""
    rows = [
        [name, plan.create, plan.update, plan.adopt, plan.unchanged, plan.skip, plan.conflict, sum(plan.kept.values())]
        for name, plan in summary.entities.items()
    ]
    header = ["entity", "create", "update", "adopt", "unchanged", "skip", "conflict", "kept"]
    lines = [table(header, rows, title="What a load would do")]
    lines += [
        f"{plan.waits:,} × {name} will wait: the earlier wave of the record they refer to is not loaded yet"
        for name, plan in summary.entities.items()
        if plan.waits
    ]
    lines += [
        f"{name}: the source's value takes the place of what people typed in "
        + ", ".join(f"{field} ({count:,})" for field, count in plan.overwrites.items())
        for name, plan in summary.entities.items()
        if plan.overwrites
    ]
    lines += [compared_line(summary.compared, root)] if summary.compared else []
    lines += [f"Cannot be loaded like this: {told}" for told in summary.limits]
    lines += [
        f"Plan {summary.plan_id} of wave {summary.wave} for target '{summary.target}', hash {summary.plan_hash[:16]}…",
        f"About {summary.estimate_s:g} s and {summary.calls:,} calls ({summary.estimate_basis})",
        f"Taking it back would need about {summary.undo_estimate_s:g} s and {summary.undo_calls:,} calls",
        f"Field by field: {root / summary.file}",
        f"Next: rollout approve --plan {summary.plan_id} --by NAME --reason TEXT",
    ]
    return "\n".join(lines)


command = verb(_plan)
