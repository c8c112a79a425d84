"""Since when nothing happened: the latest day of any kind that has come already."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from rollout.assess.dormancy import Trace, cutoff, is_dormant, last_seen

TODAY = date(2026, 3, 4)


def rows(*pairs: tuple[str, str | None]) -> str:
    told = ", ".join("('" + record + "', " + (f"'{moment}'" if moment else "NULL") + ")" for record, moment in pairs)
    return f"SELECT * FROM (VALUES {told}) AS t(record, moment)"


def seen(*traces: Trace) -> dict[str, tuple[date | None, str | None, bool]]:
    records = "SELECT unnest(['A', 'B', 'C']) AS record"
    query = last_seen(records, traces, until=TODAY)
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT *, {is_dormant(3, TODAY)} FROM ({query})").fetchall()
    return {record: tuple(rest) for record, *rest in found}


def test_the_latest_sign_of_any_kind_counts():
    orders = Trace("order", rows(("A", "2020-01-01"), ("A", "2021-05-05"), ("B", "2023-03-04"), ("Z", "2026-01-01")))
    tickets = Trace("ticket", rows(("A", "2025-12-31T23:00:00Z"), ("C", None), ("C", "2023-03-03")))
    assert seen(orders, tickets) == {
        "A": (date(2025, 12, 31), "ticket", False),
        "B": (date(2023, 3, 4), "order", False),  # three years ago to the day
        "C": (date(2023, 3, 3), "ticket", True),
    }


def test_a_day_to_come_and_what_is_no_day_are_no_sign_of_life():
    orders = Trace("order", rows(("A", "2062-01-01"), ("A", "2019-01-01"), ("B", "soon"), ("C", "2026-03-05")))
    assert seen(orders) == {
        "A": (date(2019, 1, 1), "order", True),
        "B": (None, None, True),
        "C": (None, None, True),
    }


def test_without_any_trace_every_record_was_never_seen():
    assert set(seen().values()) == {(None, None, True)}


@pytest.mark.parametrize(
    ("years", "today", "day"),
    [
        (3, date(2026, 3, 4), date(2023, 3, 4)),
        (1, date(2024, 2, 29), date(2023, 2, 28)),
        (0.5, date(2026, 3, 31), date(2025, 9, 30)),
        (0.001, date(2026, 1, 15), date(2025, 12, 15)),
    ],
)
def test_the_cut_off_is_that_many_years_ago(years, today, day):
    assert cutoff(years, today) == day
