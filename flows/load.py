"""Import: apply the approved plan to the CRM. Deployed as "import"; twin: ``rollout load``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import Field

from flows._options import EntityOptions
from flows._states import failed, gate_state
from flows._tables import publish_conservation, publish_gates
from flows._tasks import phase_task
from rollout.model.verdict import Verdict
from rollout.phases.context import PhaseContext
from rollout.phases.load import LoadSummary, run_load


class LoadOptions(EntityOptions):
    """What to load."""

    in_turn = "wave approved last"

    plan_id: str = Field(
        default="",
        max_length=64,
        title="计划 · Plan",
        description="已批准计划的编号；留空为最近批准的计划。An approved plan's id; empty: the one approved last.",
    )


@phase_task("import")
def load_entities(context: PhaseContext, options: LoadOptions) -> LoadSummary:
    """Apply the plan, parents first, and publish where every row is, however the load ends."""
    wave = options.wave or None
    try:
        summary = run_load(context, plan_id=options.plan_id or None, entities=options.entities or None, wave=wave)
        wave = summary.wave
        publish_gates(context, [layer.gate for layer in summary.layers], wave)
        return summary
    finally:
        publish_conservation(context, wave)


DEFAULTS = LoadOptions()


@flow(name="load", flow_run_name="load · {options.label}")
def load(options: LoadOptions = DEFAULTS) -> State[Any]:
    """Apply the approved plan. What is already there stays unchanged."""
    state = load_entities(options, return_state=True)
    return load_state(state.result()) if state.is_completed() else failed(state)


def load_state(summary: LoadSummary) -> State[Any]:
    """How an import ends: plain success only when no layer held it up, no row waits and none is of unknown outcome."""
    table = summary.entities.values()
    held_up = [layer.gate for layer in summary.layers if layer.gate.verdict is not Verdict.PASS]
    if held_up:
        return gate_state(held_up, summary)
    if not summary.closed:
        rows = "; ".join(
            f"{line.entity}: {line.unknown} unknown, {line.waiting} waiting, {line.not_loaded} not loaded"
            for line in table
        )
        return Failed(name="RowsOpen", message=f"{rows} → start the import again")
    message = (
        f"{sum(line.source for line in table):,} source rows, all accounted for (wave {summary.wave}, {summary.state})"
    )
    if summary.quiet and summary.quiet.quiet is False:
        set_off = ", ".join(f"{count:+,} {name}" for name, count in summary.quiet.difference.items() if count)
        message += f"; the CRM's rules acted meanwhile: {set_off}"
    return Completed(message=message, data=summary)
