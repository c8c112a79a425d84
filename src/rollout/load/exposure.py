"""How long people's edits are unprotected (promise 4): from our look at a record to the end of our write to it.

A target with conditional updates refuses a write to a record that changed since it was read, so nothing is unprotected
there. Elsewhere an edit that falls into this time is overwritten unseen; all we can do is keep it short and say it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pydantic import Field

from rollout.model.base import Frozen


class UnprotectedWindow(Frozen):
    """What a run left unprotected. All zero where the target has conditional updates."""

    rows: int = Field(default=0, description="Writes to existing records that the target did not guard.")
    longest_s: float = Field(default=0.0, description="Longest time from the look at a record to the end of its write.")
    mean_s: float = 0.0


class Exposure:
    """Collects them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows, self._total_s, self._longest_s = 0, 0.0, 0.0

    def note(self, seconds: Iterable[float]) -> None:
        """Add the times of a call's rows."""
        with self._lock:
            for taken_s in seconds:
                self._rows += 1
                self._total_s += taken_s
                self._longest_s = max(self._longest_s, taken_s)

    def add(self, other: Exposure) -> None:
        """Add what another one collected."""
        with self._lock:
            self._rows += other._rows
            self._total_s += other._total_s
            self._longest_s = max(self._longest_s, other._longest_s)

    @property
    def window(self) -> UnprotectedWindow:
        """All that was collected."""
        mean_s = self._total_s / self._rows if self._rows else 0.0
        return UnprotectedWindow(rows=self._rows, longest_s=round(self._longest_s, 4), mean_s=round(mean_s, 4))
