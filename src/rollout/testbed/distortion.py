"""How a fault changes what is stored and found: set for a request, seen by those who store and read for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from rollout.testbed.entities import Entity, Kind
from rollout.testbed.fault_kinds import Fault


@dataclass(frozen=True, slots=True)
class Distortion:
    """A fault, and the seconds it was planned with."""

    fault: Fault
    seconds: float = 0


_current: ContextVar[Distortion | None] = ContextVar("distortion", default=None)


@contextmanager
def distorted(distortion: Distortion) -> Iterator[None]:
    """Let the request that is served inside suffer it: handlers run in copies of this context, so they see it."""
    mark = _current.set(distortion)
    try:
        yield
    finally:
        _current.reset(mark)


def suffers(fault: Fault) -> bool:
    """Whether this request suffers the fault."""
    current = _current.get()
    return current is not None and current.fault is fault


def search_lag_s() -> float:
    """How long ago a record must have been created for this request to find it; 0: it finds everything."""
    current = _current.get()
    return current.seconds if current is not None and current.fault is Fault.LAGGING_SEARCH else 0


def spoil(entity: Entity, values: dict[str, Any], *, is_new: bool) -> dict[str, Any]:
    """The column values that are stored in place of those asked for."""
    if suffers(Fault.LOST_FIELDS) and is_new:
        return values | {field.name: None for field in entity.fields if field.custom}
    if suffers(Fault.TRUNCATED_FIELD):
        free = {field.name for field in entity.fields if field.kind is Kind.TEXT and not field.user_login}
        texts = {name: value for name, value in values.items() if name in free and isinstance(value, str)}
        if texts:
            name = max(texts, key=lambda name: len(texts[name]))
            return values | {name: texts[name][: (len(texts[name]) + 1) // 2].rstrip()}
    return values
