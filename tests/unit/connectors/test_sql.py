"""Databases: streamed, all values text by one rule, errors without passwords."""

from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from decimal import Decimal

import pytest

from rollout.connectors.sql import SqlConnector, cell_text
from rollout.errors import ConfigError, Retryable, UnsupportedOperation
from rollout.mapping.spec import SourceSpec


def spec(query: str = "SELECT id, name FROM customer ORDER BY id", **more) -> SourceSpec:
    return SourceSpec(**{"name": "s", "system": "erp", "row_key": ("id",), "mapping": "m", "query": query, **more})


@pytest.fixture
def connector(tmp_path):
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("CREATE TABLE customer (id INTEGER, name TEXT, score REAL)")
        connection.executemany(
            "INSERT INTO customer VALUES (?, ?, ?)", [(1, "甲", 1.5), (2, "", None), (3, "a:b%", 0.1)]
        )
    connection.close()
    made = SqlConnector("erp", {"url": "sqlite:///old.db"}, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        (" x ", " x "),
        (13812345678, "13812345678"),
        (True, "true"),
        (1e-7, "0.0000001"),
        (100.0, "100"),
        (Decimal("12.500"), "12.5"),
        (Decimal("1E+3"), "1000"),
        (dt.date(2015, 3, 8), "2015-03-08"),
        (dt.datetime(2015, 3, 8, 12, 0), "2015-03-08T12:00:00"),  # noqa: DTZ001 - as it arrives
        (dt.datetime(2015, 3, 8, 12, 0, tzinfo=dt.timezone(dt.timedelta(hours=8))), "2015-03-08T04:00:00Z"),
        (dt.time(8, 5), "08:05:00"),
        (b"\x00\xff", "00ff"),
        (b"", None),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": "甲"}, '{"a": "甲"}'),
    ],
)
def test_values_become_text_by_one_rule(value, text) -> None:
    assert cell_text(value) == text


def test_rows_are_streamed_and_numbered(connector) -> None:
    chunks = list(connector.read(spec("SELECT id, name, score FROM customer ORDER BY id"), chunk_rows=2))
    assert [len(chunk.frame) for chunk in chunks] == [2, 1]
    assert [chunk.frame["_line"].tolist() for chunk in chunks] == [[1, 2], [3]]
    assert chunks[0].frame["id"].tolist() == ["1", "2"]
    assert chunks[0].frame["name"].isna().tolist() == [False, True]
    assert chunks[1].frame.iloc[0].tolist() == ["3", "a:b%", "0.1", "erp", "", 3]


def test_colons_and_percent_signs_are_the_databases(connector) -> None:
    [chunk] = connector.read(spec("SELECT id, name FROM customer WHERE name LIKE 'a:b%'"), chunk_rows=10)
    assert chunk.frame["id"].tolist() == ["3"]


def test_a_fingerprint_follows_the_answer_not_its_order(connector) -> None:
    [up] = connector.fingerprint(spec("SELECT id, name FROM customer"))
    again = connector.fingerprint(spec("SELECT id, name FROM customer"))
    assert again == [up]
    union = "SELECT id, name FROM customer UNION ALL SELECT id, name FROM customer"
    hashes = {
        connector.fingerprint(spec(query))[0].sha256
        for query in ("SELECT id, name FROM customer", union, "SELECT id, name FROM customer WHERE id > 1")
    }
    assert len(hashes) == 3


def test_what_was_read_has_the_fingerprint_of_its_rows(connector, tmp_path) -> None:
    before = connector.fingerprint(spec())
    assert [chunk.fingerprint for chunk in connector.read(spec(), chunk_rows=2)] == [None, *before]
    reading = connector.read(spec(), chunk_rows=1)
    with sqlite3.connect(tmp_path / "old.db") as other:
        other.execute("DELETE FROM customer WHERE id = 2")
    other.close()
    [*_, last] = reading
    assert last.fingerprint not in (None, *before)
    assert [last.fingerprint] == connector.fingerprint(spec())


def test_no_rows_are_said(connector) -> None:
    [chunk] = connector.read(spec("SELECT id FROM customer WHERE id > 9"), chunk_rows=10)
    assert list(chunk.frame.columns) == ["id", "_file", "_sheet", "_line"]
    assert [finding.id for finding in chunk.findings] == ["source.no_rows"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nothing FROM customer", "the database refuses the query"),
        ("SELEC 1", "the database refuses the query"),
        ("SELECT id, name, name FROM customer", "occur twice or are reserved: name"),
        ("SELECT id, name AS _file FROM customer", "occur twice or are reserved: _file"),
        ("SELECT name FROM customer", r"row_key needs the column\(s\) id; the query has: name"),
        ("DELETE FROM customer", "the query answers no rows"),
    ],
)
def test_unusable_queries_are_refused(connector, query, message) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        list(connector.read(spec(query), chunk_rows=10))
    assert caught.value.where == "sources.s.query"
    assert caught.value.hint
    assert len(next(iter(connector.read(spec(), chunk_rows=10))).frame) == 3


def test_addresses_are_checked_and_never_repeated(tmp_path) -> None:
    for url in ("nonsense", "nosuchdb://user:s3cret@host/x", "mysql+nodriver://user:s3cret@host/x"):
        with pytest.raises(ConfigError) as caught:
            SqlConnector("erp", {"url": url}, tmp_path)
        assert "s3cret" not in str(caught.value)
        assert caught.value.where == "systems.erp.options.url"
    with pytest.raises(ConfigError, match="no SQLite database"):
        SqlConnector("erp", {"url": "sqlite:///gone.db"}, tmp_path)
    assert not (tmp_path / "gone.db").exists()
    with pytest.raises(ConfigError) as caught:
        SqlConnector("erp", {}, tmp_path)
    assert caught.value.where == "systems.erp.options.url"


def test_a_database_that_is_down(tmp_path) -> None:
    connector = SqlConnector("erp", {"url": "postgresql+psycopg://user:s3cret@127.0.0.1:9/x"}, tmp_path)
    [finding] = connector.check()
    assert finding.level == "error"
    assert "s3cret" not in str(finding)
    with pytest.raises(Retryable, match="cannot be reached") as caught:
        connector.fingerprint(spec())
    assert "s3cret" not in str(caught.value)
    with pytest.raises(UnsupportedOperation):
        connector.describe()


def test_a_source_with_a_path_is_refused(connector) -> None:
    with pytest.raises(ConfigError, match="has a path"):
        connector.fingerprint(spec(None, path="x.csv"))
