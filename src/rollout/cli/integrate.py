"""`rollout integrate`: prove that the CRM and the systems around it work together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.cli.tables import gate, table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.integrate import IntegrateSummary


@verb
def command(invocation: Invocation) -> int:
    """Play through what CRM, ERP and messaging must do together, with fault drills, and judge the gate.

    Test records are marked and removed at the end. Exit 1 if the verdict is not PASS.
    """
    from rollout.phases.integrate import run_integrate  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_integrate(context)
    invocation.emit(summary, text=_text(summary))
    return 0 if summary.verdict == "PASS" else 1


def _text(summary: IntegrateSummary) -> str:
    rows = [[cell.scenario, " + ".join(cell.systems), cell.seconds, cell.verdict.value] for cell in summary.cells]
    open_cells = [f"{cell.scenario}: {cell.observed}" for cell in summary.cells if cell.verdict != "PASS"]
    drills = [
        f"drill {drill.scenario}: {drill.put} orders in the ERP, {drill.found} in the CRM, {drill.missing} missing, "
        f"{drill.extra} extra, {drill.different} different"
        for drill in summary.drills
    ]
    return "\n".join(
        [
            table(["scenario", "systems", "seconds", "verdict"], rows, title=f"Integration on {summary.target}"),
            *open_cells,
            *drills,
            *map(gate, summary.gates),
            *(f"report: {path}" for path in summary.reports),
            f"{summary.verdict.value} in {summary.seconds:.1f} s",
        ]
    )
