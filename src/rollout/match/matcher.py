"""Matching of one entity's clean stage: exact keys, a model's pairs and people's decisions → golden records.

Set by set: only rows that some evidence ties to another are ever looked at one by one, and of these only such as
contradict each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.mapping.transforms_base import TransformContext
from rollout.match.clusters import Clusters, cluster
from rollout.match.components import Ints
from rollout.match.edges import Bools, Decided, Evidence, KeyEdges, PairEdges
from rollout.match.exact import key_edges
from rollout.match.golden import write_golden
from rollout.match.guards import Traits, proves_nothing, read_traits
from rollout.match.parquet import open_parquet, scan
from rollout.match.review import MODEL, review_queue
from rollout.match.spec import MatchSpec
from rollout.match.ties import tied_members
from rollout.model.finding import Finding, Level

PAIR_SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in ("left", "right")),
        ("rule", pa.string()),
        *((name, pa.float64()) for name in ("weight", "probability")),
        ("why", pa.string()),
    ]
)
"""Pairs of rows that a model weighed: rows of the clean stage with left < right, `model`, the match weight (log2), the
probability, and what each comparison adds as JSON: [[field, level, weight], ...]."""
SAME, DIFFERENT = "same", "different"
"""What a person says about a pair."""


@dataclass(frozen=True)
class MatchFiles:
    """Where matching reads and writes (Parquet)."""

    clean: Path
    golden: Path
    """The fields, `_golden_key`, `_members`."""
    merges: Path
    """source_key, golden_key, rule, weight, tied_to, why."""
    review: Path
    """`rollout.match.review.REVIEW_SCHEMA`."""


@dataclass(frozen=True)
class MatchResult:
    """What matching did. golden + merged = clean rows."""

    golden: int
    merged: int
    clusters: int
    review: int
    """Pairs that a person is asked about."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Matching:
    """By which rules rows are matched."""

    fields: Mapping[str, str]
    """Field → the stage's column that holds its golden value (a reference's differs from the raw one)."""
    spec: MatchSpec
    context: TransformContext
    """For the transforms that keys are compared by."""
    codes: Sequence[str] = ()
    """Fields with a company's registered code: rows with two different ones are never merged without a person."""
    decided: Sequence[tuple[str, str, str]] = ()
    """What people said: source key, source key, `same` or `different`."""
    where: str = ""
    """For findings: the entity."""


def match_rows(
    connection: duckdb.DuckDBPyConnection,
    files: MatchFiles,
    rules: Matching,
    pairs: Any = None,
    *,
    complete: Callable[[str], str] = str,
) -> MatchResult:
    """Write the golden records, the merge map and the review queue of a clean stage.

    Args:
        connection: Has nothing of this function's names in it; they are gone again afterwards.
        files: What to read and to write.
        rules: By which rules.
        pairs: Arrow table of `PAIR_SCHEMA`; None: no model is declared.
        complete: Makes of the golden records' SQL one that has further columns.
    """
    keys, findings = key_edges(connection, files.clean, rules.fields, rules.spec, rules.context, rules.where)
    weighed = _of_free_rows(connection, files.clean, rules.spec, pairs)
    decided = _decided_rows(connection, files.clean, rules.decided)
    rows = [keys["row"], keys["hub"], weighed["left"], weighed["right"], decided["left"], decided["right"]]
    traits = read_traits(
        connection,
        files.clean,
        _distinct([column.to_numpy() for column in rows], pq.ParquetFile(files.clean).metadata.num_rows),
        fields=rules.fields,
        guards=rules.spec.guards,
        codes=rules.codes,
    )
    evidence, weak, alone = _evidence(traits, rules.spec, keys, weighed, decided)
    clusters = cluster(evidence, traits, rules.spec.max_cluster_rows)
    names = [key.name for key in rules.spec.keys]
    queue = review_queue(clusters, evidence, traits, weak=weak, names=names, pairs=weighed, alone=alone)
    connection.register("member", tied_members(clusters.labels, evidence, traits, names=names, pairs=weighed))
    try:
        merged, records = write_golden(
            connection,
            files.clean,
            golden=files.golden,
            merges=files.merges,
            fields=rules.fields,
            spec=rules.spec,
            complete=complete,
        )
    finally:
        connection.unregister("member")
    _write(files.review, queue)
    total = pq.ParquetFile(files.clean).metadata.num_rows
    told = (*findings, *_findings(clusters, traits, rules))
    return MatchResult(total - merged, merged, records, queue.num_rows, told)


def _distinct(columns: Sequence[Ints], rows: int) -> Ints:
    """The rows that some columns name."""
    named = np.zeros(rows, np.bool_)
    for column in columns:
        named[column] = True
    return np.flatnonzero(named)


