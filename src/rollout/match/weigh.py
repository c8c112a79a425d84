"""Pairs of rows that may be the same, each with its weight and why: what the decision to merge is made from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from rollout.match.blocking import PAIRS, fill_pairs
from rollout.match.comparisons import Evidence
from rollout.match.features import common_words, fill_features, keep_rare_words
from rollout.match.layout import FEATURES, Layout, Placed
from rollout.match.linker import linker, weigh
from rollout.match.model import ModelStore, TrainedModel, code_by_level, settings_digest
from rollout.match.spec import MatchModel
from rollout.match.training import teachable, train
from rollout.model.finding import Finding, Level

RULE = "model"
"""What a pair's rule is called that no exact key brought together."""
_CERTAIN = 54.0
"""Bits from which on a probability is written as 1."""
_OUTGROWN = 10
"""Times as many rows as a model was trained on: it may well learn better now."""


@dataclass(frozen=True)
class Pairs:
    """Pairs from `review_above` on."""

    table: Any
    """Arrow: left, right (rows of the clean stage, left < right), rule, weight (log2 of the odds), probability,
    why (JSON: [[field, level, weight], ...], strongest first; levels are keys of the catalogue behind `level.`)."""
    compared: int
    """Pairs that blocking brought together."""
    model: TrainedModel
    findings: tuple[Finding, ...]


def weigh_pairs(
    connection: duckdb.DuckDBPyConnection,
    clean: Path,
    *,
    fields: Mapping[str, str],
    model: MatchModel,
    store: ModelStore,
    where: str = "",
) -> Pairs:
    """Weigh the pairs of a clean stage.

    Args:
        connection: Has nothing of this function's names in it; they are gone again afterwards.
        clean: Parquet of the clean stage.
        fields: Field → the stage's column.
        model: Comparisons, blocking, thresholds.
        store: Has the trained model, or gets it, unless there was too little to learn from.
        where: For findings and errors: the entity.

    Raises:
        ConfigError: A comparison or part that does not exist.
    """
    layout = Layout(model, where)
    try:
        rows = fill_features(connection, clean, layout, fields)
        return weigh_features(connection, layout, rows, store)
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {FEATURES}")


def weigh_features(connection: duckdb.DuckDBPyConnection, layout: Layout, rows: int, store: ModelStore) -> Pairs:
    """Weigh the pairs of rows whose features are in the database.

    Args:
        connection: Has `FEATURES`, whose columns of rare words lose the common ones.
        layout: What is compared.
        rows: Of the features.
        store: Has the trained model, or gets it.
    """
    digest = settings_digest(layout)
    findings: list[Finding] = []
    trained = store.load(digest)
    common = trained.terms if trained else common_words(connection, layout)
    keep_rare_words(connection, layout, common)
    try:
        compared, too_large = fill_pairs(connection, layout)
        if trained is None:
            trained, findings = train(connection, layout, rows, common)
            if teachable(rows, compared):  # what a handful of rows could not teach, more of them may
                store.save(digest, trained)
        else:
            findings = _outgrown(layout, trained, rows)
        with linker(connection, layout, trained, explain=True) as made:
            table = weigh(made, weight_above=review_weight(layout.model))
            pairs = connection.query(_pairs_query(layout, table)).to_arrow_table()
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {PAIRS}")
    return Pairs(pairs, compared, trained, (*findings, *too_large))


def _outgrown(layout: Layout, trained: TrainedModel, rows: int) -> list[Finding]:
    """A finding where a kept model learnt from a small part of what it weighs."""
    if rows < _OUTGROWN * trained.rows:
        return []
    return [
        Finding(
            id="match.model_outgrown",
            level=Level.INFO,
            message=f"the match model learnt from {trained.rows:,} rows, and weighs {rows:,} now",
            where=layout.where,
            hint=f"set training: {layout.model.training + 1} in the model's section to train anew: pairs will weigh "
            "otherwise then, so look at the review queue and the merges again before planning",
            count=rows,
            detail={"trained": trained.rows},
        )
    ]


def review_weight(model: MatchModel) -> float:
    """The match weight that `review_above` is: log2 of its odds; of 1 the least that is not told from it."""
    probability = model.review_above
    return math.log2(probability / (1 - probability)) if probability < 1 else _CERTAIN


def _pairs_query(layout: Layout, table: str) -> str:
    """SQL of the pairs out of Splink's answer."""
    told = ", ".join(_told(name, placed, evidence) for name, (placed, evidence) in layout.evidence.items())
    lines = f"list_sort(list_filter([{told}], lambda one: one IS NOT NULL))"
    why = f"'[' || array_to_string(list_transform({lines}, lambda one: one.line), ', ') || ']'"
    return (
        "SELECT least(row_l, row_r)::BIGINT AS left, greatest(row_l, row_r)::BIGINT AS right,"  # noqa: S608
        f" '{RULE}' AS rule, match_weight::DOUBLE AS weight, match_probability::DOUBLE AS probability, {why} AS why"
        f" FROM {table} ORDER BY 1, 2"
    )


def _told(name: str, placed: Placed, evidence: Evidence) -> str:
    """SQL of what one comparison says about a pair: an order, and a line of JSON; null where it says nothing."""
    levels = " ".join(f"WHEN {number} THEN '{code}'" for number, code in code_by_level(evidence).items())
    weight = f"(mw_{name}" + (f" + mw_tf_adj_{name})" if any(level.tf for level in evidence.levels) else ")")
    start = json.dumps([placed.field, f"{placed.kind.name}.{evidence.code}."], ensure_ascii=False)[:-2]
    quoted = start.replace("'", "''")
    return (
        f"CASE WHEN gamma_{name} >= 0 THEN {{'place': -abs({weight}), 'line': '{quoted}'"
        f" || CASE gamma_{name} {levels} END || '\", ' || round({weight}, 2) || ']'}} END"
    )
