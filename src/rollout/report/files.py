"""Writes documents: whole or not at all, readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path


def write_document(folder: Path, name: str, text: str) -> Path:
    """Write a document under its name, in place of the one before.

    Args:
        folder: An existing folder.
        name: File name.
        text: The document.

    Returns:
        Its path.
    """
    path = folder / name
    part = folder / f".{name}.{os.getpid()}.tmp"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
    return path
