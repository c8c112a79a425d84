"""Import again what an import left over. Deployed as "import (retry rejects)"; twin: ``rollout load --retry``.

No personal code here: the plan was made and approved, with theirs, by the person who brought the workbook back.
"""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from pydantic import Field

from flows._options import WaveOptions
from flows._rejects import publish_rejects
from flows._states import failed
from flows._tables import publish_conservation, publish_gates
from flows._tasks import phase_task
from flows.load import load_state
from rollout.phases.context import PhaseContext
from rollout.phases.load import LoadSummary, run_load


class RetryOptions(WaveOptions):
    """Which rows to send again."""

    in_turn = "wave decided last"

    plan_id: str = Field(
        default="",
        max_length=64,
        title="重试计划 · Retry plan",
        description="rollout rejects import 给出的计划编号；留空为最近批准的。"
        "The plan's id that `rollout rejects import` named; empty: the one approved last.",
    )


@phase_task("import (retry rejects)")
def load_rejects(context: PhaseContext, options: RetryOptions) -> LoadSummary:
    """Send the rows that were decided and their children; publish where every row is, however it ends."""
    wave = options.wave or None
    try:
        summary = run_load(context, plan_id=options.plan_id or None, wave=wave, retry=True)
        wave = summary.wave
        publish_gates(context, [layer.gate for layer in summary.layers], wave)
        publish_rejects(context, wave)
        return summary
    finally:
        publish_conservation(context, wave)


DEFAULTS = RetryOptions()


@flow(name="import-retry", flow_run_name="import (retry rejects) · {options.label}")
def retry(options: RetryOptions = DEFAULTS) -> State[Any]:
    """Send again only the rows that were decided in the workbook of rejects, and their children."""
    state = load_rejects(options, return_state=True)
    return load_state(state.result()) if state.is_completed() else failed(state)
