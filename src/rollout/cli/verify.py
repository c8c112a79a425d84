"""`rollout verify`: prove what the target holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from rollout.cli.sample import people_text
from rollout.cli.tables import gate
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.model.progress import Override
    from rollout.phases.verify import VerifySummary
    from rollout.verify.control_totals import ControlTotalResult


@click.option("--entity", "entities", multiple=True, help="Only this entity; may be given several times.")
@click.option("--wave", help="The wave. Default: the one whose load was begun last.")
def _verify(invocation: Invocation, *, entities: tuple[str, ...], wave: str | None) -> int:
    """Read back everything the target holds, compare it with what was loaded, and judge the gates.

    Changes nothing in the target. Exit 1 if the verdict is not PASS.
    """
    from rollout.journal.facts import overrides  # noqa: PLC0415 - heavy
    from rollout.phases.verify import run_verify  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = run_verify(context, entities=entities or None, wave=wave)
        found = {judged.gate: overrides(context.journal, judged.gate, summary.wave) for judged in summary.gates}
    invocation.emit(summary, text=_text(summary, found))
    return 0 if summary.verdict == "PASS" else 1


def _text(summary: VerifySummary, overrides: Mapping[str, Sequence[Override]]) -> str:
    sample = summary.sample
    looked = f"Sample: {sample.size:,} of {sample.population:,} records read one by one, {sample.wrong:,} wrong; "
    proven = "nothing" if sample.bound is None else f"at most {sample.bound:.2%} wrong in each entity"
    looked += f"proves with {sample.confidence:.0%} confidence: {proven} (seed {sample.seed})"
    return "\n".join(
        [
            *(gate(judged, overrides[judged.gate]) for judged in summary.gates),
            looked,
            *(["Checked by people:", people_text(summary.people)] if summary.people else []),
            *map(_total, summary.control_totals),
            *(f"report: {path}" for path in summary.reports),
            f"{summary.verdict.value} in {summary.seconds:.1f} s, plan {summary.plan_id} of wave {summary.wave}",
        ]
    )


def _total(total: ControlTotalResult) -> str:
    told = f"{total.name}: {total.observed} of {total.expected} ({'agrees' if total.agrees else total.difference})"
    if (made := total.made_of) is None:
        return told
    parts = made.model_dump(include={"merged", "quarantined", "skipped", "other_waves", "not_loaded"})
    less = "".join(f" − {name.replace('_', ' ')} {amount}" for name, amount in parts.items() if amount != "0")
    changed = f" + changed values {made.changed}" if made.changed != "0" else ""
    unreadable = f"; {made.unreadable:,} rows cannot be read" if made.unreadable else ""
    return f"{told}, from source rows {made.source}{less}{changed}{unreadable}"


command = verb(_verify)
