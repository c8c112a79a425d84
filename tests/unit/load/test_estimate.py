"""What plans cost, and what of the time and calls there are they exceed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.load.estimate import Allowance, Pace, exceeded, load_cost, taking_back_cost, undo_cost
from rollout.model.target import Capabilities

COUNTS = {"account": {"create": 250, "update": 100, "unchanged": 9}, "contact": {"create": 1}}
UNIQUE = Capabilities(enforces_unique=True)
PACE = Pace(batch_rows=100, concurrency=4, call_s=0.1, capabilities=UNIQUE)


def test_a_load_is_written_and_read_back_and_looked_at_where_it_must_be():
    assert load_cost(COUNTS, PACE).calls == 2 * 3 + 3 * 1 + 2 * 1
    not_unique = replace(PACE, capabilities=Capabilities())
    assert load_cost(COUNTS, not_unique).calls == 3 * 3 + 3 * 1 + 3 * 1
    answering = replace(PACE, capabilities=replace(UNIQUE, returns_stored=True))
    assert load_cost(COUNTS, answering).calls == 3 + 2 * 1 + 1
    few_keys = replace(PACE, capabilities=replace(UNIQUE, max_read_keys=50))
    assert load_cost({"account": {"create": 100}}, few_keys).calls == 1 + 2


def test_the_slowest_of_calls_rate_and_pace_seen_decides_and_is_named():
    assert load_cost(COUNTS, PACE).seconds == pytest.approx(11 * 0.1 / 4, abs=0.05)
    limited = replace(PACE, capabilities=Capabilities(rate_per_s=2))
    assert (load_cost(COUNTS, limited).seconds, load_cost(COUNTS, limited).basis) == (
        7.5,
        "2 calls a second, as the target allows",
    )
    seen = replace(PACE, rows_per_s=10)
    assert load_cost(COUNTS, seen).seconds == 35.1
    assert "latest load" in load_cost(COUNTS, seen).basis


def test_taking_back_asks_for_links_before_it_deletes_and_looks_after():
    assert undo_cost({"account": {"create": 100}}, PACE).calls == 4
    assert undo_cost({"account": {"update": 100, "adopt": 100}}, PACE).calls == 6
    assert taking_back_cost({"account": {"delete": 100, "restore": 100, "keep": 50}}, PACE).calls == 7
    assert undo_cost({"account": {"unchanged": 100, "conflict": 5}}, PACE).calls == 0


@pytest.mark.parametrize(
    ("allowance", "calls", "told"),
    [
        (Allowance(window_h=None, daily_calls=None), 10**9, 0),
        (Allowance(window_h=None, daily_calls=100, used_today=40), 60, 0),
        (Allowance(window_h=None, daily_calls=100, used_today=40), 61, 1),
        (Allowance(window_h=8, daily_calls=100, day_left_h=10), 101, 1),
        (Allowance(window_h=11, daily_calls=100, day_left_h=10), 200, 0),
        (Allowance(window_h=72, daily_calls=100, used_today=100, day_left_h=10), 300, 0),
        (Allowance(window_h=72, daily_calls=100, used_today=100, day_left_h=10), 301, 1),
        (Allowance(window_h=None, daily_calls=100, used_today=120), 1, 1),
    ],
)
def test_calls_that_are_not_there_are_told_with_the_figures(allowance, calls, told):
    assert len(exceeded("the load", calls, 60.0, allowance)) == told


def test_time_that_is_not_there_is_told_with_the_figures():
    assert exceeded("the load", 1, 3600.0, Allowance(window_h=1, daily_calls=None)) == []
    (told,) = exceeded("the load", 1, 2 * 3600.0, Allowance(window_h=1.5, daily_calls=None))
    assert "2.0 h" in told
    assert "1.5 h" in told
