"""The pace of a load: rows a call, calls at once, and a garbage collector that does not look at every batch anew."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from rollout.model.target import Capabilities
from rollout.project.spec import TargetSpec


def rows_a_call(settings: TargetSpec, capabilities: Capabilities) -> int:
    """Rows a write call carries."""
    return min(settings.batch_rows or capabilities.max_batch_rows, capabilities.max_batch_rows)


def calls_at_once(settings: TargetSpec, capabilities: Capabilities) -> int:
    """Calls that are under way at once."""
    return min(settings.concurrency or capabilities.concurrency, capabilities.concurrency)


@contextmanager
def few_collections() -> Iterator[None]:
    """Collect garbage seldom: rows make many short-lived objects and no cycles, and what is imported stays anyway."""
    before = gc.get_threshold()
    gc.freeze()  # without collecting first: looking at everything that is imported takes longer than many a load
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
