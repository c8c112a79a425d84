"""`rollout retention`: destroy what was kept to take loads back, once their time is over."""

from __future__ import annotations

from rollout.cli.tables import table
from rollout.cli.verb import Invocation, verb


def _retention(invocation: Invocation) -> int:
    """Destroy the values and images that were kept to take loads back, where the undo window is over.

    The window is `retention.undo_window_h`; it begins when users are let in, and for later loads when they end. Each
    destruction is recorded in the audit trail. Meant to run every night.
    """
    from rollout.phases.retention import run_retention  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_retention(context)
    rows = [[plan.plan_id, f"{plan.kind} of {plan.wave}", plan.rows, plan.images] for plan in summary.destroyed]
    told = table(["plan", "", "rows", "images"], rows, title="Destroyed") if rows else "Nothing was to be destroyed."
    kept = "".join(f"\nkept ({why}): {', '.join(plans)}" for why, plans in summary.kept.items())
    until = f"\nThe next window ends {summary.next_at:%Y-%m-%d %H:%M} UTC." if summary.next_at else ""
    invocation.emit(summary, text=f"{told}{kept}{until}")
    return 0


command = verb(_retention)
