"""How many rows a call carries and how many calls are under way: what the project wants, within what the target can."""

from __future__ import annotations

from rollout.model.target import Capabilities
from rollout.project.spec import TargetSpec


def rows_a_call(settings: TargetSpec, capabilities: Capabilities) -> int:
    """Rows a write call carries."""
    return min(settings.batch_rows or capabilities.max_batch_rows, capabilities.max_batch_rows)


def calls_at_once(settings: TargetSpec, capabilities: Capabilities) -> int:
    """Calls that are under way at once."""
    return min(settings.concurrency or capabilities.concurrency, capabilities.concurrency)
