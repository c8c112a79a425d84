"""`rollout plan`: what a load would change."""

from __future__ import annotations

import click

from rollout.cli.tables import table
from rollout.cli.verb import Invocation, verb


@click.option("--wave", help="The wave. Default: the first that is not loaded and verified with green gates.")
def _plan(invocation: Invocation, *, wave: str | None) -> int:
    """Compare the golden records with the target and plan every field that will change.

    Nothing is written to the target. The plan must be approved before it can be loaded.
    """
    from rollout.phases.plan import run_plan  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_plan(context, wave=wave)
    rows = [
        [name, plan.create, plan.update, plan.unchanged, plan.conflict, sum(plan.kept.values())]
        for name, plan in summary.entities.items()
    ]
    counts = table(["entity", "create", "update", "unchanged", "conflict", "kept"], rows, title="What a load would do")
    waits = "".join(
        f"{plan.waits:,} × {name} will wait: the earlier wave of the record they refer to is not loaded yet\n"
        for name, plan in summary.entities.items()
        if plan.waits
    )
    invocation.emit(
        summary,
        text=f"{counts}\n{waits}"
        f"Plan {summary.plan_id} of wave {summary.wave} for target '{summary.target}', hash {summary.plan_hash[:16]}…\n"
        f"About {summary.estimate_s:g} s and {summary.calls:,} calls ({summary.estimate_basis})\n"
        f"Field by field: {invocation.workspace.root / summary.file}\n"
        f"Next: rollout approve --plan {summary.plan_id} --by NAME --reason TEXT",
    )
    return 0


command = verb(_plan)
