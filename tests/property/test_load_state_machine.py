"""Plan, load, die, go on, type, delta, retry and undo in any order: the promises hold after every step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.attack._life import Life
from tests.attack._world import database_of, hurry

LIVES = settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MORE_LIVES = settings(LIVES, max_examples=25, stateful_step_count=20, derandomize=False, print_blob=True)


@pytest.fixture
def live(pg_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[settings], None]:
    hurry(monkeypatch)

    def live(how: settings) -> None:
        with database_of(pg_url) as database:
            run_state_machine_as_test(lambda: Life(database, tmp_path), settings=how)

    return live


@pytest.mark.hypothesis
def test_the_promises_hold_whatever_happens_in_whatever_order(live):
    live(LIVES)


@pytest.mark.hypothesis
@pytest.mark.attack
def test_the_promises_hold_in_many_long_lives(live):
    live(MORE_LIVES)
