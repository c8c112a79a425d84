"""`rollout delta`: what changed on either side since the load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout.cli.plan import shown_plan
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:  # heavy
    from rollout.phases.delta import DeltaSummary


@click.option("--wave", help="Only this wave. Default: all that are loaded.")
def _delta(invocation: Invocation, *, wave: str | None) -> int:
    """Plan what changed in the sources since the load, without touching what people changed in the CRM.

    Reads the sources again if they changed. Nothing is written to the target: each wave in which there is something
    new gets a plan, which must be approved before it can be loaded. Rows gone from the sources are listed; their
    records stay. May be run any number of times.

    Exit code 1: there is something for people to decide.
    """
    from rollout.phases.delta import run_delta  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_delta(context, wave=wave)
    invocation.emit(summary, text=_shown(summary, invocation))
    return 1 if summary.to_decide else 0


def _shown(summary: DeltaSummary, invocation: Invocation) -> str:
    root = invocation.workspace.root
    lines = ["The sources or rules had changed and were cleansed again."] if summary.cleansed else []
    lines += [shown_plan(plan, root) for plan in summary.plans]
    if summary.up_to_date:
        lines.append(f"Nothing new in: {', '.join(summary.up_to_date)}")
    if summary.not_loaded:
        lines.append(f"Not loaded: {', '.join(summary.not_loaded)}")
    lines += [f"{count:,} × {name} gone from the source; they stay" for name, count in summary.gone.items()]
    if summary.gone_file:
        lines.append(f"One by one: {root / summary.gone_file}")
    return "\n".join(lines)


command = verb(_delta)
