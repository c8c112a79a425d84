"""The options of verbs that people put their name to."""

from __future__ import annotations

from collections.abc import Callable

import click


def signed(why: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add --by, --code and --reason to a verb's function; ``why`` is the help of the last."""
    options = (
        click.option("--reason", required=True, help=why),
        click.option(
            "--code",
            envvar="ROLLOUT_CODE",
            prompt="Personal code",
            hide_input=True,
            help="Their personal code; asked for when missing. $ROLLOUT_CODE keeps it out of the shell's history.",
        ),
        click.option("--by", "person", required=True, help="Who does it, as `rollout people` knows them."),
    )

    def add(function: Callable[..., int]) -> Callable[..., int]:
        for option in options:
            function = option(function)
        return function

    return add
