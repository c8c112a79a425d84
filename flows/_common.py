"""What every flow needs: the options they share, the phase's context, and the states that errors end in."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed
from prefect.tasks import Task
from pydantic import BaseModel, ConfigDict, Field

from flows._artifacts import publish_error, publish_status
from flows._progress import ArtifactProgress
from rollout.errors import RolloutError
from rollout.phases.context import PhaseContext, open_context
from rollout.project.loader import find_project, load_project

DEFAULT_PROJECT = "ROLLOUT_PROJECT"
"""Environment variable that names the project a worker was started for."""


def _form_order(schema: dict[str, Any]) -> None:
    """Keep a form's fields in the order they are declared in, those every flow shares last (the UI sorts by it)."""
    names = sorted(schema["properties"], key=lambda name: name in ProjectOptions.model_fields)
    for position, name in enumerate(names):
        schema["properties"][name]["position"] = position


class ProjectOptions(BaseModel):
    """Which rollout a run belongs to."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_form_order)

    project: str = Field(
        default="",
        title="项目 · Project",
        description="rollout.yaml 所在文件夹；留空则用本平台启动时的项目。"
        "Folder that holds rollout.yaml; empty: the project this platform was started for.",
    )
    environment: str = Field(
        default="",
        title="环境 · Environment",
        description="rollout.yaml 中 environments 的名称；留空为基础设置。"
        "A name under `environments:` in rollout.yaml; empty: the base settings.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase: entity and wave."""
        return "all entities · all waves"


class WaveOptions(ProjectOptions):
    """Options of phases that take one wave after the other."""

    in_turn: ClassVar[str] = "next wave"
    """What a run's name says where no wave is named."""

    wave: str = Field(
        default="",
        max_length=64,
        title="批次 · Wave",
        description="rollout.yaml 中 waves 的名称；留空则依次进行。A name under `waves:`; empty: the one in turn.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase: entity and wave."""
        return f"all entities · {f'wave {self.wave}' if self.wave else self.in_turn}"


class EntityOptions(WaveOptions):
    """Options of phases that can be limited to some entities of a wave."""

    entities: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        title="实体 · Entities",
        description="只处理这些实体，如 account、contact；留空为全部。Only these entities; empty: all, parents first.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase: entity and wave."""
        wave = f"wave {self.wave}" if self.wave else self.in_turn
        return f"{', '.join(self.entities) or 'all entities'} · {wave}"


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
