"""`kill -9` in the middle of a load, again and again: no duplicate, no loss (promise 3)."""

from __future__ import annotations

import random
import time

KILLS = 20


def test_a_load_that_is_killed_twenty_times_ends_with_no_duplicate_and_no_loss(make_rollout):
    rollout = make_rollout(edit=_row_by_row)
    plan = rollout.plan()
    to_create = {name: entity["create"] for name, entity in plan["entities"].items()}
    planned = sum(to_create.values())
    assert planned > KILLS * 10
    chance = random.Random(7)
    for kill in range(1, KILLS + 1):
        _kill_behind(rollout, planned * kill // (KILLS + 5), chance.uniform(0, 0.05))
    assert _decided(rollout) < planned, "the load was over before the last kill"

    summary = rollout.run("load")
    assert summary["state"] == "applied"
    assert summary["accounted"]
    assert summary["closed"]
    with rollout.crm.client() as client:
        for entity, expected in to_create.items():
            assert summary["entities"][entity]["created"] == expected
            assert client.get(f"/api/{entity}/count").json()["count"] == expected
    assert rollout.query("SELECT count(*) FROM row_line WHERE state IN ('intent', 'unknown')") == [(0,)]


def _row_by_row(text: str) -> str:
    """A project file with one row a call, so that there is something to kill between any two."""
    assert text.count("  test:\n    system: crm\n") == 1
    return text.replace("  test:\n    system: crm\n", "  test:\n    system: crm\n    batch_rows: 1\n")


def _kill_behind(rollout, rows: int, delay_s: float) -> None:
    """Start a load, and kill it a moment after so many rows are decided."""
    process = rollout.start("load")
    while _decided(rollout) < rows:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(delay_s)
    process.kill()
    process.communicate(timeout=30)


def _decided(rollout) -> int:
    [(rows,)] = rollout.query("SELECT count(*) FROM row_state WHERE state NOT IN ('intent', 'retried', 'waiting')")
    return rows
