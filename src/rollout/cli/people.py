"""`rollout people`: who may decide."""

from __future__ import annotations

import click

from rollout.cli.verb import Invocation, verb


@click.group()
def command() -> None:
    """Keep the list of people who may approve and decide, each with a personal code."""


@click.argument("name")
@click.option("--replace", is_flag=True, help="Give somebody who is known already a new code; the old one ends.")
def _add(invocation: Invocation, *, name: str, replace: bool) -> int:
    """Add a person. Their personal code is shown once."""
    from rollout.journal import people  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        code = people.add(context.journal, name, replace=replace)
    invocation.emit({"name": name, "code": code}, text=f"{name}'s personal code, shown only now: {code}")
    return 0


@verb
def _list(invocation: Invocation) -> int:
    """List who may decide."""
    from rollout.journal import people  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        names = people.names(context.journal)
    invocation.emit({"people": names}, text="\n".join(names) or "nobody yet: rollout people add NAME")
    return 0


@click.argument("name")
def _revoke(invocation: Invocation, *, name: str) -> int:
    """Let a person decide no longer. What they decided stays."""
    from rollout.journal import people  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        people.revoke(context.journal, name)
    invocation.emit({"revoked": name}, text=f"{name} may no longer decide.")
    return 0


command.add_command(verb(_add), "add")
command.add_command(_list, "list")
command.add_command(verb(_revoke), "revoke")
