"""`rollout load`: apply the approved plan."""

from __future__ import annotations

import click

from rollout.cli.tables import conservation, gate, unprotected
from rollout.cli.verb import Invocation, verb


@click.option("--plan", "plan_id", help="The plan. Default: the one approved last.")
@click.option("--wave", help="Only a plan of this wave: the one approved last.")
@click.option("--entity", "entities", multiple=True, help="Only this entity; may be given several times.")
@click.option("--retry", is_flag=True, help="Only the rows that `rollout rejects import` sends again.")
def _load(
    invocation: Invocation, *, plan_id: str | None, wave: str | None, entities: tuple[str, ...], retry: bool
) -> int:
    """Apply the approved plan to the target, or go on with it where an earlier load stopped.

    Safe to repeat: a plan that is already applied changes nothing. Rows that are left over wait in `rollout rejects`.
    """
    from rollout.phases.load import run_load  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_load(context, plan_id=plan_id, entities=entities or None, wave=wave, retry=retry)
    told = {
        "applied": "The plan is applied.",
        "already_applied": "The plan was applied before: nothing was changed.",
        "loading": "Rows are still open: `rollout rejects list` tells why; `rollout load` goes on with what waits.",
    }[summary.state]
    held_up = next((layer for layer in summary.layers if layer.gate.verdict != "PASS"), None)
    judged = f"{gate(held_up.gate)}\n" if held_up else ""
    if held_up:
        told = f"Layer '{held_up.layer}' is {held_up.gate.verdict.value}: nothing of a later layer was sent."
    if summary.quiet and summary.quiet.quiet is False:
        set_off = ", ".join(f"{count:+,} {name}" for name, count in summary.quiet.difference.items() if count)
        told += f" The CRM's rules acted meanwhile: {set_off}."
    elif summary.quiet and summary.quiet.quiet:
        told += " The CRM's rules stayed quiet."
    if summary.waits_for_approval:
        told += f" A newer plan waits for approval: {summary.waits_for_approval}."
    exposed = f"\n{unprotected(summary.unprotected)}" if summary.unprotected.rows else ""
    reasons = "".join(
        f"\n  {entity}: {count:,} × {reason}"
        for entity, counts in summary.reasons.items()
        for reason, count in counts.items()
    )
    invocation.emit(
        summary,
        text=f"{conservation(summary.entities)}\n{judged}{told} {summary.rows:,} rows in {summary.seconds:.1f} s"
        f" ({summary.rows_per_s:,.0f} rows/s), plan {summary.plan_id} of wave {summary.wave},"
        f" approved by {summary.approved_by}{reasons}{exposed}",
    )
    return 0 if summary.accounted and summary.closed else 1


command = verb(_load)
