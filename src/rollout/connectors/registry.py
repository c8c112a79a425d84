"""Connectors by name, through entry points ``rollout.connectors``, imported only when used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from rollout.connectors.base import Connector
from rollout.errors import ConfigError

GROUP = "rollout.connectors"


@cache
def available() -> Mapping[str, EntryPoint]:
    """Installed connectors by kind; nothing is imported. Looked up once: it reads every distribution's metadata."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def create(kind: str, *, name: str, options: Mapping[str, Any], base_dir: Path) -> Connector:
    """Construct the connector of a system.

    Args:
        kind: The `connector` of the system in `rollout.yaml`.
        name: The system's name in the project.
        options: The system's options; the connector validates them and raises `ConfigError`.
        base_dir: The project's folder; relative paths in options start here.
    """
    entry = available().get(kind)
    if entry is None:
        raise ConfigError(
            f"no connector is called '{kind}' (system '{name}')",
            hint=f"use one of: {', '.join(sorted(available()))}",
        )
    connector: Connector = entry.load()(name=name, options=options, base_dir=base_dir)
    return connector
