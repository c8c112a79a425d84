"""Find a project and its workspace. Light: verbs that need no more should not wait for pandas."""

from __future__ import annotations

from pathlib import Path

from rollout.errors import ConfigError
from rollout.project.resolve import select_environment
from rollout.project.workspace import DEFAULT_WORKSPACE, Workspace
from rollout.project.yamlfile import Document, read_yaml

FILE = "rollout.yaml"


def find_project(start: Path) -> Path:
    """The `rollout.yaml` that ``start`` names: the file itself, or the nearest one in its folder or above.

    Raises:
        ConfigError: There is none.
    """
    start = start.absolute()
    if not start.exists():
        raise ConfigError("there is no such folder or file", where=str(start), hint="correct --project")
    if start.is_file():
        return start
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise ConfigError(
        f"no {FILE} here or in a folder above",
        where=str(start),
        hint="name the project with --project, or make one with `rollout init DIR`",
    )


def open_workspace(path: Path, *, env: str | None = None) -> Workspace:
    """The workspace of a project that need not be whole yet: to start the database, say, before anything is filled in.

    Raises:
        ConfigError: Not even `project.workspace` can be read.
    """
    document = read_yaml(path, path.name)
    findings = [*document.findings, *(select_environment(document, env) if not document.findings else ())]
    if findings:
        raise ConfigError(findings[0].message, where=findings[0].where, hint=findings[0].hint)
    return workspace_of(document, path.absolute().parent)


def workspace_of(document: Document, root: Path) -> Workspace:
    """The workspace that a project file names, as far as it can be read."""
    section = document.data.get("project")
    named = section.get("workspace") if isinstance(section, dict) else None
    return Workspace(root / (named if isinstance(named, str) else DEFAULT_WORKSPACE))
