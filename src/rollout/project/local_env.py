"""Addresses and secrets that belong to one workspace: ``NAME=value`` lines in a file that only its owner can read.

They are defaults beneath the real environment, so that a plain shell finds the services which were started for the
project, and a variable that is set always wins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from rollout.errors import ConfigError
from rollout.project.locking import held

FILE = "env"
_LINE = re.compile(r"(ROLLOUT_[A-Z0-9_]+)=(.*)")


def read_local_env(root: Path) -> dict[str, str]:
    """The variables of the workspace at ``root``; none if it has no such file.

    Raises:
        ConfigError: Others can read the file, or a line is not ``ROLLOUT_…=value``.
    """
    path = root / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if path.stat().st_mode & 0o077:
        raise ConfigError("the file holds passwords and others can read it", where=str(path), hint=f"chmod 600 {path}")
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError("not a line ROLLOUT_…=value", where=f"{path}:{number}", hint="correct or remove the line")
        variables[match[1]] = match[2]
    return variables


def write_local_env(root: Path, variables: Mapping[str, str]) -> None:
    """Set variables, and keep the others. Readers see the old file or the new one, never a part."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(root / f"{FILE}.lock"):
        merged = read_local_env(root) | dict(variables)
        draft = root / f"{FILE}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write("# Written by make demo and make ui. Variables of the environment win over these.\n")
            stream.writelines(f"{name}={value}\n" for name, value in sorted(merged.items()))
        draft.replace(root / FILE)
