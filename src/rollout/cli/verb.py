"""What every verb has in common: which project, which environment, how it answers."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout.cli.logs import log_to
from rollout.cli.progress import TerminalProgress

if TYPE_CHECKING:  # heavy to import: pandas, SQLAlchemy; a verb that needs neither should not wait for them
    from rollout.phases.context import PhaseContext
    from rollout.project.loader import Project
    from rollout.project.workspace import Workspace

_log = logging.getLogger(__name__)


@dataclass
class Invocation:
    """One run of the command line. Verbs get it as their first argument."""

    project_path: Path | None = None
    """--project: a folder or a rollout.yaml; None: the nearest above the current folder."""
    env: str | None = None
    """--env: the overlay of `environments:`."""
    as_json: bool = False
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Marks this run's lines in the logs."""
    logs: Path | None = None
    """The folder that is logged to, once the project is known."""
    answer: Any = None
    """What --json will print."""

    @functools.cached_property
    def path(self) -> Path:
        """The project's `rollout.yaml`. Raises ConfigError if there is none."""
        from rollout.project.locate import find_project  # noqa: PLC0415

        return find_project(self.project_path or Path.cwd())

    @functools.cached_property
    def workspace(self) -> Workspace:
        """The project's workspace, for verbs that do not need the project to be whole."""
        from rollout.project.locate import open_workspace  # noqa: PLC0415

        workspace = open_workspace(self.path, env=self.env)
        self._log_to(workspace.logs)
        return workspace

    @functools.cached_property
    def project(self) -> Project:
        """The project, checked. Raises ConfigError listing all its errors."""
        from rollout.project.loader import load_project  # noqa: PLC0415

        self._log_to(self.workspace.logs)
        return load_project(self.path, env=self.env)

    @contextmanager
    def context(self) -> Iterator[PhaseContext]:
        """What phase functions are given, with progress on the terminal."""
        from rollout.phases.context import open_context  # noqa: PLC0415

        with open_context(self.project, progress=TerminalProgress()) as context:
            yield context

    def emit(self, answer: Any, *, text: str | None = None) -> None:
        """The verb's answer.

        Args:
            answer: A mapping, pydantic model or dataclass: the one object of --json.
            text: What people read instead; default: the answer's keys and values.
        """
        plain = _plain(answer)
        if self.as_json:
            if self.answer is not None:
                raise RuntimeError("a verb answers once")
            self.answer = plain
        else:
            click.echo(_readable(plain) if text is None else text)

    def say(self, text: str) -> None:
        """Something for people besides the answer, on stderr."""
        click.echo(text, err=True)

    def _log_to(self, logs: Path) -> None:
        if self.logs is None:
            self.logs = logs
            log_to(logs, run_id=self.run_id)


def verb(function: Callable[..., int | None]) -> click.Command:
    """Make a verb of a function ``(invocation, **options) -> exit code (None: 0)``; its docstring becomes the help.

    The verb takes --project, --env and --json, which may as well stand before its name.
    """

    @click.option(
        "--project", type=click.Path(path_type=Path), help="Project folder. Default: the nearest rollout.yaml."
    )
    @click.option("--env", help="Environment of the project file to use.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object on stdout.")
    @functools.wraps(function)
    def run(*, project: Path | None, env: str | None, as_json: bool, **options: Any) -> int:
        context = click.get_current_context()
        invocation = context.find_root().obj
        invocation.project_path = project or invocation.project_path
        invocation.env = env or invocation.env
        invocation.as_json = as_json or invocation.as_json
        began = time.monotonic()
        code = function(invocation, **options) or 0
        _log.info("%s ended with %d after %.1f s", context.command_path, code, time.monotonic() - began)
        return code

    name = function.__name__.removesuffix("_command").replace("_", "-")
    return click.command(None if name == "command" else name)(run)


def _plain(answer: Any) -> Any:
    """As JSON can say it."""
    if hasattr(answer, "model_dump"):
        return answer.model_dump(mode="json")
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        answer = dataclasses.asdict(answer)
    if isinstance(answer, Mapping):
        return {str(key): _plain(value) for key, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [_plain(value) for value in answer]
    if isinstance(answer, os.PathLike):
        return os.fspath(answer)
    return answer.isoformat() if hasattr(answer, "isoformat") else answer


def _readable(answer: Any, indent: str = "") -> str:
    """Keys and values, nested by indentation."""
    lines = []
    for key, value in answer.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", _readable(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines)


def write_json(answer: Any) -> None:
    """Print an answer to the real stdout."""
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2, default=str) + "\n")
