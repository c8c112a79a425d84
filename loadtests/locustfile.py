"""The load test of the CRM: `rollout loadtest` starts it, tells it what to do, and judges what it writes.

Locust loads this file by path. Options come from a file named in the environment, the password from the environment
itself; Locust's own --users, --spawn-rate and --run-time have no effect.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from locust import between, events
from ramp_and_hold import RampAndHold
from recorder import Recorder
from salesperson import Salesperson

from rollout.capacity.recording import OPTIONS, PASSWORD, LocustOptions

_OPTIONS = LocustOptions.model_validate_json(Path(os.environ[OPTIONS]).read_text(encoding="utf-8"))
_RECORDER = Recorder(Path(_OPTIONS.recording))


class ShapeOfThisTest(RampAndHold):
    """The shape, told what was asked for."""

    options = _OPTIONS
    recorder = _RECORDER


class SalespersonOfThisTest(Salesperson):
    """The users, told what was asked for."""

    host = _OPTIONS.settings.host
    options = _OPTIONS
    password = os.environ.pop(PASSWORD)
    recorder = _RECORDER
    network_timeout = connection_timeout = _OPTIONS.timeout_s
    wait_time = between(*_OPTIONS.settings.think_s)
    # Not a mapping: Locust makes of one a list in which each activity stands as often as it weighs.
    tasks = [getattr(Salesperson, name) for name, weight in _OPTIONS.settings.mix.items() for _ in range(weight)]  # noqa: RUF012


@events.test_start.add_listener
def _began(**_: Any) -> None:
    _RECORDER.mark("began")


@events.cpu_warning.add_listener
def _generator_busy(**_: Any) -> None:
    """Locust has used a core up: latencies may be its own."""
    _RECORDER.mark("generator_busy")


@events.quitting.add_listener
def _quitting(**_: Any) -> None:
    _RECORDER.flush()
