"""`rollout plan`: what a load would change."""

from __future__ import annotations

from rollout.cli.tables import table
from rollout.cli.verb import Invocation, verb


@verb
def command(invocation: Invocation) -> int:
    """Compare the golden records with the target and plan every field that will change.

    Nothing is written to the target. The plan must be approved before it can be loaded.
    """
    from rollout.phases.plan import run_plan  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_plan(context)
    rows = [
        [name, plan.create, plan.update, plan.unchanged, plan.conflict, sum(plan.kept.values())]
        for name, plan in summary.entities.items()
    ]
    counts = table(["entity", "create", "update", "unchanged", "conflict", "kept"], rows, title="What a load would do")
    invocation.emit(
        summary,
        text=f"{counts}\n"
        f"Plan {summary.plan_id} for target '{summary.target}', hash {summary.plan_hash[:16]}…\n"
        f"About {summary.estimate_s:g} s and {summary.calls:,} calls ({summary.estimate_basis})\n"
        f"Field by field: {invocation.workspace.root / summary.file}\n"
        f"Next: rollout approve --plan {summary.plan_id} --by NAME --reason TEXT",
    )
    return 0
