"""The workspace: where a project's stages, reports, logs and embedded database lie, closed to everyone else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollout.errors import ConfigError

DEFAULT_WORKSPACE = ".rollout"
"""Folder beside `rollout.yaml`, unless that names another."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Folders of one project. Each is made (0700) when it is first asked for."""

    root: Path

    @property
    def stages(self) -> Path:
        """Immutable stage files, a folder an entity."""
        return self._folder("stages")

    @property
    def reports(self) -> Path:
        """Documents for people."""
        return self._folder("reports")

    @property
    def handouts(self) -> Path:
        """Workbooks for people that a flow hands out, and where those that came back are looked for."""
        return self._folder("handouts")

    @property
    def logs(self) -> Path:
        """JSON lines, personal data masked."""
        return self._folder("logs")

    @property
    def loadtests(self) -> Path:
        """What load tests wrote down, a few files a run."""
        return self._folder("loadtests")

    @property
    def postgres(self) -> Path:
        """The embedded server's folder."""
        return self._folder("postgres")

    def _folder(self, name: str) -> Path:
        path = self.root / name
        try:
            for folder in (self.root, path):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the workspace cannot be made ({error.strerror})",
                where=str(path),
                hint="set project.workspace to a folder you may write to",
            ) from error
        return path
