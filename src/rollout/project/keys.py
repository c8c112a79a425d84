"""Where the key ring comes from: ``ROLLOUT_KEYS``, else a 0600 file in the workspace that is made on first use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rollout.errors import ConfigError
from rollout.journal.crypto import KeyRing
from rollout.project.loader import Project

VARIABLE = "ROLLOUT_KEYS"
FILE = "keys"


def key_ring(project: Project, environ: Mapping[str, str] = os.environ) -> KeyRing:
    """The project's key ring. The key file lies outside the database, so that database backups hold no key."""
    if text := environ.get(VARIABLE):
        return KeyRing.parse(text)
    path = project.workspace.root / FILE
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError("the key file can be read by others", where=str(path), hint=f"run `chmod 600 {path}`")
    return KeyRing.parse(path.read_text(encoding="ascii"))


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(KeyRing.generate() + "\n")
    try:
        os.link(draft, path)  # unlike rename, never replaces a key that another process made meanwhile
    except FileExistsError:
        pass
    finally:
        draft.unlink()
