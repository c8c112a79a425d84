"""`rollout monthly-report`: the operation report of a month."""

from __future__ import annotations

import click

from rollout.cli.verb import Invocation, verb


@click.option("--month", metavar="YYYY-MM", help="Default: the month before this one, in the project's time zone.")
def _monthly_report(invocation: Invocation, *, month: str | None) -> int:
    """Write the operation report of a month, from the journal alone: HTML and XLSX in each language."""
    from rollout.phases.monthly import write_monthly_report  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = write_monthly_report(context, month=month)
    told = f"{summary.month}: measured {summary.measured:,} of {summary.expected:,} health checks"
    lines = [
        f"{told}, available in {summary.available:,} of them",
        f"{summary.nights_checked} of {summary.nights} nights checked, {summary.incidents} incidents",
        *(f"report: {path}" for path in summary.reports),
    ]
    invocation.emit(summary, text="\n".join(lines))
    return 0


command = verb(_monthly_report)
