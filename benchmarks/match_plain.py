"""Splink by itself, beside ours: as its documentation configures it, and with our settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from rollout.match.features import common_words, fill_features, keep_rare_words
from rollout.match.layout import FEATURES, Layout
from rollout.match.model import assumed, splink_settings
from rollout.match.parquet import scan
from rollout.match.spec import MatchModel
from rollout.match.weigh import review_weight
from rollout.phases.stages import engine

_SEED = 1
_RANDOM_PAIRS, _EM_PAIRS = 500_000, 400_000


def plain_companies_pairs(root: Path, clean: Path, threshold: float) -> list[tuple[int, int]]:
    """Pairs of rows that a plainly configured Splink finds from a probability on."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        comparisons=[
            cl.JaroWinklerAtThresholds("name", [0.95, 0.88]).configure(term_frequency_adjustments=True),
            cl.ExactMatch("uscc"),
            cl.ExactMatch("phone").configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("address", [0.95, 0.88]),
            cl.ExactMatch("website"),
        ],
        blocking_rules_to_generate_predictions=[
            block_on(name) for name in ("name", "uscc", "phone", "address", "website", "substr(name, 1, 4)")
        ],
    )
    with engine(root) as connection:
        connection.execute(f"CREATE TABLE company AS SELECT *, file_row_number AS row FROM {scan(clean)}")  # noqa: S608
        api = DuckDBAPI(connection)
        linker = Linker(api.register("company"), settings, log_level=None)
        linker.training.estimate_probability_two_random_records_match(
            [block_on("uscc"), block_on("name", "phone")], recall=0.6
        )
        linker.training.estimate_u_using_random_sampling(max_pairs=_RANDOM_PAIRS, seed=_SEED)
        for name in ("phone", "uscc", "address"):
            linker.training.estimate_parameters_using_expectation_maximisation(block_on(name))
        found = linker.inference.predict(threshold_match_probability=threshold, warning_mode="never")
        return connection.execute(f"SELECT row_l, row_r FROM {found.physical_name}").fetchall()  # noqa: S608


def plain_stage_s(root: Path, clean: Path, fields: Mapping[str, str], model: MatchModel) -> float:
    """Seconds that Splink needs to train and to weigh with our settings, over columns that are there already."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    layout = Layout(model, "bench")
    with engine(root, memory_limit="2GB") as connection:
        rows = fill_features(connection, clean, layout, fields)
        began = time.perf_counter()
        keep_rare_words(connection, layout, common_words(connection, layout))
        api = DuckDBAPI(connection)
        linker = Linker(
            api.register(FEATURES),
            splink_settings(layout, assumed(layout, rows), explain=True),
            log_level=None,
            validate_settings=False,
        )
        linker.training.estimate_u_using_random_sampling(
            max_pairs=_RANDOM_PAIRS, seed=_SEED, min_count_per_level=None, num_chunks=1
        )
        for rule in ("c0_sound", "c1_key", "c2_number", "c3_key"):
            linker.training.estimate_parameters_using_expectation_maximisation(
                block_on(rule),
                estimate_without_term_frequencies=True,
                max_pairs=_EM_PAIRS,
                record_sample_proportion=1.0,
            )
        linker.inference.predict(threshold_match_weight=review_weight(model), warning_mode="never")
        return time.perf_counter() - began
