"""How far a long piece of work is, on stderr: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_S = 10.0


@dataclass
class _Work:
    what: str
    total: int | None
    unit: str
    began: float
    told: float
    done: int = 0


class TerminalProgress:
    """Implements `rollout.phases.context.Progress`. Pieces of work may lie within one another.

    Args:
        console: Where to show it; default: stderr.
        clock: Seconds, never going back.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._lock = threading.RLock()
        self._work: list[_Work] = []
        self._bars: list[TaskID] = []
        self._display: Progress | None = None

    def start(self, what: str, total: int | None, unit: str) -> None:
        """Begin a piece of work of ``total`` ``unit`` (None: unknown)."""
        with self._lock:
            now = self._clock()
            self._work.append(_Work(what, total, unit, began=now, told=now))
            if not self._console.is_terminal:
                return
            if self._display is None:
                self._display = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TextColumn("{task.fields[unit]}"),
                    TimeElapsedColumn(),
                    TextColumn("· left"),
                    TimeRemainingColumn(),
                    console=self._console,
                )
                self._display.start()
            self._bars.append(self._display.add_task(what, total=total, unit=unit))

    def advance(self, amount: int) -> None:
        """``amount`` more are done. Called from several threads."""
        with self._lock:
            if not self._work:
                return
            work = self._work[-1]
            work.done += amount
            if self._display is not None:
                self._display.advance(self._bars[-1], amount)
            elif self._clock() - work.told >= LINE_EVERY_S:
                work.told = self._clock()
                self._console.print(_line(work, work.told), highlight=False, soft_wrap=True)

    def finish(self) -> None:
        """The piece of work is over, whether it succeeded or not."""
        with self._lock:
            if not self._work:
                return
            self._work.pop()
            if self._display is not None:
                self._bars.pop()
                if not self._bars:
                    self._display.stop()
                    self._display = None


def _line(work: _Work, now: float) -> str:
    if work.total is None:
        return f"{work.what}: {work.done:,} {work.unit}"
    text = f"{work.what}: {work.done:,} of {work.total:,} {work.unit}"
    if 0 < work.done <= work.total:
        text += f", about {(now - work.began) / work.done * (work.total - work.done):,.0f} s left"
    return text
