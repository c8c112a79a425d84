"""Training a match model on the rows themselves, without labels, and not believing it where it cannot be right.

How often rows that are not the same agree (u) is counted over random pairs. How often rows that are the same agree (m)
is Splink's expectation maximisation over a few blocks. Both are smoothed towards what comparisons assume, by as much as
there is little data; evidence that comes out upside down keeps what was assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import duckdb
import numpy as np

from rollout.match.blocking import PAIRS
from rollout.match.comparisons import Evidence
from rollout.match.layout import FEATURES, Layout, Rule
from rollout.match.linker import linker, weigh
from rollout.match.model import LevelWeights, TrainedModel, assumed, count_terms
from rollout.model.finding import Finding, Level

_SEED = 20_240_131
_RANDOM_PAIRS, _EM_PAIRS, _PRIOR_PAIRS = 500_000, 400_000, 100_000
_LEAST_ROWS, _LEAST_PAIRS = 200, 50
"""Fewer teach nothing: what comparisons assume is better."""
_MOST_SESSIONS = 4
_M_STRENGTH, _U_STRENGTH = 20.0, 10.0
"""Pairs that what is assumed counts for."""
_LEAST, _MOST = 1e-6, 1 - 1e-6
_ROUNDS = 30
_SHARES = 1_000_000


def train(
    connection: duckdb.DuckDBPyConnection, layout: Layout, rows: int, common: Mapping[str, Mapping[str, float]]
) -> tuple[TrainedModel, list[Finding]]:
    """Train a model on the features and candidate pairs in the database.

    Args:
        connection: Has `FEATURES` and `PAIRS`.
        layout: What is compared.
        rows: Of the features.
        common: Words that are not rare, which the model keeps.
    """
    model = assumed(layout, rows).model_copy(update={"terms": {**count_terms(connection, layout), **common}})
    pairs = connection.execute(f"SELECT count(*) FROM {PAIRS}").fetchall()[0][0]  # noqa: S608 - a constant's name
    if not teachable(rows, pairs):
        return model, [_untrained(layout, f"{rows} rows, {pairs} pairs to compare")]
    random_pairs = min(_RANDOM_PAIRS, rows * (rows - 1) // 2)
    with linker(connection, layout, model) as made:
        made.training.estimate_u_using_random_sampling(
            max_pairs=_RANDOM_PAIRS + 0.5, seed=_SEED, min_count_per_level=None, num_chunks=1
        )
        for rule in islice(_teaching(connection, layout), _MOST_SESSIONS):
            _maximise(made, rule)
        learnt = made.misc.save_model_to_json()["comparisons"]
    levels, findings = _believed(layout, learnt, random_pairs, pairs)
    sample = _sample(connection, layout, model, pairs)
    prior = _prior(sample.weights(levels), rows, sample.share)
    levels = {name: _without_matches(weights, prior) for name, weights in levels.items()}
    model = model.model_copy(update={"levels": levels, "prior": _prior(sample.weights(levels), rows, sample.share)})
    return model, findings


def teachable(rows: int, pairs: int) -> bool:
    """Whether so many rows, and pairs of them to compare, teach anything."""
    return rows >= _LEAST_ROWS and pairs >= _LEAST_PAIRS


def _teaching(connection: duckdb.DuckDBPyConnection, layout: Layout) -> Any:
    """Blocking rules to learn within: one a field, so that each comparison is learnt within another's blocks."""
    seen: set[str] = set()
    compared = {placed.prefix for placed, _ in layout.evidence.values()}
    for rule in sorted(layout.rules, key=lambda rule: len(rule.columns)):
        prefixes = {column.partition("_")[0] for column in rule.columns}
        if prefixes & seen or compared <= prefixes:  # the last: within it nothing is left to compare
            continue
        together = " AND ".join(f"l.{column} = r.{column}" for column in rule.columns)
        shared = connection.execute(
            f"SELECT 1 FROM {PAIRS} JOIN {FEATURES} AS l ON l.row = join_key_l"  # noqa: S608
            f" JOIN {FEATURES} AS r ON r.row = join_key_r WHERE {together} LIMIT {_LEAST_PAIRS}"
        ).fetchall()
        if len(shared) >= _LEAST_PAIRS:
            seen |= prefixes
            yield rule


def _maximise(made: Any, rule: Rule) -> None:
    """One session of expectation maximisation; one that finds nothing to learn is passed over.

    Splink refuses a probability of 0 as a wrong value: rows of a block that are all alike teach nothing either. And a
    session that fails leaves the model without the comparisons that it could not learn.
    """
    from splink.internals.exceptions import EMTrainingException  # noqa: PLC0415 - comes with Splink

    sql = " and ".join(f"l.{column} = r.{column}" for column in rule.columns)
    settings = made._settings_obj  # noqa: SLF001 - the linker was made here
    before = settings.core_model_settings.copy()
    try:
        made.training.estimate_parameters_using_expectation_maximisation(
            sql, estimate_without_term_frequencies=True, max_pairs=_EM_PAIRS, record_sample_proportion=1.0
        )
    except (EMTrainingException, ValueError):
        settings.core_model_settings = before


