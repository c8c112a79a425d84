"""How far a long piece of work is, as a Prefect progress artifact."""

from __future__ import annotations

import threading
import time
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows._artifacts import key

UPDATE_INTERVAL_S = 1.0


class ArtifactProgress:
    """The `Progress` protocol as Prefect progress artifacts; written at most once a second."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._artifact: UUID | None = None
        self._what = self._unit = ""
        self._total: int | None = None
        self._done = 0
        self._written_at_s = 0.0

    def start(self, what: str, total: int | None, unit: str) -> None:
        """Begin a new artifact."""
        with self._lock:
            self._what, self._total, self._unit, self._done = what, total, unit, 0
            self._written_at_s = time.monotonic()
            self._artifact = create_progress_artifact(0.0, key=key(self._project, "progress", what), description=what)

    def advance(self, amount: int) -> None:
        """Count, and write it if the last writing is a second ago."""
        with self._lock:
            self._done += amount
            if time.monotonic() - self._written_at_s >= UPDATE_INTERVAL_S:
                self._write(over=False)

    def finish(self) -> None:
        """Write what was reached."""
        with self._lock:
            self._write(over=True)
            self._artifact = None

    def _write(self, *, over: bool) -> None:
        if self._artifact is None:
            return
        self._written_at_s = time.monotonic()
        of_total = "" if self._total is None else f" / {self._total:,}"
        share = min(100.0, 100.0 * self._done / self._total) if self._total else 100.0 * over
        update_progress_artifact(
            self._artifact, share, description=f"{self._what}: {self._done:,}{of_total} {self._unit}"
        )
