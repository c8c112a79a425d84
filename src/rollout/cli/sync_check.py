"""`rollout sync-check`: the nightly comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.cli.health import incidents
from rollout.cli.tables import gate, table
from rollout.cli.verb import Invocation, verb
from rollout.operate.kinds import WRONG, Kind

if TYPE_CHECKING:
    from rollout.phases.nightly import SyncCheckSummary

_KINDS = (Kind.OK, Kind.IN_FLIGHT, Kind.EDITED, *WRONG)


@verb
def command(invocation: Invocation) -> int:
    """Compare the CRM with the systems around it and with what was loaded, record quality, volumes and permissions.

    Changes nothing in any system. Exit 1 if the gate is not PASS.
    """
    from rollout.phases.nightly import run_sync_check  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_sync_check(context)
    invocation.emit(summary, text=_text(summary))
    return 0 if summary.verdict == "PASS" else 1


def _text(summary: SyncCheckSummary) -> str:
    rows = [
        [check.source, *("–" if check.unreadable else check.kinds[kind] for kind in _KINDS)]
        for check in summary.sources
    ]
    lines = [table(["source", *_KINDS], rows), gate(summary.gate)]
    lines += [
        f"{check.source} could not be compared: {check.unreadable}" for check in summary.sources if check.unreadable
    ]
    for change in summary.legacy:
        told = f"{change.new} new, {change.changed} changed, {change.gone} gone rows since the load"
        lines.append(
            f"legacy source {change.source}: {told if change.comparable else 'not comparable'} {change.detail}"
        )
    lines += [f"permission: {moved.login} {moved.before} → {moved.after}" for moved in summary.permissions.changes]
    return "\n".join([*lines, f"differences: {summary.differences}", incidents(summary.incidents)])