def _believed(
    layout: Layout, learnt: list[dict[str, Any]], random_pairs: int, pairs: int
) -> tuple[dict[str, tuple[LevelWeights, ...]], list[Finding]]:
    """What was learnt, smoothed; where it is upside down, what is assumed."""
    found: dict[str, tuple[LevelWeights, ...]] = {}
    findings = []
    for (name, (placed, evidence)), comparison in zip(layout.evidence.items(), learnt, strict=True):
        levels = [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]
        m = _smoothed(evidence, levels, "m", min(pairs, _EM_PAIRS) / 20)
        u = _smoothed(evidence, levels, "u", random_pairs)
        best = next(at for at, level in enumerate(evidence.levels) if not level.fixed)
        if m[best] <= u[best] or m[-1] >= u[-1]:
            findings.append(_untrained(layout, f"{placed.field}: agreeing came out as no sign of being the same"))
            m = np.array([level.m for level in evidence.levels])
        found[name] = tuple(LevelWeights(m=float(one), u=float(other)) for one, other in zip(m, u, strict=True))
    return found, findings


def _smoothed(evidence: Evidence, levels: list[Mapping[str, Any]], which: str, seen: float) -> Any:
    """Learnt probabilities, drawn towards the assumed ones; the m of fixed levels stays assumed."""
    strength = _M_STRENGTH if which == "m" else _U_STRENGTH
    assumed_ = np.array([getattr(level, which) for level in evidence.levels])
    learnt = np.array([level.get(f"{which}_probability", np.nan) for level in levels], dtype=float)
    if np.isnan(learnt).all():
        return assumed_
    mixed = (np.nan_to_num(learnt) * seen + assumed_ * strength) / (seen + strength)
    if which == "u":
        return np.clip(np.maximum(mixed, [level.least_u for level in evidence.levels]), _LEAST, _MOST)
    fixed = np.array([level.fixed for level in evidence.levels])
    free = mixed * ~fixed
    scaled = free * (1 - assumed_[fixed].sum()) / free.sum()
    return np.clip(np.where(fixed, assumed_, scaled), _LEAST, _MOST)


def _without_matches(weights: tuple[LevelWeights, ...], prior: float) -> tuple[LevelWeights, ...]:
    """Random pairs hold a few that are the same; where there are few rows, those are most that agree."""
    return tuple(
        LevelWeights(m=one.m, u=max((one.u - prior * one.m) / (1 - prior), one.u / 50, _LEAST)) for one in weights
    )


@dataclass(frozen=True)
class _Sample:
    """Some of the candidate pairs, and what each comparison saw in them."""

    seen: Mapping[str, tuple[Any, Any]]
    """By evidence: Splink's number of the level; what the value's frequency makes of the weight, given no u."""
    share: float
    """Of all candidate pairs."""

    def weights(self, levels: Mapping[str, tuple[LevelWeights, ...]]) -> Any:
        """What all evidence adds up to, by pair (log2)."""
        return sum(_evidence_weights(levels[name], *seen) for name, seen in self.seen.items())


def _evidence_weights(levels: tuple[LevelWeights, ...], number: Any, rarity: Any) -> Any:
    """The weights of one piece of evidence by pair: none where a value is missing."""
    weights = np.array([np.log2(level.m / level.u) for level in reversed(levels)])
    adjusted = np.where(np.isnan(rarity), 0.0, np.log2(levels[0].u) + rarity)
    return np.where(number < 0, 0.0, weights[np.maximum(number, 0)] + adjusted)


def _sample(connection: duckdb.DuckDBPyConnection, layout: Layout, model: TrainedModel, pairs: int) -> _Sample:
    """Weigh some of the pairs with a model, to see what its comparisons see."""
    share = min(1.0, _PRIOR_PAIRS / pairs)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE match_pairs_sample AS SELECT * FROM {PAIRS}"  # noqa: S608
        f" WHERE hash(join_key_l, join_key_r) % {_SHARES} < {round(share * _SHARES)}"
    )
    try:
        with linker(connection, layout, model, explain=True) as made:
            table = weigh(made, pairs="match_pairs_sample")
            columns = ", ".join(
                f"gamma_{name}, {_rarity(evidence, name, model)} AS rarity_{name}"
                for name, (_, evidence) in layout.evidence.items()
            )
            found = connection.query(f"SELECT {columns} FROM {table}").to_arrow_table()  # noqa: S608
    finally:
        connection.execute("DROP TABLE IF EXISTS match_pairs_sample")
    seen = {name: (found[f"gamma_{name}"].to_numpy(), found[f"rarity_{name}"].to_numpy()) for name in layout.evidence}
    return _Sample(seen, share)


def _rarity(evidence: Evidence, name: str, model: TrainedModel) -> str:
    """SQL: how much rarer a value is than all, where a level heeds that; null elsewhere."""
    last = len(evidence.levels) - 1
    heeding = [str(last - at) for at, level in enumerate(evidence.levels) if level.tf]
    if not heeding:
        return "NULL::DOUBLE"
    base = float(np.log2(model.levels[name][0].u))
    return f"CASE WHEN gamma_{name} IN ({', '.join(heeding)}) THEN mw_tf_adj_{name} - ({base}) END"


def _prior(weights: Any, rows: int, share: float) -> float:
    """The prior under which as many pairs are expected to be the same as it says."""
    every = rows * (rows - 1) / 2
    prior = 0.4 / rows
    for _ in range(_ROUNDS):
        odds = np.clip(weights + np.log2(prior / (1 - prior)), -100, 100)
        expected = float((1 / (1 + np.exp2(-odds))).sum()) / share
        prior = float(np.clip(expected / every, 0.002 / rows, 2 / rows))
    return prior


def _untrained(layout: Layout, why: str) -> Finding:
    return Finding(
        id="match.not_trained",
        level=Level.INFO,
        message=f"the match model keeps what its comparisons assume: {why}",
        where=layout.where,
        hint="nothing to do for few rows; otherwise look whether the field holds what the comparison is for",
        count=1,
    )
