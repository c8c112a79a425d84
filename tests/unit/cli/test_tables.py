"""Tables on the terminal."""

from __future__ import annotations

from rollout.cli.tables import text_table


def test_no_column_vanishes_beside_a_long_one():
    told = text_table(["rule", "now", "settings", "list"], [["recycling", "on", "x=1, " * 60, "by tester"]])
    assert " now " in told
    assert " on " in told
