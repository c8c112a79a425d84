"""Matching as a step of cleansing: what an entity's rules say about it, and what a model makes of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from rollout.match.matcher import MatchFiles, Matching, MatchResult, match_rows
from rollout.model.entity import FieldType
from rollout.phases.references import golden_column

if TYPE_CHECKING:
    from rollout.phases.cleansing import EntityRules


def match_entity(
    connection: duckdb.DuckDBPyConnection,
    rules: EntityRules,
    paths: Mapping[str, Path],
    complete: Callable[[str], str],
) -> MatchResult:
    """Match an entity's clean rows.

    Args:
        connection: DuckDB.
        rules: All that decides what its rows become.
        paths: Where the stages `clean`, `golden`, `merges` and `review` lie.
        complete: Makes of the golden records' SQL one that has further columns.
    """
    fields = {name: golden_column(name) if name in rules.references else name for name in rules.spec.fields}
    matching = Matching(
        fields=fields,
        spec=rules.match,
        context=next(iter(rules.contexts.values())),
        codes=tuple(name for name, field in rules.spec.fields.items() if field.type is FieldType.USCC),
        decided=rules.pairs,
        where=rules.name,
    )
    files = MatchFiles(*(paths[kind] for kind in ("clean", "golden", "merges", "review")))
    return match_rows(connection, files, matching, complete=complete)
