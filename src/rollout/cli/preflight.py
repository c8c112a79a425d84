"""`rollout preflight`: what in the CRM would disturb the load, or undo it on the first night."""

from __future__ import annotations

from rollout.cli.verb import Invocation, verb
from rollout.model.finding import Level

_MARKS = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "info"}


@verb
def command(invocation: Invocation) -> int:
    """Look at the CRM's own rules beside what is to be loaded; change nothing.

    Recycling and holding limits, assignment, SLA clocks, notifications; and whether another target was tried first.
    Exit 1 if something would disturb the load or undo it.
    """
    from rollout.phases.preflight import run_preflight  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_preflight(context)
    lines = [
        f"{finding.where}: {_MARKS[finding.level]}: {finding.message} [{finding.id}]\n    → {finding.hint}"
        for finding in summary.findings
    ]
    lines.append(
        f"{summary.errors} errors, {summary.warnings} warnings; rules on: {', '.join(summary.rules_on) or 'none'}"
    )
    invocation.emit(summary, text="\n".join(lines))
    return 1 if summary.errors else 0
