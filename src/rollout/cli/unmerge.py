"""`rollout unmerge`: a row that was merged away becomes a record of its own."""

from __future__ import annotations

import click

from rollout.cli.verb import Invocation, verb


@click.argument("key", required=False)
@click.option("--entity", help="Where rows of several entities go by that key.")
@click.option("--plan", "plan_id", help="Apply this plan. Default: the one under way, or the one approved last.")
def _unmerge(invocation: Invocation, *, key: str | None, entity: str | None, plan_id: str | None) -> int:
    """Take the row KEY out of the record that it was merged into.

    KEY is `source:row key` of the row that was merged away. With it the verb plans; `rollout approve` comes next.
    Without it the approved plan is applied: the row gets a migration key and a record of its own, and matching leaves
    it alone from then on. `rollout delta` then puts right what the other record and its children had from it.

    Exit 1 if the record is not there.
    """
    if key is not None and plan_id is not None:
        raise click.UsageError("--plan applies a plan, KEY makes one: leave one of them out")
    return _apply(invocation, plan_id) if key is None else _plan(invocation, key, entity)


def _plan(invocation: Invocation, key: str, entity: str | None) -> int:
    from rollout.phases.unmerge import plan_unmerge  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = plan_unmerge(context, key, entity=entity)
    children = ", ".join(f"{count:,} {name}" for name, count in summary.children.items()) or "none"
    invocation.emit(
        summary,
        text=f"{summary.source_key} becomes a record of its own in target '{summary.target}'; it was merged into"
        f" {summary.merged_into} (record {summary.target_id})\n"
        f"Fields that record has from it alone: {', '.join(summary.review) or 'none'}; children that belong to it:"
        f" {children}\nField by field: {invocation.workspace.root / summary.file}\n"
        f"Next: rollout approve --plan {summary.plan_id} --by NAME --reason TEXT, then rollout unmerge",
    )
    return 0


def _apply(invocation: Invocation, plan_id: str | None) -> int:
    from rollout.phases.unmerge_apply import run_unmerge  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_unmerge(context, plan_id=plan_id)
    reasons = "".join(f"\n  {count:,} × {reason}" for reason, count in summary.reasons.items())
    told = f"record {summary.target_id}" if summary.target_id else "not there yet"
    invocation.emit(
        summary,
        text=f"{summary.source_key}: {told} ({summary.state}), plan {summary.plan_id}, approved by"
        f" {summary.approved_by}{reasons}\nNext: rollout delta, for what the other record had from it",
    )
    return 0 if summary.target_id else 1


command = verb(_unmerge)
