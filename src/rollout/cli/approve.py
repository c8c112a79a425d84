"""`rollout approve`: put one's name to a plan."""

from __future__ import annotations

import click

from rollout.cli.verb import Invocation, verb

APPLIES = {"undo": "undo", "unmerge": "unmerge", "retry": "load --retry"}
"""The verb that applies a plan of a kind, where it is not `load`."""


@click.option("--plan", "plan_id", help="The plan. Default: the latest one that waits for approval.")
@click.option("--by", "person", required=True, help="Who approves, as `rollout people` knows them.")
@click.option(
    "--code",
    envvar="ROLLOUT_CODE",
    prompt="Personal code",
    hide_input=True,
    help="Their personal code; asked for when missing. $ROLLOUT_CODE keeps it out of the shell's history.",
)
@click.option("--reason", required=True, help="Why this plan is right, in a sentence; it is recorded.")
def _approve(invocation: Invocation, *, plan_id: str | None, person: str, code: str, reason: str) -> int:
    """Approve a plan by name, with a personal code and a reason."""
    from rollout.phases.approve import approve  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = approve(context, person=person, code=code, reason=reason, plan_id=plan_id)
    told = f"Plan {summary.plan_id} is approved by {summary.person}."
    invocation.emit(summary, text=f"{told}\nNext: rollout {APPLIES.get(summary.kind, 'load')}")
    return 0


command = verb(_approve)