def _of_free_rows(connection: duckdb.DuckDBPyConnection, clean: Path, spec: MatchSpec, pairs: Any) -> Any:
    """The model's pairs, without rows that are kept apart."""
    if pairs is None:
        return PAIR_SCHEMA.empty_table()
    weighed = pairs.cast(PAIR_SCHEMA)
    weighed = weighed.filter(pc.equal(weighed["rule"], MODEL))
    if not spec.apart or not weighed.num_rows:
        return weighed
    alone = np.array(list(_rows_of(connection, clean, spec.apart).values()), np.int64)
    kept = ~(np.isin(weighed["left"].to_numpy(), alone) | np.isin(weighed["right"].to_numpy(), alone))
    return weighed.filter(pa.array(kept))


def _decided_rows(connection: duckdb.DuckDBPyConnection, clean: Path, decided: Sequence[tuple[str, str, str]]) -> Any:
    """Decisions about rows that are there: left, right, same."""
    rows = _rows_of(connection, clean, sorted({key for left, right, _ in decided for key in (left, right)}))
    found = [
        (rows[left], rows[right], verdict == SAME)
        for left, right, verdict in decided
        if left in rows and right in rows and left != right
    ]
    columns = list(zip(*found, strict=True)) if found else [(), (), ()]
    types = (pa.int64(), pa.int64(), pa.bool_())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["left", "right", "same"])


def _rows_of(connection: duckdb.DuckDBPyConnection, clean: Path, keys: Sequence[str]) -> dict[str, int]:
    """Rows of the clean stage by source key."""
    if not keys:
        return {}
    connection.register("wanted", pa.table({"key": pa.array(keys, pa.string())}))
    try:
        found = connection.execute(
            f"SELECT key, file_row_number FROM wanted JOIN {scan(clean)} ON _source_key = key"  # noqa: S608
        ).fetchall()
    finally:
        connection.unregister("wanted")
    return dict(found)


def _evidence(
    traits: Traits, spec: MatchSpec, keys: Any, weighed: Any, decided: Any
) -> tuple[Evidence, KeyEdges, Bools]:
    """Evidence between nodes; apart from it keys, and pairs, that prove nothing by themselves."""

    def nodes(table: Any, name: str) -> Ints:
        return traits.nodes(table[name].to_numpy())

    all_keys = KeyEdges(nodes(keys, "row"), nodes(keys, "hub"), keys["key"].to_numpy())
    never_alone = set(spec.guards.never_alone)
    proving = np.array([not set(key.fields) <= never_alone for key in spec.keys] + [True], np.bool_)[all_keys.key]
    alone = proves_nothing(weighed["why"].to_pylist() if never_alone else [], spec.guards.never_alone)
    alone = alone if never_alone else np.zeros(weighed.num_rows, np.bool_)
    heavy = weighed["probability"].to_numpy() >= (spec.model.merge_above if spec.model else 1.0)
    left, right = nodes(weighed, "left"), nodes(weighed, "right")
    pairs = PairEdges(np.minimum(left, right), np.maximum(left, right), weighed["weight"].to_numpy(), heavy & ~alone)
    same = decided["same"].to_numpy(zero_copy_only=False)
    ends = nodes(decided, "left"), nodes(decided, "right")
    kept_apart = pc.is_in(traits.keys, pa.array(spec.apart, pa.string())).to_numpy(zero_copy_only=False)
    apart = kept_apart[ends[0]] | kept_apart[ends[1]]
    evidence = Evidence(
        all_keys.of(proving),
        pairs,
        same=Decided(*(end[same & ~apart] for end in ends)),
        different=Decided(*(end[~same] for end in ends)),
    )
    return evidence, all_keys.of(~proving), alone


def _findings(clusters: Clusters, traits: Traits, rules: Matching) -> list[Finding]:
    found = []
    if clusters.too_large:
        found.append(
            Finding(
                id="match.cluster_too_large",
                level=Level.WARNING,
                message=f"clusters of over {rules.spec.max_cluster_rows} rows were not merged",
                where=rules.where,
                hint="look at the rows; make the match keys stricter, or raise max_cluster_rows",
                count=len(clusters.too_large),
            )
        )
    apart = set(rules.spec.apart)
    unheeded = [(traits.keys[left].as_py(), traits.keys[right].as_py()) for left, right in clusters.contradicted]
    unheeded += [(left, right) for left, right, verdict in rules.decided if verdict == SAME and {left, right} & apart]
    if unheeded:
        found.append(
            Finding(
                id="match.decisions_contradict",
                level=Level.WARNING,
                message=f"{len(unheeded)} pairs that people said are the same stay apart: other decisions forbid it",
                where=rules.where,
                hint="decide one of the pairs anew",
                count=len(unheeded),
                detail={"pairs": [list(pair) for pair in unheeded[:20]]},
            )
        )
    return found


def _write(path: Path, table: Any) -> None:
    part = path.with_name(f".{path.name}.tmp")
    with open_parquet(part, table.schema) as writer:
        writer.write_table(table)
    part.replace(path)
