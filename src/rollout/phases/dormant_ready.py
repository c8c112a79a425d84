"""No plan is made while nobody decided about dormant records."""

from __future__ import annotations

from rollout.errors import ApprovalError
from rollout.phases.context import PhaseContext


def refuse_undecided(context: PhaseContext) -> None:
    """Refuse to plan while nobody decided about dormant records.

    Raises:
        ApprovalError: Says how many, and the verb.
    """
    run = context.journal.latest_run("cleanse") if context.project.spec.dormant else None
    bodies = run.summary.get("entities", {}) if run else {}
    undecided = {
        name: body["dormant"]["undecided"]
        for name, body in bodies.items()
        if name in context.project.spec.dormant and body.get("dormant") and body["dormant"]["undecided"]
    }
    if undecided:
        told = ", ".join(f"{count:,} of '{name}'" for name, count in undecided.items())
        raise ApprovalError(
            f"dormant records are undecided: {told}",
            hint="see `rollout dormant list`; then rollout dormant decide --all frozen|pool|leave_out|keep --by NAME"
            " --reason TEXT (or a workbook: rollout dormant export), and rollout cleanse",
        )
