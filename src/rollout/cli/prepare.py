"""`rollout prepare`: whether the rollout can begin."""

from __future__ import annotations

from rollout.cli.verb import Invocation, verb


@verb
def command(invocation: Invocation) -> int:
    """Reach every system, compare the target's schema, and record that the rollout is prepared.

    Changes nothing outside. Exit 1 if something is in the way.
    """
    from rollout.phases.prepare import run_prepare  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_prepare(context)
    lines = [
        f"{found.level.value}: {found.where}: {found.message}{f' → {found.hint}' if found.hint else ''}"
        for found in summary.findings
    ]
    lines.append(
        f"{len(summary.systems)} systems looked at: {summary.errors} errors, {summary.warnings} warnings;"
        f" {summary.people} people may decide"
    )
    if not summary.people:
        lines.append("Next: rollout people add NAME")
    invocation.emit(summary, text="\n".join(lines))
    return 0 if summary.errors == 0 and summary.people else 1
