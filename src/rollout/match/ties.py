"""What ties each merged row to its cluster: the strongest evidence, for the merge map to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rollout.match.components import Ints
from rollout.match.edges import REPEATED, Evidence, KeyEdges
from rollout.match.exact import REPEATED_ROW
from rollout.match.guards import Traits
from rollout.match.resolve import Tier
from rollout.match.review import DECISION, MODEL


class _Ties(NamedTuple):
    """Edges within clusters, seen from ``node``."""

    node: Ints
    other: Ints
    tier: Ints
    order: Any
    """Within the tier, the strongest first."""
    pair: Ints
    """The model's pair, -1 for none."""


def tied_members(labels: Ints, evidence: Evidence, traits: Traits, *, names: Sequence[str], pairs: Any) -> Any:
    """Rows of clusters of two or more: row, cluster, rule, weight, tied_to, why.

    Args:
        labels: By node the smallest node of its cluster.
        evidence: What joined them.
        traits: Their source keys.
        names: The keys'.
        pairs: The pairs that the model weighed, in the order of ``evidence.pairs``.
    """
    ties = _strongest(_all_ties(labels, evidence))
    rules = pa.array([*names, REPEATED_ROW, DECISION, MODEL], pa.string())
    other_than_key = len(names) + np.array([0, 1, 0, 2])  # by tier
    number = np.where(ties.tier == Tier.KEY, ties.order.astype(np.int64), other_than_key[ties.tier])
    of_pair = pa.array(np.maximum(ties.pair, 0), mask=ties.pair < 0)
    return pa.table(
        {
            "row": traits.rows[ties.node],
            "cluster": labels[ties.node],
            "rule": rules.take(pa.array(number)),
            "weight": pairs["weight"].combine_chunks().take(of_pair),
            "tied_to": traits.keys.take(pa.array(ties.other)),
            "why": pairs["why"].combine_chunks().take(of_pair),
        }
    )


def _all_ties(labels: Ints, evidence: Evidence) -> _Ties:
    """Every edge within a cluster, from both its ends."""
    same, pairs = evidence.same, evidence.pairs
    decided = np.flatnonzero(labels[same.left] == labels[same.right])
    weighed = np.flatnonzero(pairs.automatic & (labels[pairs.left] == labels[pairs.right]))
    node, other, key = _key_ties(labels, evidence.keys)
    count = 2 * len(decided)
    return _Ties(
        np.concatenate([node, same.left[decided], same.right[decided], pairs.left[weighed], pairs.right[weighed]]),
        np.concatenate([other, same.right[decided], same.left[decided], pairs.right[weighed], pairs.left[weighed]]),
        np.concatenate(
            [
                np.where(key == REPEATED, Tier.REPEATED, Tier.KEY),
                np.full(count, Tier.DECIDED),
                np.full(2 * len(weighed), Tier.MODEL),
            ]
        ),
        np.concatenate([key.astype(np.float64), np.zeros(count), np.tile(-pairs.weight[weighed], 2)]),
        np.concatenate([np.full(len(node) + count, -1), np.tile(weighed, 2)]),
    )


def _key_ties(labels: Ints, keys: KeyEdges) -> tuple[Ints, Ints, Ints]:
    """Each row that agrees on a key with another of its cluster: the row, the first such other, the key."""
    order = np.lexsort((keys.node, labels[keys.node], keys.hub, keys.key))
    node, hub, key = keys.node[order], keys.hub[order], keys.key[order]
    label = labels[node]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (hub[1:] != hub[:-1]) | (key[1:] != key[:-1]) | (label[1:] != label[:-1])
    first = np.flatnonzero(starts)
    group = np.cumsum(starts) - 1
    sizes = np.diff(np.append(first, len(order)))
    # The first row of a group is tied to the second, all others to the first.
    mate = np.where(starts, first[group] + 1, first[group]) if len(order) else group
    shared = sizes[group] > 1 if len(order) else starts
    return node[shared], node[mate[shared]], key[shared]


def _strongest(ties: _Ties) -> _Ties:
    """Of each node the strongest."""
    order = np.lexsort((ties.other, ties.order, ties.tier, ties.node))
    node = ties.node[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = node[1:] != node[:-1]
    return _Ties(*(column[order[first]] for column in ties))
