"""`rollout schema`: JSON schemas of the files people write, so that editors complete and check them."""

from __future__ import annotations

from pathlib import Path

import click

from rollout.cli.verb import Invocation, verb
from rollout.project.schemas import write_schemas


@verb
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def command(invocation: Invocation, directory: Path) -> int:
    """Write rollout.schema.json and mapping.schema.json into DIRECTORY."""
    written = write_schemas(directory)
    invocation.emit({"written": written}, text="\n".join(map(str, written)))
    return 0
