"""`rollout init`: the folder of a new project, to be filled in."""

from __future__ import annotations

from pathlib import Path

import click

from rollout.cli.verb import Invocation, verb
from rollout.project.starter import write_starter


@verb
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def command(invocation: Invocation, directory: Path) -> int:
    """Make DIRECTORY with a commented project file, mappings and editor schemas.

    Nothing that exists is overwritten.
    """
    written = write_starter(directory)
    text = "\n".join(
        [
            *map(str, written),
            "Next: put the legacy files into its folder `legacy`, fill in rollout.yaml, then run",
            f"  rollout --project {directory} check",
        ]
    )
    invocation.emit({"directory": directory.absolute(), "written": written}, text=text)
    return 0
