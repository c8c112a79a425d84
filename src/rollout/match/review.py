"""The review queue: pairs of rows about which a person is asked, two clusters once, with what made us ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rollout.match.clusters import Clusters, extremes
from rollout.match.components import Ints
from rollout.match.edges import REPEATED, Bools, Evidence, KeyEdges
from rollout.match.exact import REPEATED_ROW
from rollout.match.guards import Traits
from rollout.match.resolve import Tier

MODEL, DECISION = "model", "decision"
"""Rules of what a model weighed, and of what a person decided."""
DOUBT, ALONE = "doubt", "alone"
"""Why a person is asked: the weight lies between the thresholds; or what agrees proves nothing by itself."""
REVIEW_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("left_key", "right_key", "rule")),
        *((name, pa.float64()) for name in ("weight", "probability")),
        *((name, pa.string()) for name in ("why", "reasons")),
    ]
)
"""`left_key` sorts before `right_key`; `why` as in the pairs; `reasons` joined with commas: `doubt`, `alone`, `chain`,
`unclear`, and the traits that the two differ in: `code.FIELD`, `across.FIELD`, `branch`."""


def review_queue(
    clusters: Clusters,
    evidence: Evidence,
    traits: Traits,
    *,
    weak: KeyEdges,
    names: Sequence[str],
    pairs: Any,
    alone: Bools,
) -> Any:
    """What a person is asked, as an Arrow table of `REVIEW_SCHEMA`, the likeliest first.

    Args:
        clusters: Which nodes are one record.
        evidence: What was known.
        traits: Source keys, and what rows must agree on.
        weak: Rows that agree on a key which proves nothing by itself.
        names: The keys'.
        pairs: The pairs that the model weighed, in the order of ``evidence.pairs``.
        alone: Of which of them all that speaks for them proves nothing by itself.
    """
    at, left, right, key, why = _candidates(clusters, evidence, weak, alone)
    chosen = _once_a_cluster(clusters.labels, evidence, left, right, _strength(at, key, evidence))
    at, left, right, key = (column[chosen] for column in (at, left, right, key))
    first = [why[place] for place in chosen]
    rules = pa.array([*names, REPEATED_ROW, MODEL], pa.string())
    number = np.where(at >= 0, len(names) + 1, np.where(key == REPEATED, len(names), key))
    of_pair = pa.array(np.maximum(at, 0), mask=at < 0)
    told = {name: pairs[name].combine_chunks().take(of_pair) for name in ("weight", "probability", "why")}
    table = pa.table(
        {
            "left_key": traits.keys.take(pa.array(left)),
            "right_key": traits.keys.take(pa.array(right)),
            "rule": rules.take(pa.array(number)),
            **told,
            "reasons": pa.array(_reasons(first, clusters.labels, traits, left, right), pa.string()),
        },
        schema=REVIEW_SCHEMA,
    )
    likeliest = [(name, "descending", "at_start") for name in ("probability", "weight")]
    by_key = [(name, "ascending", "at_end") for name in ("left_key", "right_key")]
    return table.take(pc.sort_indices(table, sort_keys=[*likeliest, *by_key]))


def _candidates(
    clusters: Clusters, evidence: Evidence, weak: KeyEdges, alone: Bools
) -> tuple[Ints, Ints, Ints, Ints, list[str]]:
    """All pairs that could be asked: the model's pair (or -1), both nodes, the key (or 0), why."""
    pairs = evidence.pairs
    place = {(int(left), int(right)): at for at, (left, right) in enumerate(zip(pairs.left, pairs.right, strict=True))}
    lines = [
        (
            place.get((asked.edge.left, asked.edge.right), -1) if asked.edge.tier is Tier.MODEL else -1,
            asked.edge.left,
            asked.edge.right,
            REPEATED if asked.edge.tier is Tier.REPEATED else asked.edge.order,
            asked.why,
        )
        for asked in clusters.asked
    ]
    open_ = np.flatnonzero(~pairs.automatic)
    lines += [
        (at, int(pairs.left[at]), int(pairs.right[at]), 0, ALONE if alone[at] else DOUBT) for at in open_.tolist()
    ]
    lines += [(-1, left, right, key, ALONE) for left, right, key in _chains(weak)]
    columns = list(zip(*lines, strict=True)) if lines else [(), (), (), (), ()]
    at, left, right, key = (np.array(column, np.int64) for column in columns[:4])
    return at, left, right, key, list(columns[4])


def _chains(weak: KeyEdges) -> list[tuple[int, int, int]]:
    """Neighbours among the rows of each group, in the order of their source keys: enough to connect them all."""
    order = np.lexsort((weak.node, weak.hub, weak.key))
    node, hub, key = weak.node[order], weak.hub[order], weak.key[order]
    follows = np.flatnonzero((hub[1:] == hub[:-1]) & (key[1:] == key[:-1]) & (node[1:] != node[:-1]))
    return list(zip(node[follows].tolist(), node[follows + 1].tolist(), key[follows].tolist(), strict=True))


def _strength(at: Ints, key: Ints, evidence: Evidence) -> tuple[Any, ...]:
    """What candidates sort by, the strongest first: keys in their order, then the model's weights."""
    weights = np.append(evidence.pairs.weight, 0.0)
    return np.where(at < 0, 0, 1), np.where(at < 0, key, 0), -np.where(at < 0, 0.0, weights[at])


def _once_a_cluster(labels: Ints, evidence: Evidence, left: Ints, right: Ints, strength: tuple[Any, ...]) -> Ints:
    """Places of the strongest pair of each two clusters about which nobody decided yet."""
    low, high = np.minimum(labels[left], labels[right]), np.maximum(labels[left], labels[right])
    order = np.lexsort((right, left, *reversed(strength), high, low))
    first = np.ones(len(order), np.bool_)
    first[1:] = (low[order][1:] != low[order][:-1]) | (high[order][1:] != high[order][:-1])
    found = order[first]
    ends = labels[evidence.different.left], labels[evidence.different.right]
    decided = np.minimum(*ends) * len(labels) + np.maximum(*ends)
    wanted = (low[found] != high[found]) & ~np.isin(low[found] * len(labels) + high[found], decided)
    chosen: Ints = found[wanted]
    return chosen


def _reasons(why: Sequence[str], labels: Ints, traits: Traits, left: Ints, right: Ints) -> list[str]:
    """Why each pair is asked, and what its clusters differ in besides: whoever says `same` joins all of their rows."""
    differ = []
    for name, numbers in traits.values.items():
        low, high = (extreme[labels] for extreme in extremes(labels, numbers))
        apart = (low[left] != low[right]) | (high[left] != high[right])
        differ.append((name, (high[left] >= 0) & (high[right] >= 0) & apart))
    return [
        ",".join(dict.fromkeys([first, *(name for name, apart in differ if apart[at])])) for at, first in enumerate(why)
    ]
