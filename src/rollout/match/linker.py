"""Splink over the features: one place that knows its interface."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from rollout.match.blocking import PAIRS
from rollout.match.layout import FEATURES, Layout
from rollout.match.model import TrainedModel, splink_settings, tf_columns


@contextmanager
def linker(
    connection: duckdb.DuckDBPyConnection, layout: Layout, model: TrainedModel, *, explain: bool = False
) -> Iterator[Any]:
    """A Splink linker over the features that weighs with a model; what it made in the database is gone afterwards.

    Args:
        connection: Has the features.
        layout: What is compared.
        model: Probabilities and term frequencies.
        explain: Whether its answers tell what each comparison weighed.
    """
    from splink import DuckDBAPI, Linker  # noqa: PLC0415 - a second to import; only matching by a model needs it

    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(connection)
    made = Linker(
        api.register(FEATURES, table_name="rows_compared"),
        splink_settings(layout, model, explain=explain),
        log_level=None,
        validate_settings=False,
    )
    tables = [f"match_tf_{column}" for column in tf_columns(layout)]
    drop: Callable[[], None] = api.delete_tables_created_by_splink_from_db
    try:
        for column, table in zip(tf_columns(layout), tables, strict=True):
            _fill_frequencies(connection, column, table, model.terms[column])
            made.table_management.register_term_frequency_lookup(api.register(table), column)
        yield made
    finally:
        drop()
        for table in tables:
            connection.execute(f"DROP TABLE IF EXISTS {table}")


def weigh(made: Any, *, pairs: str = PAIRS, weight_above: float | None = None) -> str:
    """Weigh the pairs of a table; answers the table that holds those from a weight on, which goes with the linker."""
    api = made._db_api  # noqa: SLF001 - the linker was made here
    made.table_management.register_blocked_pairs_for_predict(api.register(pairs))
    found = made.inference.predict(threshold_match_weight=weight_above, warning_mode="never")
    return str(found.physical_name)


def _fill_frequencies(connection: duckdb.DuckDBPyConnection, column: str, table: str, terms: dict[str, float]) -> None:
    """How frequent each value is, by the model: one that it did not find common is rare."""
    import pyarrow as pa  # noqa: PLC0415

    connection.register("common_terms", pa.table({"term": list(terms), "tf": list(terms.values())}))
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS"  # noqa: S608 - names made here
            f" SELECT value AS {column}, coalesce(tf, {terms['']!r}) AS tf_{column}"
            f" FROM (SELECT DISTINCT {column} AS value FROM {FEATURES} WHERE {column} IS NOT NULL)"
            " LEFT JOIN common_terms ON term = md5(value)[:16]"
        )
    finally:
        connection.unregister("common_terms")
