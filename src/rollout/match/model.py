"""A match model: what Splink is asked, how it is trained without labels, and what is kept of it.

Trained once and kept, so that matching again with more data weighs the same two rows the same way: the probabilities,
and how frequent the frequent values are. A value that is not among those counts as rare, however often it comes later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

import duckdb
from pydantic import Field

from rollout.match.comparisons import Evidence, Level
from rollout.match.layout import FEATURES, Layout, Placed
from rollout.model.base import Frozen

MODEL_FORMAT = 1
"""Raised when a model that is kept can no longer be used."""
_COMMON_FROM = 3
"""Rows that share a value before it counts as common: two may be one record twice."""
_MOST_TERMS = 20_000
_IDENTIFYING = 0.2
"""Distinct values ÷ values from which on a column tells records apart."""
_LEAST_FREQUENCY = 1e-6


class LevelWeights(Frozen):
    """How often a level is seen among rows that are the same (m) and among others (u)."""

    m: float
    u: float


class TrainedModel(Frozen):
    """All that weighs a pair."""

    format: int = MODEL_FORMAT
    prior: float = Field(description="Probability that two rows drawn at random are the same.")
    levels: dict[str, tuple[LevelWeights, ...]] = Field(description="By evidence, in the order of its levels.")
    terms: dict[str, dict[str, float]] = Field(
        description="By column: frequency of its common values, by the value's hash; '' is that of all others."
    )
    rows: int = Field(description="Rows it was trained on.")


class ModelStore(Protocol):
    """Where trained models are kept."""

    def load(self, settings_digest: str) -> TrainedModel | None:
        """The model of these settings, if one was trained before."""

    def save(self, settings_digest: str, model: TrainedModel) -> None:
        """Keep a model. One that is there already stays."""


class MemoryModels:
    """Models for as long as the program runs: tests, and whoever wants to train anew."""

    def __init__(self) -> None:
        self._models: dict[str, TrainedModel] = {}

    def load(self, settings_digest: str) -> TrainedModel | None:
        """The model of these settings, if one was trained before."""
        return self._models.get(settings_digest)

    def save(self, settings_digest: str, model: TrainedModel) -> None:
        """Keep a model."""
        self._models.setdefault(settings_digest, model)


def settings_digest(layout: Layout) -> str:
    """What a model is kept by: comparisons, their levels, and which training the project asks for.

    Not thresholds, which may be moved without training.
    """
    asked = {
        name: [placed.field, placed.pinyin, evidence.needs, [(level.sql, level.tf) for level in evidence.levels]]
        for name, (placed, evidence) in layout.evidence.items()
    }
    text = json.dumps([MODEL_FORMAT, layout.model.training, asked], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def assumed(layout: Layout, rows: int) -> TrainedModel:
    """The model before any training: what comparisons assume, and that one row in five has a double."""
    return TrainedModel(
        prior=min(0.4 / max(rows, 2), 0.1),
        levels={
            name: tuple(LevelWeights(m=level.m, u=level.u) for level in evidence.levels)
            for name, (_, evidence) in layout.evidence.items()
        },
        terms={},
        rows=rows,
    )


def tf_columns(layout: Layout) -> tuple[str, ...]:
    """Columns whose values' frequency counts."""
    return tuple(
        dict.fromkeys(
            placed.column(level.tf)
            for placed, evidence in layout.evidence.values()
            for level in evidence.levels
            if level.tf
        )
    )


def count_terms(connection: duckdb.DuckDBPyConnection, layout: Layout) -> dict[str, dict[str, float]]:
    """How frequent the common values of each such column are in the features. Values are kept as hashes.

    Records are counted, not rows, as far as one can tell before matching: a phone in nine rows with one address is
    that of one record nine times, in nine rows with nine addresses and nine names it is a switchboard.
    """
    columns = tf_columns(layout)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE match_terms AS SELECT DISTINCT {', '.join(columns)} FROM {FEATURES}"  # noqa: S608
    )
    try:
        counts = ", ".join(f"count(DISTINCT {column}) >= {_IDENTIFYING} * count({column})" for column in columns)
        told = connection.execute(f"SELECT {counts} FROM match_terms").fetchall()[0] if columns else ()  # noqa: S608
        identifying = [column for column, identifies in zip(columns, told, strict=True) if identifies]
        return {
            column: _terms(connection, column, [other for other in identifying if other != column])
            for column in columns
        }
    finally:
        connection.execute("DROP TABLE match_terms")


def _terms(connection: duckdb.DuckDBPyConnection, column: str, others: list[str]) -> dict[str, float]:
    filled = connection.execute(f"SELECT count({column}) FROM match_terms").fetchall()[0][0] or 1  # noqa: S608
    different = [f"count(DISTINCT {other}) + count(*) FILTER ({other} IS NULL)" for other in others]
    common = connection.execute(
        f"SELECT md5({column})[:16], least({', '.join(['count(*)', *different])}) AS n FROM match_terms"  # noqa: S608
        f" WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) >= {_COMMON_FROM} AND n >= {_COMMON_FROM}"
        f" ORDER BY n DESC, 1 LIMIT {_MOST_TERMS}"
    ).fetchall()
    return {"": max(1 / filled, _LEAST_FREQUENCY)} | {term: records / filled for term, records in common}


def splink_settings(layout: Layout, model: TrainedModel, *, explain: bool = False) -> dict[str, Any]:
    """What Splink is asked, with the model's probabilities."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "row",
        "probability_two_random_records_match": model.prior,
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": " and ".join(f"l.{column} = r.{column}" for column in rule.columns)}
            for rule in layout.rules
        ],
        "comparisons": [
            {"output_column_name": name, "comparison_levels": _levels(placed, evidence, model.levels[name])}
            for name, (placed, evidence) in layout.evidence.items()
        ],
        "retain_matching_columns": explain,
        "retain_intermediate_calculation_columns": explain,
        "max_iterations": 50,
    }


def _levels(placed: Placed, evidence: Evidence, weights: tuple[LevelWeights, ...]) -> list[dict[str, Any]]:
    missing = " or ".join(f"{placed.column(part)}_{side} is null" for part in evidence.needs for side in "lr")
    null = {"sql_condition": missing, "is_null_level": True, "label_for_charts": "no value"}
    levels = zip(evidence.levels, weights, strict=True)
    return [null, *(_level(placed, level, weight) for level, weight in levels)]


def _level(placed: Placed, level: Level, weights: LevelWeights) -> dict[str, Any]:
    columns = {part: placed.column(part) for part in placed.kind.parts}
    described: dict[str, Any] = {
        "sql_condition": level.sql.format_map(columns) or "ELSE",
        "label_for_charts": level.code,
        "m_probability": weights.m,
        "u_probability": weights.u,
        "fix_m_probability": level.fixed,
    }
    if level.tf:
        described |= {"tf_adjustment_column": columns[level.tf], "tf_adjustment_weight": 1.0}
    return described


def code_by_level(evidence: Evidence) -> Mapping[int, str]:
    """Codes by Splink's numbers of levels: the last one is 0."""
    return dict(enumerate(level.code for level in reversed(evidence.levels)))
