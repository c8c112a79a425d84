"""Matching as a step of cleansing: what an entity's rules say about it, and what a model makes of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from rollout.match.layout import Layout
from rollout.match.matcher import MatchFiles, Matching, MatchResult, match_rows
from rollout.match.model import ModelStore, settings_digest
from rollout.match.weigh import weigh_pairs
from rollout.model.entity import FieldType
from rollout.phases.references import golden_column
from rollout.phases.stages import digest

if TYPE_CHECKING:
    from rollout.phases.cleansing import EntityRules


def match_entity(
    connection: duckdb.DuckDBPyConnection,
    rules: EntityRules,
    paths: Mapping[str, Path],
    models: ModelStore,
    complete: Callable[[str], str],
) -> MatchResult:
    """Match an entity's clean rows.

    Args:
        connection: DuckDB.
        rules: All that decides what its rows become.
        paths: Where the stages `clean`, `golden`, `merges` and `review` lie.
        models: Has the trained model, or gets it.
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
    model = rules.match.model
    if model is None:
        return match_rows(connection, files, matching, complete=complete)
    weighed = weigh_pairs(connection, files.clean, fields=fields, model=model, store=models, where=rules.name)
    result = match_rows(connection, files, matching, weighed.table, complete=complete)
    return replace(result, findings=(*weighed.findings, *result.findings))


def model_digest(rules: EntityRules, models: ModelStore) -> str | None:
    """A hash of the trained model that will weigh an entity's pairs; None: none is declared, or it is not trained."""
    if rules.match.model is None:
        return None
    trained = models.load(settings_digest(Layout(rules.match.model, rules.name)))
    return None if trained is None else digest(trained)
