"""One verb a phase.

A verb lives in a module of its own that defines ``command`` with `verb`; `rollout.cli.app` lists it. Its module is
imported when the verb is used, so that ``rollout --help`` stays fast::

    @verb
    @click.option("--entity", multiple=True, help="Only these entities.")
    def command(invocation: Invocation, entity: tuple[str, ...]) -> int:
        \"\"\"Profile the legacy data.\"\"\"
        with invocation.context() as context:
            summary = run_assess(context, entities=entity)
        invocation.emit(summary, text=…)
        return 0
"""

from __future__ import annotations

import sys

from rollout.cli.verb import Invocation, verb

__all__ = ["Invocation", "main", "verb"]


def main() -> None:
    """The `rollout` command."""
    from rollout.cli.app import run  # noqa: PLC0415 - verb modules import this package

    sys.exit(run(sys.argv[1:]))
