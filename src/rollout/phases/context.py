"""What a phase function is given: the project, the journal, a clock, a progress display and its connectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self, cast

from rollout.connectors import registry
from rollout.connectors.base import Connector, QuietWriter, SourceReader, TargetReader, Writer
from rollout.errors import ConfigError
from rollout.journal.store import Journal, utc_now
from rollout.phases.translated import TranslatedTarget, renames
from rollout.project.database import database_url
from rollout.project.keys import key_ring
from rollout.project.loader import Project
from rollout.project.spec import PhaseName, TargetSpec


class Progress(Protocol):
    """Shows how far a long piece of work is. Implemented on the terminal and as a Prefect artifact."""

    def start(self, what: str, total: int | None, unit: str) -> None:
        """Begin a piece of work of ``total`` ``unit`` (None: unknown)."""
        ...

    def advance(self, amount: int) -> None:
        """``amount`` more are done. Called from several threads."""
        ...

    def finish(self) -> None:
        """The piece of work is over, whether it succeeded or not."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, what: str, total: int | None, unit: str) -> None:
        """Nothing."""

    def advance(self, amount: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class TargetConnector(Connector, TargetReader, Writer, Protocol):
    """A connector that can be loaded and verified."""


class SourceConnector(Connector, SourceReader, Protocol):
    """A connector that legacy data can be read from."""


@dataclass(frozen=True)
class PhaseContext:
    """Everything a phase function may touch. Close it, or use it in a ``with``."""

    project: Project
    journal: Journal
    progress: Progress = field(default_factory=Silent)
    clock: Callable[[], datetime] = utc_now
    _connectors: dict[str, Connector] = field(default_factory=dict, repr=False)

    def connector(self, system: str) -> Connector:
        """The connector of a system, created once."""
        if system not in self._connectors:
            spec = self.project.spec.systems[system]
            self._connectors[system] = registry.create(
                spec.connector, name=system, options=spec.options, base_dir=self.project.root
            )
        return self._connectors[system]

    def source(self, system: str) -> SourceConnector:
        """The connector of a system that rows are read from. Raises ConfigError if it cannot."""
        connector = self.connector(system)
        if not isinstance(connector, SourceReader):
            raise ConfigError(f"system '{system}' cannot be read as a source", hint="use a files or sql connector")
        return cast("SourceConnector", connector)

    def target(self, phase: PhaseName) -> tuple[str, TargetSpec, TargetConnector]:
        """Name, settings and connector of the target that a phase works on. Raises ConfigError if there is none.

        What loads asks the target to set nothing off, where it can and the settings want it.
        """
        for name, spec in self.project.spec.targets.items():
            if phase in spec.phases:
                connector = self.connector(spec.system)
                if phase == "load" and spec.suppress_automation and isinstance(connector, QuietWriter):
                    connector = connector.quiet()
                if not isinstance(connector, TargetReader) or not isinstance(connector, Writer):
                    raise ConfigError(f"system '{spec.system}' cannot be loaded", hint="name a CRM under `targets`")
                target = cast("TargetConnector", connector)
                return name, spec, TranslatedTarget(target, self.project.spec) if renames(self.project.spec) else target
        raise ConfigError(f"no target names the phase '{phase}'", hint=f"add '{phase}' to the phases of a target")

    def close(self) -> None:
        """Release connectors and database connections; one that fails keeps none of the others open."""
        with ExitStack() as stack:
            stack.callback(self.journal.close)
            for connector in self._connectors.values():
                stack.callback(connector.close)
            self._connectors.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_context(project: Project, *, progress: Progress | None = None) -> PhaseContext:
    """A context for real runs: starts the embedded database if needed and brings the journal up to date."""
    journal = Journal.open(
        database_url(project, database="journal"), project_id=project.spec.project.id, keys=key_ring(project)
    )
    return PhaseContext(project=project, journal=journal, progress=progress or Silent())


def chosen_entities(context: PhaseContext, entities: Sequence[str] | None) -> tuple[str, ...]:
    """The entities that were asked for (None: all), parents first. Raises ConfigError naming the known ones."""
    order = context.project.spec.load_order
    unknown = sorted(set(entities or ()) - set(order))
    if unknown:
        raise ConfigError(f"unknown entity: {', '.join(unknown)}", hint=f"known: {', '.join(order)}")
    return tuple(name for name in order if entities is None or name in entities)


@contextmanager
def shown(progress: Progress, what: str, total: int | None, unit: str) -> Iterator[Progress]:
    """Show a piece of work, and end its display however the work ends."""
    progress.start(what, total, unit)
    try:
        yield progress
    finally:
        progress.finish()
