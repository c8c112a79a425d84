"""`rollout loadtest`: put the CRM under the load of the people who will work in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout.cli.tables import gate
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.loadtest import LoadTestSummary


@click.option("--users", type=click.IntRange(min=1), help="Concurrent users. Default: the project's.")
@click.option("--ramp", "ramp_s", type=click.FloatRange(min=0, min_open=True), help="Seconds until all have come.")
@click.option("--hold", "hold_s", type=click.FloatRange(min=1), help="Seconds that all of them stay.")
def _loadtest(invocation: Invocation, *, users: int | None, ramp_s: float | None, hold_s: float | None) -> int:
    """Let simulated salespeople work in the CRM, judge what they saw, and remove what they entered.

    Refuses every address that `loadtest.hosts` does not list. Exit 1 if the verdict is not PASS.
    """
    from rollout.phases.loadtest import run_loadtest  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_loadtest(context, users=users, ramp_s=ramp_s, hold_s=hold_s)
    invocation.emit(summary.model_dump(mode="json", exclude={"figures"}), text=_text(summary))
    return 0 if summary.verdict == "PASS" else 1


def _text(summary: LoadTestSummary) -> str:
    settings = summary.settings
    less = [name for name in ("users", "ramp_s", "hold_s") if getattr(settings, name) < getattr(summary.asked, name)]
    ran = f"{settings.users} users, {settings.ramp_s:g} s ramp, {settings.hold_s:g} s hold at {settings.host}"
    left = f"{summary.removed:,} records removed, {summary.not_removed:,} left (migration keys {summary.key_prefix}…)"
    return "\n".join(
        [
            gate(summary.gate),
            f"Run with {ran}" + (f" (less than the project asks: {', '.join(less)})" if less else ""),
            *(f"  {error.count:,} × {error.kind} in {error.activity}" for error in summary.figures.errors),
            f"Test data: {left}",
            *(f"report: {path}" for path in summary.reports),
            f"{summary.verdict.value} in {summary.seconds:.1f} s",
        ]
    )


command = verb(_loadtest)
