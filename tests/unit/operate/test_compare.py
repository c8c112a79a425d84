"""The comparison of a source with the CRM: one record of each kind, and which circumstance decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from rollout.operate.compare import CARRIED, LETTERS, Circumstances, Sides, compare, crm_schema, feed_schema

NOW = datetime(2026, 4, 2, 2, tzinfo=UTC)
FIELDS = ["amount", "product"]
OLD, LATELY = NOW - timedelta(hours=10), NOW - timedelta(minutes=10)


def rows(schema: pa.Schema, *found: tuple) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in found], schema=schema)


def judged(feed=(), crm=(), carried=(), letters=(), *, last_run_at=NOW - timedelta(hours=1)) -> dict[str, str]:
    """What is said of each key that is not in order."""
    sides = Sides(
        rows(feed_schema(FIELDS), *feed),
        rows(crm_schema(FIELDS), *crm),
        rows(CARRIED, *carried),
        rows(LETTERS, *letters),
    )
    known = Circumstances("migration", last_run_at, NOW, timedelta(hours=1))
    with duckdb.connect() as connection:
        kinds, table = compare(connection, sides, FIELDS, known)
    found = table.to_pylist()
    assert sum(kinds.values()) - kinds["ok"] == len(found)
    return {row["key"]: f"{row['kind']}/{row['reason']}" for row in found}


ORDER = ("k", OLD, None, "1", "a")
HELD = ("k", "migration", "1", "a")


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ({"feed": [ORDER], "crm": [HELD]}, {}),
        ({"feed": [ORDER], "crm": [], "carried": [("k", OLD)]}, {"k": "missing/deleted_in_crm"}),
        ({"feed": [ORDER], "crm": []}, {"k": "missing/not_carried"}),
        ({"feed": [ORDER], "crm": [], "letters": [("k", "customer_unknown")]}, {"k": "missing/customer_unknown"}),
        ({"feed": [("k", OLD, "account", "1", "a")]}, {"k": "missing/customer_not_loaded"}),
        ({"feed": [ORDER], "crm": [], "last_run_at": OLD - timedelta(1)}, {"k": "late/sync_not_run"}),
        ({"feed": [ORDER], "crm": [], "last_run_at": None}, {"k": "late/sync_not_run"}),
        ({"feed": [("k", LATELY, None, "1", "a")], "last_run_at": OLD}, {"k": "in_flight/"}),
        # Dated in the future: on its way for years, or lost.
        ({"feed": [("k", NOW + timedelta(days=900), None, "1", "a")]}, {"k": "late/sync_not_run"}),
        ({"feed": [("k", LATELY, None, "2", "a")], "crm": [HELD], "carried": [("k", OLD)]}, {"k": "in_flight/"}),
        ({"crm": [HELD]}, {"k": "extra/not_in_source"}),
        ({"crm": [HELD], "carried": [("k", OLD)]}, {"k": "extra/gone_from_source"}),
        ({"feed": [ORDER], "crm": [HELD, HELD]}, {"k": "extra/key_twice"}),
        (
            {"feed": [ORDER], "crm": [("k", "li.na", "2", "a")], "carried": [("k", OLD)]},
            {"k": "different/changed_by_person"},
        ),
        (
            {"feed": [ORDER], "crm": [("k", "migration", "2", None)], "carried": [("k", OLD)]},
            {"k": "different/changed_in_crm"},
        ),
        ({"feed": [ORDER], "crm": [("k", "migration", "2", "a")]}, {"k": "different/not_carried"}),
        ({"feed": [("k", OLD - timedelta(1), None, "9", "a"), ORDER], "crm": [HELD]}, {}),
    ],
)
def test_what_is_said_of_a_record(sides, expected):
    assert judged(**sides) == expected


def test_every_record_is_counted_once():
    feed = [(f"f{n}", OLD, None, "1", "a") for n in range(50)]
    crm = [(f"f{n}", "migration", "1", "a") for n in range(20, 70)]
    found = judged(feed, crm)
    assert len(found) == 40
    assert {said for key, said in found.items() if int(key[1:]) < 20} == {"missing/not_carried"}
    assert {said for key, said in found.items() if int(key[1:]) >= 50} == {"extra/not_in_source"}
