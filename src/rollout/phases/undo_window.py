"""How long a load can be taken back: from the moment that users are let in, for as long as the project says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.govern.sequence import Phase
from rollout.journal.decisions import decided
from rollout.journal.history import written_at
from rollout.model.progress import Decision
from rollout.phases.context import PhaseContext


@dataclass(frozen=True, slots=True)
class Window:
    """When a plan can be taken back."""

    begins_at: datetime | None
    """None: users have not been let in yet, and it can be taken back at any time."""
    ends_at: datetime | None

    def is_over(self, now: datetime) -> bool:
        """Whether it cannot be taken back any more."""
        return self.ends_at is not None and now >= self.ends_at


def let_in_at(decisions: Sequence[Decision], wave: str, first_wave: str | None) -> datetime | None:
    """When the users of a wave were let in, and not sent away since; None: they are not.

    Args:
        decisions: Of the project, oldest first.
        wave: The wave.
        first_wave: The pilot's; None: there is no pilot.
    """
    phases = [Phase.GOLIVE.value, *([Phase.PILOT.value] if wave == first_wave else [])]
    gone = [at for phase in phases if (at := _gone(decisions, phase)) is not None]
    return min(gone, default=None)


def _gone(decisions: Sequence[Decision], phase: str) -> datetime | None:
    """When the latest unbroken series of goes of a phase began."""
    since: datetime | None = None
    for decision in decisions:
        if decision.phase == phase:
            since = (since or decision.at) if decision.is_go else None
    return since


def windows(context: PhaseContext, plan_ids: Sequence[str]) -> dict[str, Window]:
    """The windows of plans, by plan."""
    spec, journal = context.project.spec, context.journal
    first = spec.waves[0].name if len(spec.waves) > 1 else None
    length = timedelta(hours=spec.retention.undo_window_h)
    found = {}
    with journal.transaction() as connection:
        decisions = decided(connection, journal.project_id)
        written = written_at(connection, journal.project_id, plan_ids)
    for plan_id, (wave, at) in written.items():
        let_in = let_in_at(decisions, wave, first)
        # A load that came after the go has its own window.
        begins_at = max(let_in, at) if let_in else None
        found[plan_id] = Window(begins_at, begins_at + length if begins_at else None)
    return found
