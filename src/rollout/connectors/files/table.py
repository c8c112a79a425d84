"""What a CSV file and a sheet of a workbook have in common: a header, and rows in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rollout.errors import ConfigError
from rollout.model.finding import Finding

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that does not fit the header; it counts as a source row."""

    line: int
    raw: str
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a table: its columns as Arrow strings (null = empty cell), and the line each row starts at."""

    rows: pa.Table
    lines: Lines
    unreadable: list[Unreadable] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Table(Protocol):
    """A file or sheet whose header has been read."""

    @property
    def label(self) -> str:
        """The file, relative to the project."""
        ...

    @property
    def sheet(self) -> str:
        """The sheet's name, or ""."""
        ...

    @property
    def header_line(self) -> int:
        """The last header line."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in file order."""
        ...

    @property
    def findings(self) -> list[Finding]:
        """What reading the header told."""
        ...

    def parts(self, chunk_rows: int) -> Iterator[Part]:
        """The rows in file order, at most ``chunk_rows`` at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """A file about to be read, and what would change if somebody wrote to it meanwhile."""

    path: Path
    label: str
    """Its name in messages, relative to the project."""
    stamp: tuple[int, int, int]
    """Inode, size, modification time in ns."""

    @classmethod
    def of(cls, path: Path, label: str) -> Origin:
        """Taken before the first byte is read."""
        return cls(path, label, _stamp(path))

    def require_unchanged(self) -> None:
        """Raise ConfigError if the file was written to since."""
        try:
            same = _stamp(self.path) == self.stamp
        except OSError:
            same = False
        if not same:
            raise ConfigError(
                "the file changed while it was being read",
                where=self.label,
                hint="wait until it is complete, then run again",
            )


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
