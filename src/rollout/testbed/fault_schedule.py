"""Which calls go wrong, and how: planned one by one, or drawn by a seeded schedule. Pure but for its lock."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rollout.testbed.fault_kinds import OF_BATCHES, Fault

_ENDPOINT = "Path without `/api/`, such as `account/batch`; of the other systems `erp/orders`, `wecom/…`."


def _check(endpoint: str, *faults: Fault) -> None:
    if not endpoint.endswith("/batch") and (wrong := OF_BATCHES & set(faults)):
        raise ValueError(f"only a batch can suffer {', '.join(sorted(wrong))}")


class PlannedFault(BaseModel):
    """What the next calls of an endpoint shall suffer."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str = Field(description=_ENDPOINT)
    fault: Fault
    skip: int = Field(default=0, ge=0, description="Calls that go well before.")
    times: int = Field(default=1, ge=1, description="Calls that suffer it.")
    seconds: float = Field(default=0, ge=0, description="How long it lasts, or what Retry-After says.")

    @model_validator(mode="after")
    def _fits(self) -> PlannedFault:
        _check(self.endpoint, self.fault)
        return self


class EndpointFaults(BaseModel):
    """How often each call of an endpoint goes wrong, and in which ways."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str = Field(description=_ENDPOINT)
    rates: dict[Fault, float] = Field(
        description="Share of the calls that suffer each fault, 0 to 1; together at most 1."
    )
    seconds: dict[Fault, float] = Field(
        default_factory=dict, description="How long a fault lasts, or what Retry-After says; 0 if it is not named."
    )

    @model_validator(mode="after")
    def _fits(self) -> EndpointFaults:
        _check(self.endpoint, *self.rates)
        if any(rate < 0 for rate in self.rates.values()) or sum(self.rates.values()) > 1 + 1e-9:
            raise ValueError("rates are shares that together are at most 1")
        if any(seconds < 0 for seconds in self.seconds.values()):
            raise ValueError("seconds are not negative")
        return self


class FaultSchedule(BaseModel):
    """Faults that are drawn for every call: the same seed draws the same ones for the same calls."""

    model_config = ConfigDict(extra="forbid")

    seed: int
    endpoints: list[EndpointFaults] = Field(min_length=1)


class Suffered(BaseModel):
    """What the calls of an endpoint have met with since the schedule began."""

    calls: int
    faults: dict[Fault, int]


class SufferedByEndpoint(BaseModel):
    """The scheduled endpoints."""

    endpoints: dict[str, Suffered]


@dataclass(slots=True)
class _Pending:
    """A planned fault, and how many calls it still lets pass and still spoils."""

    fault: PlannedFault
    skip: int
    times: int


class FaultPlan:
    """Faults to come, by endpoint: the planned ones first, in order, then what the schedule draws. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: defaultdict[str, deque[_Pending]] = defaultdict(deque)
        self._seed = 0
        self._scheduled: dict[str, EndpointFaults] = {}
        self._calls: Counter[str] = Counter()
        self._suffered: Counter[tuple[str, Fault]] = Counter()

    def add(self, planned: PlannedFault) -> None:
        """Append to the endpoint's calls to come."""
        with self._lock:
            self._pending[planned.endpoint].append(_Pending(planned, planned.skip, planned.times))

    def schedule(self, schedule: FaultSchedule) -> None:
        """Draw from this schedule from now on, and count anew."""
        with self._lock:
            self._seed = schedule.seed
            self._scheduled = {faults.endpoint: faults for faults in schedule.endpoints}
            self._calls.clear()
            self._suffered.clear()

    def clear(self) -> None:
        """Everything goes well again; the counts stay until the next schedule."""
        with self._lock:
            self._pending.clear()
            self._scheduled = {}

    def suffered(self) -> SufferedByEndpoint:
        """How many calls there were, and what they met with, since the schedule began."""
        with self._lock:
            counts: dict[str, dict[Fault, int]] = {endpoint: {} for endpoint in self._calls}
            for (endpoint, fault), times in sorted(self._suffered.items()):
                counts[endpoint][fault] = times
            return SufferedByEndpoint(
                endpoints={
                    endpoint: Suffered(calls=self._calls[endpoint], faults=faults)
                    for endpoint, faults in counts.items()
                }
            )

    def next(self, path: str) -> PlannedFault | None:
        """What this call shall suffer."""
        if not self._pending and not self._scheduled:  # the usual case costs nothing
            return None
        endpoint = path.removeprefix("/api/").removeprefix("/")
        with self._lock:
            if endpoint in self._pending:
                return self._planned(endpoint)
            scheduled = self._scheduled.get(endpoint)
            return self._drawn(scheduled) if scheduled else None

    def _planned(self, endpoint: str) -> PlannedFault | None:
        pending = self._pending[endpoint]
        first = pending[0]
        if first.skip:
            first.skip -= 1
            return None
        first.times -= 1
        if not first.times:
            pending.popleft()
            if not pending:
                del self._pending[endpoint]
        return first.fault

    def _drawn(self, scheduled: EndpointFaults) -> PlannedFault | None:
        endpoint = scheduled.endpoint
        self._calls[endpoint] += 1
        # By the call's number, so that what one endpoint suffers does not depend on when others are called.
        drawn = random.Random(f"{self._seed} {endpoint} {self._calls[endpoint]}").random()  # noqa: S311 - repeatable
        for fault, rate in sorted(scheduled.rates.items()):
            if drawn < rate:
                self._suffered[endpoint, fault] += 1
                return PlannedFault(endpoint=endpoint, fault=fault, seconds=scheduled.seconds.get(fault, 0))
            drawn -= rate
        return None
