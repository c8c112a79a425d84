"""`rollout cleanse`: legacy rows into golden records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.cli.findings import told
from rollout.cli.tables import table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.cleanse import CleanseSummary

_NOT_ALL_ROWS = 1


@verb
def command(invocation: Invocation) -> int:
    """Map, normalise and merge the legacy data into golden records.

    Rows that cannot be used go to quarantine with every problem they have; nothing is written outside the workspace.
    """
    from rollout.phases.cleanse import run_cleanse  # noqa: PLC0415 - heavy: pandas, DuckDB

    with invocation.context() as context:
        summary = run_cleanse(context)
    invocation.emit(summary, text=_text(summary))
    return 0 if summary.accounted else _NOT_ALL_ROWS


def _text(summary: CleanseSummary) -> str:
    rows = [
        [name, done.source, done.golden, done.merged, done.quarantined, done.skipped, "yes" if done.accounted else "NO"]
        for name, done in summary.entities.items()
    ]
    headers = ["entity", "source", "golden", "merged", "quarantined", "skipped", "adds up"]
    lines = [table(headers, rows, title="What the source rows became")]
    lines += told(finding for done in summary.entities.values() for finding in done.findings)
    lines += [
        f"{name}: {done.review:,} pairs of rows may be one record; people decide → rollout review list"
        for name, done in summary.entities.items()
        if done.review
    ]
    lines += [f"report: {path}" for path in summary.reports]
    return "\n".join(lines)
