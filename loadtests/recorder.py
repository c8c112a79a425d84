"""Writes what happens, a line each, as it happens: a test that is killed has still told what it saw."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rollout.capacity.recording import Mark, Sample, Stored, line


class Recorder:
    """The recording of this process's test. Greenlets take turns, so no line is torn."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1 << 16)
        self._zero_s = time.monotonic()
        self._marked: set[str] = set()

    def now_s(self) -> float:
        """Seconds since the test began."""
        return time.monotonic() - self._zero_s

    def write(self, entry: Sample | Stored) -> None:
        """Write an entry; `flush` brings it to the file."""
        self._file.write(line(entry))

    def mark(self, what: str, at_s: float | None = None) -> None:
        """Note that something happened to the test itself; the first time counts."""
        if what not in self._marked:
            self._marked.add(what)
            self._file.write(line(Mark(what, self.now_s() if at_s is None else at_s)))
            self._file.flush()

    def flush(self) -> None:
        """Bring everything written to the file."""
        self._file.flush()
