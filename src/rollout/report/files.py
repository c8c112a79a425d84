"""Writes documents: whole or not at all, readable by their owner alone."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

BYTE_ORDER_MARK = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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


def write_list(folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    """Write a list for people as CSV: UTF-8 with BOM, and nothing in it that a spreadsheet would run as a formula."""
    text = io.StringIO()
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    return write_document(folder, name, text.getvalue())
