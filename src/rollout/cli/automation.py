"""`rollout automation`: the CRM's own rules, off for the load and on again by a checked list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rollout.cli.signing import signed
from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.automation import AutomationSummary


@click.group()
def command() -> None:
    """Keep the CRM quiet during the load: its workflows, assignment, recycling, SLA clocks and notifications."""


@verb
def _status(invocation: Invocation) -> int:
    """Show the CRM's rules, and which of them must be switched on again.

    Exit 1 if the checked list is not empty.
    """
    from rollout.phases.automation import automation_status  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = automation_status(context)
    invocation.emit(summary, text=_text(summary))
    return 1 if summary.still_off else 0


_WHY = "Why, in a sentence; it is recorded."
_rules = click.option("--rule", "rules", multiple=True, help="Only this rule; may be given several times.")


@_rules
@signed(_WHY)
def _off(invocation: Invocation, **signed: Any) -> int:
    """Switch off every rule that is on, or those named, and note each on the checked list."""
    from rollout.phases.automation import switch_off  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = switch_off(context, **signed)
    invocation.emit(summary, text=_text(summary))
    return 0


@_rules
@signed(_WHY)
def _on(invocation: Invocation, **signed: Any) -> int:
    """Switch on again what the checked list has, or those of it that are named.

    Rules that were off before the rollout stay off. Exit 1 while the list is not empty.
    """
    from rollout.phases.automation import switch_on  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = switch_on(context, **signed)
    invocation.emit(summary, text=_text(summary))
    return 1 if summary.still_off else 0


def _text(summary: AutomationSummary) -> str:
    rows = [
        [
            rule.name,
            rule.kind,
            "on" if rule.is_on else "off",
            "\n".join(f"{name}={value}" for name, value in rule.settings.items()),
            f"switched off by {rule.off_by}: {rule.off_reason}" if rule.off_by else "",
        ]
        for rule in summary.rules
    ]
    grid = text_table(["rule", "kind", "now", "settings", "checked list"], rows, title=f"Rules of {summary.target}")
    switched = f"\nSwitched: {', '.join(summary.switched)}" if summary.switched else ""
    left = ", ".join(summary.still_off) or "nothing"
    return f"{grid}{switched}\nTo be switched on again: {left}"


command.add_command(_status, "status")
command.add_command(verb(_off), "off")
command.add_command(verb(_on), "on")
