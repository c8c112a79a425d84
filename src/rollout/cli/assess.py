"""`rollout assess`: what the legacy data is like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.cli.findings import told
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.assess import AssessSummary


@verb
def command(invocation: Invocation) -> int:
    """Profile the legacy data and list what is wrong with it.

    Reads every source once, changes nothing outside the workspace, and writes the data asset assessment report.
    """
    from rollout.phases.assess import run_assess  # noqa: PLC0415 - heavy: pandas, DuckDB

    with invocation.context() as context:
        summary = run_assess(context)
    invocation.emit(summary, text=_text(summary))
    return 0


def _text(summary: AssessSummary) -> str:
    from rollout.report.figures import points  # noqa: PLC0415 - only here

    lines = [f"{entity}: {rows:,} rows read" for entity, rows in summary.rows.items()]
    lines += [f"{entity}: {rows:,} rows could not be read" for entity, rows in summary.unreadable.items() if rows]
    lines += told(summary.top)
    if summary.score is not None:
        lines.append(f"health score: {points(summary.score)} of 100")
    lines.append(", ".join(f"{count} {level}" for level, count in summary.findings.items()))
    lines += [f"report: {path}" for path in summary.reports]
    return "\n".join(lines)
