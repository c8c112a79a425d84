"""Prefect for tests: a home of its own, no messages to anybody, one throw-away server a session."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="rollout-test-prefect-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

# Prefect reads its home and whether it may send anything when it is first imported.
os.environ["PREFECT_HOME"] = str(HOME)
os.environ["DO_NOT_TRACK"] = "1"
sys.path[:0] = [str(ROOT), str(ROOT / "ops")]  # `flows` is a package of the checkout; ops holds scripts


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server on a throw-away database."""
    from prefect.settings import PREFECT_HOME, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        temporary_settings({PREFECT_HOME: HOME, PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield
