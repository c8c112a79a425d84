"""The proof that a load stayed quiet: what the target's rules had brought about before it, and after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import Field

from rollout.connectors.base import Automation
from rollout.errors import RolloutError
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext


class QuietProof(Frozen):
    """Counts of workflow runs, to-dos, notifications and messages around a load, by the target's own count."""

    before: dict[str, int]
    after: dict[str, int]
    difference: dict[str, int] = Field(
        description="after − before, what did not change included. People who work in the target meanwhile count too."
    )
    quiet: bool | None = Field(description="Nothing was set off. None: the target did not tell both times.")
    rules_on: tuple[str, ...] = Field(description="Rules that were on when the load began.")
    detail: str = ""


@dataclass
class QuietWatch:
    """Gives the proof once its ``with`` block is over; None where the target does not tell what its rules do."""

    proof: QuietProof | None = None


@contextmanager
def quiet_watch(context: PhaseContext, target_name: str) -> Iterator[QuietWatch]:
    """Count what a target's rules brought about before and after the block.

    Not being told is no reason to stop a load: the proof then says that there is none.
    """
    watch = QuietWatch()
    connector = context.connector(context.project.spec.targets[target_name].system)
    if not isinstance(connector, Automation):
        yield watch
        return
    rules_on: tuple[str, ...] = ()
    before: Mapping[str, int] = {}
    detail = ""
    try:
        rules_on = tuple(rule.name for rule in connector.automation_rules() if rule.is_on)
        before = connector.automation_counts()
    except RolloutError as error:
        detail = f"not counted before the load: {error}"
    yield watch
    after: Mapping[str, int] = {}
    try:
        after = connector.automation_counts()
    except RolloutError as error:
        detail = detail or f"not counted after the load: {error}"
    difference = (
        {} if detail else {name: after.get(name, 0) - before.get(name, 0) for name in sorted({*before, *after})}
    )
    watch.proof = QuietProof(
        before=dict(before),
        after=dict(after),
        difference=difference,
        quiet=None if detail else not any(difference.values()),
        rules_on=rules_on,
        detail=detail,
    )
