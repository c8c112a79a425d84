"""Which format a column of dates has, and when a person must say so."""

from __future__ import annotations

import pytest

from rollout.mapping.date_columns import AMBIGUOUS, DAY_FIRST, MONTH_FIRST, OTHER, date_column, layout
from rollout.mapping.transforms_values import date_one


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("2024-3-5", "YYYY-MM-DD"),
        ("2024/03/05 08:00", "YYYY/MM/DD"),
        ("２０２４.03.05", "YYYY.MM.DD"),
        ("2024 年 3 月 5 日", "YYYY年MM月DD日"),
        ("20240305", "YYYYMMDD"),
        ("45356", "Excel"),
        ("03/04/2024", AMBIGUOUS),
        ("4/4/2024", AMBIGUOUS),
        ("25-12-2024", DAY_FIRST),
        ("12.25.2024", MONTH_FIRST),
        ("25/13/2024", OTHER),
        ("24/3/5", "YY/MM/DD ?"),
        ("2024-13-05", OTHER),
        ("待定", OTHER),
    ],
)
def test_the_way_a_cell_writes_its_date(cell, name):
    assert layout(cell) == name


def test_cells_of_one_reading_speak_for_the_others_but_do_not_decide():
    column = date_column([("03-04-2024", 5), ("25-12-2024", 2), ("2024-01-01", 3), (" ", 4)])
    assert (column.rows, column.undecided) == (10, 5)
    assert column.is_open
    assert column.likely == "%d-%m-%Y"
    assert column.shares == {AMBIGUOUS: 0.5, "YYYY-MM-DD": 0.3, DAY_FIRST: 0.2}


def test_a_truly_mixed_column_is_left_to_the_quarantine():
    column = date_column([("03/04/2024", 5), ("25/12/2024", 2), ("12/25/2024", 1)])
    assert column.is_mixed
    assert not column.is_open
    assert column.likely is None


def test_without_any_evidence_nothing_is_likely():
    assert date_column([("03/04/2024", 5)]).likely is None
    assert date_column([("24/3/5", 5), ("25/12/2024", 2)]).likely is None
    assert not date_column([("2024-01-01", 1)]).is_open


@pytest.mark.parametrize("pattern", ["%Y/%d/%m", "%Y.%d.%m"])
def test_what_is_written_with_hyphens_is_iso_whatever_the_column_does(pattern):
    assert date_one("2024-3-4", (), pattern) == ("2024-03-04", None)
    assert date_one("2024/3/4", (), pattern) == ("2024-04-03", None)
