"""Figures of an entity as a whole, against rows written by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.assess.entity import NamedOwner, Seen, dormancy, owners, raw_names, volumes

TODAY = date(2026, 3, 4)


@pytest.fixture
def connection():
    with duckdb.connect(config={"threads": "1"}) as opened:
        yield opened


def table(path: Path, **columns: list[str | None]) -> Path:
    pq.write_table(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), path)
    return path


def test_records_are_counted_by_source_and_year(connection, tmp_path):
    days = ["2024-05-01", "2024-12-31", "2025-01-01", None, "0209-01-01", "2026-03-05", "2026-03-04T23:00:00Z"]
    path = table(tmp_path / "o.parquet", _source=["b", "a", "a", "a", "a", "b", "b"], day=days)
    found = volumes(connection, path, ["b", "a"], "day", "日期", today=TODAY)
    assert [(one.source, one.year, one.records) for one in found.years] == [
        ("b", 2024, 1),
        ("b", 2026, 2),
        ("a", 2024, 1),
        ("a", 2025, 1),
    ]
    assert (found.undated, found.ahead) == (2, 1)  # nothing, and a year that none of us saw; tomorrow


def test_dormant_records_are_those_that_nothing_happened_with(connection, tmp_path):
    orders = table(
        tmp_path / "order.parquet",
        customer=["A", "A", "B", "X"],
        at=["2026-01-01", "2010-01-01", "2020-06-01", "2026-01-01"],
    )
    records = (
        "SELECT * FROM (VALUES (1, 'A', NULL), (2, 'B', '2020-07-01'), (3, 'C', NULL), (4, 'D', '2023-03-04'), "
        "(1, 'A2', NULL)) AS r(record, key, updated)"
    )
    seen = [Seen("order", orders, "customer", "at"), Seen("updated", None, "", "updated")]
    found = dormancy(connection, records, seen, after_years=3, today=TODAY)
    assert (found.records, found.dormant, found.never, found.cutoff) == (4, 2, 1, date(2023, 3, 4))
    assert [(band.years, band.records) for band in found.ages] == [(0, 1), (2, 1), (5, 1)]
    assert {kind.kind: kind.records for kind in found.kinds} == {"order": 1, "updated": 2}


def test_the_bands_of_age_and_the_cut_off_agree(connection):
    days = ", ".join(f"({number}, 'K', '{2021 + number}-03-0{3 + number % 3}')" for number in range(5))
    records = f"SELECT * FROM (VALUES {days}) AS r(record, key, updated)"
    seen = [Seen("updated", None, "", "updated")]
    for years in (1, 2, 3, 4):
        found = dormancy(connection, records, seen, after_years=years, today=TODAY)
        assert found.dormant == sum(band.records for band in found.ages if band.years >= years)


def test_owners_are_users_leavers_unknown_and_none():
    found = owners(
        [
            NamedOwner("张伟", 5, "zhang.wei"),
            NamedOwner("小张", 2, "zhang.wei"),
            NamedOwner("李娜", 3, "li.na"),
            NamedOwner("王离职", 4, None, pool=True),
            NamedOwner("赵不详", 1, None),
            NamedOwner("钱不详", 6, None),
        ],
        blank=2,
    )
    assert (found.rows, found.mapped, found.pool, found.unknown, found.blank) == (23, 10, 4, 7, 2)
    assert (found.unknown_names, found.leavers, found.successors) == (2, 1, 1)
    assert [(one.name, one.rows) for one in found.users] == [("zhang.wei", 7), ("li.na", 3)]
    assert [(one.name, one.rows) for one in found.unknown_top] == [("钱**", 6), ("赵**", 1)]


def test_a_column_of_far_too_many_names_names_nobody(connection, tmp_path, monkeypatch):
    monkeypatch.setattr("rollout.assess.entity.MOST_NAMES", 3)
    path = table(tmp_path / "raw.parquet", few=["a", "a", None, "b"], many=["a", "b", "c", "d"])
    assert raw_names(connection, path, "few") == [("a", 2), ("b", 1), (None, 1)]
    assert raw_names(connection, path, "many") == []
