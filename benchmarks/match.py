"""Matching by a model: how right it is on made-up records whose doubles are known, and its cost beside plain Splink.

"Plain" is Splink as its documentation configures it: its own library's comparisons over the same columns, trained the
same way, everything from the threshold on merged. For the time it is Splink with our very settings and columns.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.figures import judge_at_least, judge_at_most
from benchmarks.match_persons import persons
from benchmarks.match_plain import plain_companies_pairs, plain_stage_s
from benchmarks.match_truth import Row, Truth, companies
from rollout.mapping.transforms_base import TransformContext
from rollout.match.components import components
from rollout.match.features import fill_features
from rollout.match.layout import Layout
from rollout.match.matcher import MatchFiles, Matching, match_rows
from rollout.match.model import MemoryModels
from rollout.match.spec import Guards, MatchKey, MatchModel, MatchSpec
from rollout.match.weigh import weigh_features, weigh_pairs
from rollout.phases.stages import engine

ROWS = 1_000_000
QUALITY_RECORDS, PERSONS, AGAIN_RECORDS = 16_000, 5_000, 80_000
SEEDS = (9_001, 9_002)
COMPANY = MatchSpec(
    keys=(MatchKey(name="统一社会信用代码相同", fields=("uscc",)),),
    model=MatchModel(
        comparisons={
            "name": "company_name",
            "uscc": "code",
            "phone": "phone",
            "address": "address",
            "website": "text",
        }
    ),
    guards=Guards(branches="name", never_alone=("phone",)),
)
PERSON = MatchSpec(
    model=MatchModel(
        comparisons={
            "given_name": "person_name",
            "surname": "person_name",
            "street": "address",
            "suburb": "person_name",
            "postcode": "code",
            "state": "exact",
            "born_on": "date",
            "number": "code",
        }
    )
)
MIN_PRECISION, MIN_RECALL, MAX_REVIEW_SHARE = 0.995, 0.97, 0.02
MIN_PERSONS_F1 = 0.99
MAX_TIME_RATIO = 1.2


@dataclass(frozen=True)
class Quality:
    """What matching made of records whose doubles are known; pairs of rows are counted."""

    precision: float
    recall: float
    with_review: float
    """Recall once people have answered the review queue rightly."""
    review_share: float
    """Pairs in the queue ÷ rows."""

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def main(rows: int = ROWS) -> bool:
    """Print the figures; True if all are met."""
    met = []
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as folder:
        root = Path(folder)
        for seed in SEEDS:
            truth = companies(min(QUALITY_RECORDS, rows), seed)
            met += _judge_companies(root, truth, seed)
        for seed in SEEDS:
            quality = matched(root, persons(min(PERSONS, rows), seed), PERSON, ())
            print(f"persons, seed {seed}: {quality}", flush=True)
            met.append(judge_at_least("persons: F1", quality.f1, MIN_PERSONS_F1))
        met += _judge_again(root, min(AGAIN_RECORDS, rows))
        met.append(_judge_time(root, rows))
    return all(met)


def _judge_companies(root: Path, truth: Truth, seed: int) -> list[bool]:
    ours = matched(root, truth, COMPANY, ("uscc",))
    print(f"companies, seed {seed}, {len(truth.rows):,} rows: {ours}", flush=True)
    clean = write_clean(truth.rows, root / "plain.parquet")
    for threshold in (0.99, 0.9):
        pairs = plain_companies_pairs(root, clean, threshold)
        print(f"  plain Splink, merged from {threshold}: {quality_of(truth, _joined(len(truth.rows), pairs), ())}")
    return [
        judge_at_least("companies: precision of automatic merges", ours.precision, MIN_PRECISION),
        judge_at_least("companies: recall of merges and review", ours.with_review, MIN_RECALL),
        judge_at_most("companies: review queue ÷ rows", ours.review_share, MAX_REVIEW_SHARE),
    ]


def matched(root: Path, truth: Truth, spec: MatchSpec, codes: tuple[str, ...]) -> Quality:
    """Match records as cleansing does, and compare with the truth."""
    return quality_of(truth, *_matching(root, truth.rows, spec, codes, MemoryModels())[:2])


def _matching(
    root: Path, rows: list[Row], spec: MatchSpec, codes: tuple[str, ...], store: MemoryModels
) -> tuple[np.ndarray, list[tuple[int, int]], Mapping[tuple[int, int], float]]:
    """Match rows: by row that of its golden record; pairs for review; weights by pair."""
    clean = write_clean(rows, root / "clean.parquet")
    fields = {name: name for name in rows[0]}
    files = MatchFiles(clean, *(root / f"{name}.parquet" for name in ("golden", "merges", "review")))
    with engine(root) as connection:
        weighed = weigh_pairs(connection, clean, fields=fields, model=spec.model, store=store, where="bench")
        match_rows(connection, files, Matching(fields, spec, TransformContext(), codes), weighed.table)
    labels = np.arange(len(rows))
    merges = pq.read_table(files.merges)
    labels[_rows(merges["source_key"])] = _rows(merges["golden_key"])
    queue = pq.read_table(files.review)
    pairs = list(zip(_rows(queue["left_key"]).tolist(), _rows(queue["right_key"]).tolist(), strict=True))
    told = zip(*(weighed.table[name].to_pylist() for name in ("left", "right", "weight")), strict=True)
    return labels, pairs, {(left, right): weight for left, right, weight in told}


def quality_of(truth: Truth, labels: np.ndarray, review: Iterable[tuple[int, int]]) -> Quality:
    """Figures over pairs of rows.

    Args:
        truth: Which row is of which record.
        labels: Cluster by row.
        review: Pairs of rows that people are asked about.
    """
    record = np.array(truth.record)
    review = list(review)
    right = [(left, right) for left, right in review if record[left] == record[right]]
    answered = _joined(len(labels), [*right, *enumerate(labels.tolist())])
    true_pairs = _pairs(record)
    merged = _pairs(labels)
    agreed = sum(
        count * (count - 1) // 2 for count in Counter(zip(labels.tolist(), record.tolist(), strict=True)).values()
    )
    after = sum(
        count * (count - 1) // 2 for count in Counter(zip(answered.tolist(), record.tolist(), strict=True)).values()
    )
    return Quality(
        agreed / merged if merged else 1.0, agreed / true_pairs, after / true_pairs, len(review) / len(labels)
    )


def write_clean(rows: list[Row], path: Path) -> Path:
    """A clean stage of these rows; a row's source key is its place."""
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]}
    keys = pa.array([f"s:{number:08d}" for number in range(len(rows))])
    pq.write_table(pa.table({**columns, "_source_key": keys, "_priority": pa.array([1] * len(rows), pa.int64())}), path)
    return path


