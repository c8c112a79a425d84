"""`rollout decide`: go or no-go, by name."""

from __future__ import annotations

import click

from rollout.cli.status import next_line
from rollout.cli.verb import Invocation, verb

PHASES = ("verify", "integrate", "loadtest", "undo", "pilot", "golive")


@click.argument("phase", type=click.Choice(PHASES))
@click.option("--go/--no-go", "go", default=None, help="The decision; one of the two must be given.")
@click.option("--by", "person", required=True, help="Who decides, as `rollout people` knows them.")
@click.option(
    "--code",
    envvar="ROLLOUT_CODE",
    prompt="Personal code",
    hide_input=True,
    help="Their personal code; asked for when missing. $ROLLOUT_CODE keeps it out of the shell's history.",
)
@click.option("--reason", required=True, help="Why, in a sentence; it is recorded and printed.")
@click.option("--wave", help="The wave, for verify in a project with several.")
@click.option("--override", is_flag=True, help="Go although a gate is not PASS; printed wherever the gate is shown.")
def _decide(
    invocation: Invocation,
    *,
    phase: str,
    go: bool | None,
    person: str,
    code: str,
    reason: str,
    wave: str | None,
    override: bool,
) -> int:
    """Record go or no-go about PHASE, with a personal code and a reason.

    `pilot` and `golive` wait for it; the others need it only to go on in spite of their gates.
    A decision holds until one of the gates that it rests on is judged anew.
    """
    if go is None:
        raise click.UsageError("the decision is missing: --go or --no-go")
    from rollout.phases.decide import decide  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = decide(
            context, phase=phase, go=go, person=person, code=code, reason=reason, wave=wave, override=override
        )
    word = "go (override)" if summary.override else "go" if summary.go else "no-go"
    seen = "".join(
        f"\n  {name}: {gate.verdict.value if gate.verdict else 'never judged'}" for name, gate in summary.gates.items()
    )
    off = f"\nRules of the CRM that are still off: {', '.join(summary.still_off)}" if summary.still_off else ""
    invocation.emit(
        summary,
        text=f"{person} decided {word} about {phase}{f' ({wave})' if wave else ''}: {reason}"
        f"\nIt rests on these gates, and holds until one is judged anew:{seen}{off}\n{next_line(summary.next)}",
    )
    return 0


command = verb(_decide)
