"""Runs Locust in a process of its own: greenlets and their patches of the standard library stay out of ours."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rollout
from rollout.capacity.recording import OPTIONS, PASSWORD, LocustOptions
from rollout.errors import ConfigError

LOCUSTFILE = Path(rollout.__file__).parents[2] / "loadtests" / "locustfile.py"
START_S = 60.0
"""What Locust may take to start and to end, besides the test itself."""
POLL_S = 0.25
TERMINATE_S = 5.0


@dataclass(frozen=True)
class LocustEnd:
    """How the process ended."""

    exit_code: int
    timed_out: bool
    """It did not end by itself and was killed."""


def run_locust(
    options: LocustOptions,
    *,
    password: str,
    options_path: Path,
    log_path: Path,
    tick: Callable[[], None],
    command: tuple[str, ...] | None = None,
) -> LocustEnd:
    """Run a load test to its end, or to the end of the time it may take.

    Args:
        options: What to do; written to ``options_path`` for the process.
        password: Of the simulated users; travels in the process's environment.
        options_path: A file to write.
        log_path: Where its output goes.
        tick: Called several times a second while it runs.
        command: In place of Locust, for tests.

    Raises:
        ConfigError: The load test is not there.
    """
    if not LOCUSTFILE.is_file():
        raise ConfigError(
            "the load test is missing", where=str(LOCUSTFILE), hint="run from a clone: the load test belongs to it"
        )
    _private(options_path, options.model_dump_json(indent=2))
    settings = options.settings
    deadline_s = (
        time.monotonic() + START_S + settings.ramp_s + options.settle_s + settings.hold_s + 2 * options.timeout_s
    )
    asked = command or (
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless", "--only-summary"),
        *("--exit-code-on-error", "0", "--stop-timeout", f"{options.timeout_s:g}"),
    )
    _private(log_path, "")
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own file under our own interpreter, no shell
            asked,
            env=_environment(options_path, password),
            cwd=options_path.parent,  # Locust reads a locust.conf of the folder it starts in
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() < deadline_s:
                tick()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_S)
            timed_out = process.poll() is None
        finally:
            _end(process)
    return LocustEnd(process.returncode, timed_out)


def _environment(options_path: Path, password: str) -> dict[str, str]:
    """Ours, without what would configure Locust in other ways and without secrets that it has no use for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOCUST_", "ROLLOUT_"))}
    return kept | {OPTIONS: str(options_path), PASSWORD: password}


def _private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it may have started: it leads a group of its own."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATE_S)
