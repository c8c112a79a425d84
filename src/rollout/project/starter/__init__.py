"""The folder of a new project: commented files that a user fills in."""

from __future__ import annotations

import re
from pathlib import Path

from rollout.errors import ConfigError
from rollout.project.schemas import write_schemas

_TEMPLATES = Path(__file__).parent
_FILES = ("rollout.yaml", "mappings/account.yaml", "mappings/owners.csv", "gitignore")


def write_starter(directory: Path) -> list[Path]:
    """Write the starter project; answers the files.

    Raises:
        ConfigError: The folder holds a project already, or cannot be written.
    """
    directory = directory.absolute()
    texts = {_target(directory, name): (_TEMPLATES / name).read_text(encoding="utf-8") for name in _FILES}
    existing = [path for path in texts if path.exists()]
    if existing:
        raise ConfigError(
            f"'{existing[0].relative_to(directory)}' exists already; nothing was written",
            where=str(directory),
            hint="choose another folder",
        )
    try:
        (directory / "legacy").mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("my-rollout", _identifier(directory.name)), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the project cannot be written ({error.strerror})", where=str(directory)) from error
    return [*texts, *write_schemas(directory / "schema")]


def _target(directory: Path, name: str) -> Path:
    return directory / (".gitignore" if name == "gitignore" else name)


def _identifier(folder: str) -> str:
    """The project's id from its folder's name, as far as that has Latin letters."""
    return re.sub(r"^[^a-z]+|[^a-z0-9]+$", "", re.sub(r"[^a-z0-9]+", "-", folder.lower())) or "my-rollout"
