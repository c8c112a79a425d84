"""Finding the row at which a whole batch fails: halves of it are sent until the row stands alone. Pure.

A row is only blamed where the target answers to others: while it answers to nothing, it is the target that fails, and
nobody's row is refused for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollout.load.machine import Decision, RowState, after_answer
from rollout.load.plan import UNDOING
from rollout.load.work import Work

RUNS_ALONE = 3
"""Runs in which a row must fail by itself, where no other row is there to show that the target answers."""


@dataclass
class Isolation:
    """What the calls for one batch have shown so far."""

    rows: int
    """In the batch as it was first sent."""
    max_attempts: int
    has_answered: bool = False
    """The target answered to some row of the batch."""
    failures: int = 0
    """Calls in a row without a usable answer."""
    suspects: list[tuple[Work, str]] = field(default_factory=list)
    """Rows that failed by themselves, each with what was heard last."""

    def note(self, *, answered: bool) -> None:
        """Note how a call ended."""
        self.has_answered |= answered
        self.failures = 0 if answered else self.failures + 1

    @property
    def is_in_vain(self) -> bool:
        """So many calls failed that a single bad row does not explain them."""
        return self.failures > self.rows.bit_length() + 2 * self.max_attempts

    def blames(self, work: Work) -> bool:
        """Whether it is the row that fails, not the target."""
        return self.has_answered or work.attempt >= RUNS_ALONE * self.max_attempts


def halves(works: Sequence[Work]) -> tuple[Sequence[Work], Sequence[Work]]:
    """Two parts of a batch."""
    middle = len(works) // 2
    return works[:middle], works[middle:]


def batches_of_resent(works: Sequence[Work]) -> list[Sequence[Work]]:
    """Rows that are sent again in a later run: the more of their calls failed, the smaller the batches."""
    if not works:
        return []
    size = max(1, len(works) >> max(0, max(work.attempt for work in works) - 2))
    return [works[start : start + size] for start in range(0, len(works), size)]


def verdict(work: Work, heard: str) -> Decision:
    """What becomes of a row that the target takes neither with others nor alone."""
    if work.answer is not None:
        return after_answer(work.answer)
    told = f"no usable answer to this row, not even when it is sent alone; nothing was stored. {heard}".strip()
    state = RowState.KEPT if work.row.action in UNDOING else RowState.REJECTED
    return Decision(state, work.row.target_id, "unanswered", told)
