"""`rollout demo`: a simulated month of operation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from rollout.cli.progress import TerminalProgress
from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.rehearsal.month import SimulationSummary

UNSETTLED = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:1", "ROLLOUT_TESTBED_PASSWORD": "-"}
"""Stands in for the project's own testbed, which need not run: the simulation brings one of its own."""


@click.option("--months", type=click.IntRange(1, 12), required=True, help="Months to simulate, from 2026-04 on.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same month.")
def _demo(invocation: Invocation, *, months: int, seed: int) -> int:
    """Simulate months of operation with faults that must be found, on systems of their own, with a clock that is set.

    The project's own journal, CRM and workspace stay as they are. Exit 1 unless every fault is found in the run in
    which it should be, as what it is, and nothing else is reported.
    """
    from rollout.project.loader import load_project  # noqa: PLC0415 - heavy
    from rollout.rehearsal.month import simulate  # noqa: PLC0415 - heavy

    _ = invocation.workspace  # its logs
    project = load_project(invocation.path, env=invocation.env, environ=UNSETTLED | os.environ)
    summary = simulate(project, months=months, seed=seed, progress=TerminalProgress())
    invocation.emit(summary, text=_text(summary))
    return 0 if summary.faults_found == summary.faults_seeded and not summary.false_alarms else 1


def _text(summary: SimulationSummary) -> str:
    rows = [
        [
            f"{fault.at:%m-%d %H:%M}",
            fault.kind.value,
            fault.expected_in,
            "yes" if fault.found else f"NO ({fault.found_in or 'never'})",
        ]
        for fault in summary.faults
    ]
    told = f"{summary.nights} nights, {summary.health_runs} health checks, {summary.orders} orders"
    found = f"{summary.faults_found} of {summary.faults_seeded} faults found, {summary.false_alarms} false alarms"
    return "\n".join(
        [
            text_table(["when", "fault", "to be found in", "found"], rows),
            *(f"false alarm: {alarm}" for alarm in summary.alarms),
            *(f"report: {path}" for path in summary.reports),
            f"{told}: {found}, {summary.messages} messages, in {summary.seconds:.0f} s",
        ]
    )


command = verb(_demo)