def _rows(keys: pa.ChunkedArray) -> np.ndarray:
    return pc.utf8_slice_codeunits(keys.combine_chunks(), 2).cast(pa.int64()).to_numpy()


def _pairs(labels: np.ndarray) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(labels.tolist()).values())


def _joined(rows: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    ends = np.array(list(pairs), np.int64).reshape(-1, 2)
    return components(ends[:, 0], ends[:, 1], rows)


def _judge_again(root: Path, records: int) -> list[bool]:
    """Match again with 1 % new rows: old pairs keep their weights, clusters without a new row members and id."""
    truth = companies(records, SEEDS[0])
    old, store = len(truth.rows) * 100 // 101, MemoryModels()
    before, _, weights = _matching(root, truth.rows[:old], COMPANY, ("uscc",), store)
    after, _, now = _matching(root, truth.rows, COMPANY, ("uscc",), store)
    kept = {(left, right): weight for (left, right), weight in now.items() if right < old}
    changed = sum(
        not math.isclose(kept.get(pair, math.nan), weight, abs_tol=1e-9) for pair, weight in weights.items()
    ) + len(kept.keys() - weights.keys())
    met = judge_at_most(f"pairs of {old:,} old rows that weigh otherwise with 1 % more rows", changed, 0)
    touched = set(after[old:].tolist())
    moved = [row for row in range(old) if after[row] not in touched and after[row] != before[row]]
    print(f"{len(set(before.tolist())):,} records before; new rows are in {len(touched):,} of now")
    return [met, judge_at_most("ids changed among untouched clusters", len({int(before[row]) for row in moved}), 0)]


def _judge_time(root: Path, rows: int) -> bool:
    """Blocking, training and weighing ÷ Splink by itself with the same settings, over the same columns."""
    truth = companies(int(rows / 1.25), seed=7)
    clean = write_clean(truth.rows, root / "time.parquet")
    fields = {name: name for name in truth.rows[0]}
    del truth  # a gigabyte of made-up rows
    layout = Layout(COMPANY.model, "bench")
    began = time.perf_counter()
    with engine(root, memory_limit="2GB") as connection:
        filled = fill_features(connection, clean, layout, fields)
        columns = time.perf_counter()
        weighed = weigh_features(connection, layout, filled, MemoryModels())
        done = time.perf_counter()
    plain = plain_stage_s(root, clean, fields, COMPANY.model)
    print(
        f"{filled:,} rows, {weighed.compared:,} pairs compared, {weighed.table.num_rows:,} kept: columns made in "
        f"{columns - began:.1f} s, weighed in {done - columns:.1f} s; Splink by itself {plain:.1f} s",
        flush=True,
    )
    return judge_at_most("time of the stage ÷ Splink", (done - columns) / plain, MAX_TIME_RATIO)
