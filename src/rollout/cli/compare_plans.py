"""`rollout compare-plans`: what the trial on another target did not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout.cli.tables import compared_line, table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:  # heavy
    from rollout.phases.compare_plans import PlanComparison


@click.option("--with", "other", help="The target to compare with. Default: the one this target is loaded `after`.")
@click.option("--wave", help="The wave. Default: that of the newest plan.")
def _compare(invocation: Invocation, *, other: str | None, wave: str | None) -> int:
    """Compare the newest plan with the one of another target, record by record.

    Such as production's with the one that the test target was loaded by. Nothing is read from the targets, nothing is
    written to them. The records that differ are listed in a file, fields by name and without values.

    Exit code 1: something differs, or the values of one plan are destroyed and cannot be compared.
    """
    from rollout.phases.compare_plans import compare_plans  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        found = compare_plans(context, other=other, wave=wave)
    rows = [
        [name, part.same, part.other_action, part.other_values, part.only_here, part.only_there]
        for name, part in found.entities.items()
    ]
    header = ["entity", "the same", "other action", "other values", "only here", "only there"]
    title = f"Wave {found.wave}: '{found.target}' beside '{found.other_target}'"
    text = "\n".join([table(header, rows, title=title), *_told(found), compared_line(found, invocation.workspace.root)])
    invocation.emit(found, text=text)
    return 0 if found.is_same else 1


def _told(found: PlanComparison) -> list[str]:
    """What differs, counted."""
    lines = [
        f"{name}: {count:,} × {actions} ('{found.target}' / '{found.other_target}')"
        for name, part in found.entities.items()
        for actions, count in part.actions.items()
    ]
    lines += [
        f"{name}: other values in " + ", ".join(f"{field} ({count:,})" for field, count in part.fields.items())
        for name, part in found.entities.items()
        if part.fields
    ]
    return lines


command = verb(_compare)
