"""The SQL source against PostgreSQL: server-side cursor, types, a fingerprint that does not depend on the order."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa

from rollout.connectors.sql import SqlConnector
from rollout.errors import ConfigError
from rollout.mapping.spec import SourceSpec

TABLE = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, revenue numeric(12, 3), active boolean,
  founded date, seen timestamptz, extra jsonb, photo bytea);
INSERT INTO customer SELECT n, '客户' || n, n + 0.5, n % 2 = 0, date '2015-03-08', '2024-01-01 08:00+08', '{"a": 1}', '\\xff'
  FROM generate_series(1, 5000) n;
"""


def spec(query: str) -> SourceSpec:
    return SourceSpec(name="s", system="erp", row_key=("id",), mapping="m", query=query)


@pytest.fixture
def connector(empty_pg_url, tmp_path):
    plain = sa.make_url(empty_pg_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        connection.execute(TABLE)
    url = sa.make_url(empty_pg_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    made = SqlConnector("erp", {"url": url}, tmp_path)
    yield made
    made.close()


def test_rows_are_streamed_as_text(connector) -> None:
    assert connector.check() == []
    chunks = list(connector.read(spec("SELECT * FROM customer ORDER BY id"), chunk_rows=1_500))
    assert [len(chunk.frame) for chunk in chunks] == [1_500, 1_500, 1_500, 500]
    assert chunks[3].frame["_line"].iloc[-1] == 5_000
    assert chunks[0].frame.iloc[0].tolist() == [
        "1", "客户1", "1.5", "false", "2015-03-08", "2024-01-01T00:00:00Z", '{"a": 1}', "ff", "erp", "", 1,
    ]  # fmt: skip


def test_the_fingerprint_is_of_the_rows_not_of_their_order(connector) -> None:
    query = "SELECT id, name FROM customer"
    [one] = connector.fingerprint(spec(query))
    assert connector.fingerprint(spec(query)) == [one]
    with connector._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE customer SET name = name WHERE id < 100")  # moves rows within the table
    assert connector.fingerprint(spec(query)) == [one]
    with connector._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE customer SET name = 'x' WHERE id = 1")
    assert connector.fingerprint(spec(query)) != [one]


def test_a_query_cannot_change_the_source(connector) -> None:
    query = "UPDATE customer SET name = 'x' RETURNING id, name"
    with pytest.raises(ConfigError):
        list(connector.read(spec(query), chunk_rows=100))
    [chunk] = connector.read(spec("SELECT id FROM customer WHERE name = 'x'"), chunk_rows=100)
    assert len(chunk.frame) == 0
