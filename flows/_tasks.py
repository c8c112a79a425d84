"""What makes a phase a task: the project's context, and the states that errors end in."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed
from prefect.tasks import Task

from flows._artifacts import publish_error
from flows._options import ProjectOptions
from flows._progress import ArtifactProgress
from flows._tables import publish_status
from rollout.errors import RolloutError
from rollout.phases.context import PhaseContext, open_context
from rollout.project.loader import find_project, load_project

DEFAULT_PROJECT = "ROLLOUT_PROJECT"
"""Environment variable that names the project a worker was started for."""

Options = TypeVar("Options", bound=ProjectOptions)


def open_project(options: ProjectOptions) -> PhaseContext:
    """The context of the project that the options (or the worker's environment) name."""
    folder = Path(options.project or os.environ.get(DEFAULT_PROJECT, "."))
    project = load_project(find_project(folder), env=options.environment or None)
    return open_context(project, progress=ArtifactProgress(project.spec.project.id))


def phase_task(name: str) -> Callable[[Callable[[PhaseContext, Options], Any]], Task[..., Any]]:
    """Make a function of a context and options a task of the options alone.

    The task opens the context itself, so that a shard may run on any host, and publishes where the rollout is after it.
    An error written for people ends it in a state with that error's name and message instead of a traceback; anything
    else is a bug and keeps its traceback.
    """

    def decorate(function: Callable[[PhaseContext, Options], Any]) -> Task[..., Any]:
        # Not `wraps` whole: Prefect binds arguments by the signature of what it calls.
        @functools.wraps(function, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        def run(options: Options) -> Any:
            try:
                with open_project(options) as context:
                    try:
                        result = function(context, options)
                    except RolloutError:
                        with contextlib.suppress(RolloutError):  # the error itself is the one to tell
                            publish_status(context)
                        raise
                    publish_status(context)
                    return result
            except RolloutError as error:
                publish_error(error)
                return Failed(name=type(error).__name__, message=str(error), data=error)

        del run.__wrapped__
        return task(run, name=name, task_run_name=f"{name} · {{options.label}}", cache_policy=NO_CACHE)

    return decorate
