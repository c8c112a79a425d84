"""Which pairs of rows are compared: those that share a block, unless the block is so large that it says nothing."""

from __future__ import annotations

import duckdb

from rollout.match.layout import FEATURES, Layout, Rule
from rollout.model.finding import Finding, Level

PAIRS = "match_pairs"
"""The candidate pairs, in the columns that Splink expects: match_key, join_key_l < join_key_r."""


def fill_pairs(connection: duckdb.DuckDBPyConnection, layout: Layout) -> tuple[int, list[Finding]]:
    """Make the table `PAIRS` from the features; answers how many pairs there are, and which blocks were too large.

    Args:
        connection: Has the features; gets the table, which the caller drops.
        layout: Whose rules are applied.
    """
    findings: list[Finding] = []
    unions = []
    try:
        for number, rule in enumerate(layout.rules):
            findings += _fill_blocks(connection, rule, number, layout)
            unions.append(
                f"SELECT l.row AS join_key_l, r.row AS join_key_r FROM match_block_{number} AS l"  # noqa: S608
                f" JOIN match_block_{number} AS r ON l.block = r.block AND l.row < r.row"
            )
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {PAIRS} AS SELECT '0' AS match_key, join_key_l, join_key_r"  # noqa: S608
            f" FROM ({' UNION '.join(unions)})"
        )
    finally:
        for number in range(len(layout.rules)):
            connection.execute(f"DROP TABLE IF EXISTS match_block_{number}")
    pairs = connection.execute(f"SELECT count(*) FROM {PAIRS}").fetchall()[0][0]  # noqa: S608 - a constant's name
    return int(pairs), findings


def _fill_blocks(connection: duckdb.DuckDBPyConnection, rule: Rule, number: int, layout: Layout) -> list[Finding]:
    """Rows by block, of blocks that hold at least two and not too many."""
    filled = " AND ".join(f"{column} IS NOT NULL" for column in rule.columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE match_block AS SELECT row, hash({', '.join(rule.columns)}) AS block"  # noqa: S608
        f" FROM {FEATURES} WHERE {filled};"
        " CREATE OR REPLACE TEMP TABLE match_block_size AS"
        " SELECT block, count(*) AS n FROM match_block GROUP BY block HAVING n > 1;"
        f" CREATE OR REPLACE TEMP TABLE match_block_{number} AS SELECT row, block FROM match_block"
        f" SEMI JOIN (SELECT block FROM match_block_size WHERE n <= {layout.model.max_block_rows}) USING (block)"
    )
    blocks, rows = connection.execute(
        "SELECT count(*), coalesce(sum(n), 0)::BIGINT FROM match_block_size WHERE n > ?", [layout.model.max_block_rows]
    ).fetchall()[0]
    connection.execute("DROP TABLE match_block; DROP TABLE match_block_size")
    if not blocks:
        return []
    return [
        Finding(
            id="match.block_too_large",
            level=Level.INFO,
            message=f"{blocks} values of blocking rule '{rule.name}' are shared by over {layout.model.max_block_rows} "
            "rows each: those rows are compared by the other rules only",
            where=layout.where,
            hint="add a stricter rule with one more field beside it, or raise max_block_rows",
            count=rows,
        )
    ]
