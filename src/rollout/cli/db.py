"""`rollout db start | stop | status`: the embedded PostgreSQL of a project."""

from __future__ import annotations

import os

import click

from rollout.cli.verb import Invocation, verb
from rollout.project import postgres
from rollout.project.database import VARIABLE


@click.group()
def command() -> None:
    """Start, stop or look at the embedded PostgreSQL of the project.

    It is started by whatever needs it and runs until `rollout db stop`.
    """


@verb
def start(invocation: Invocation) -> int:
    """Start the embedded PostgreSQL, or find it running."""
    postgres.start(invocation.workspace.postgres)
    _tell(invocation)
    return 0


@verb
def stop(invocation: Invocation) -> int:
    """Stop the embedded PostgreSQL, ending its sessions."""
    stopped = postgres.stop(invocation.workspace.postgres)
    invocation.emit({"stopped": stopped}, text="stopped" if stopped else "it was not running")
    return 0


@verb
def status(invocation: Invocation) -> int:
    """Whether the embedded PostgreSQL runs, and where."""
    _tell(invocation)
    return 0


def _tell(invocation: Invocation) -> None:
    state = postgres.status(invocation.workspace.postgres)
    used = VARIABLE not in os.environ
    text = f"running on 127.0.0.1:{state.port}, pid {state.pid}" if state.running else "not running"
    text += f"; folder {state.directory}, password in its file 'password'"
    invocation.emit(
        {
            "running": state.running,
            "host": "127.0.0.1" if state.running else None,
            "port": state.port,
            "pid": state.pid,
            "version": state.version,
            "started_at": state.started_at,
            "directory": state.directory,
            "used": used,
        },
        text=text if used else f"{text}\nnot used: {VARIABLE} is set",
    )


for _verb in (start, stop, status):
    command.add_command(_verb)
