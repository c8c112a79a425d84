"""Clusters: which rows are one record. Most are plain and found at once; contradictory ones are taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.match.components import Ints, components
from rollout.match.edges import REPEATED, Bools, Evidence
from rollout.match.guards import Traits
from rollout.match.resolve import Asked, Edge, Resolver, Tier

_CHAIN_ROWS = 3
"""A cluster of fewer rows has no two that are only joined through others."""


@dataclass(frozen=True)
class Clusters:
    """Which nodes are one record, and what a person is to be asked."""

    labels: Ints
    """By node the smallest node of its cluster."""
    asked: Sequence[Asked]
    """Edges that would have joined two clusters, had nothing spoken against it."""
    contradicted: Sequence[tuple[int, int]]
    """Pairs that people said are the same, which what else they said forbids."""
    too_large: Sequence[int]
    """Nodes of clusters that are too large to be merged."""


def cluster(evidence: Evidence, traits: Traits, max_rows: int) -> Clusters:
    """Join rows by all evidence; where it contradicts itself the strongest counts and people are asked about the rest.

    Args:
        evidence: What speaks for and against.
        traits: What rows must agree on.
        max_rows: More rows are no cluster; rows that their source says are one record count once.
    """
    labels = components(*evidence.joining, len(traits))
    repeated = evidence.keys.of(evidence.keys.key == REPEATED)
    counted = components(repeated.node, repeated.hub, len(traits)) == np.arange(len(traits))
    doubtful = _doubtful(labels, evidence, traits, counted, max_rows)[labels]
    if not doubtful.any():
        return Clusters(labels, (), (), ())
    resolver = Resolver(
        nodes=np.flatnonzero(doubtful).tolist(),
        traits=list(traits.values.values()),
        names=list(traits.values),
        different=_within(evidence.different.left, evidence.different.right, doubtful),
        known=_within(evidence.pairs.left, evidence.pairs.right, doubtful),
    )
    resolver.run(_edges(evidence, doubtful))
    found, too_large = resolver.clusters(counted, max_rows)
    labels = labels.copy()
    for members in found:
        labels[members] = min(members)
    return Clusters(labels, resolver.asked(), resolver.contradicted, too_large)


def extremes(labels: Ints, numbers: Ints) -> tuple[Ints, Ints]:
    """By label the lowest and the highest number of its nodes; -1 is none, and highest where there is none."""
    known = numbers >= 0
    low, high = np.full(len(labels), np.iinfo(np.int64).max), np.full(len(labels), -1)
    np.minimum.at(low, labels[known], numbers[known])
    np.maximum.at(high, labels[known], numbers[known])
    return low, high


def _doubtful(labels: Ints, evidence: Evidence, traits: Traits, counted: Bools, max_rows: int) -> Bools:
    """By label: whether the component must be looked at closely."""
    rows = np.bincount(labels, weights=counted, minlength=len(labels))
    found: Bools = rows > max_rows
    for numbers in traits.values.values():
        low, high = extremes(labels, numbers)
        found |= (high >= 0) & (low < high)
    left, right = labels[evidence.different.left], labels[evidence.different.right]
    found[left[left == right]] = True
    return found | _chained(labels, evidence)


def _chained(labels: Ints, evidence: Evidence) -> Bools:
    """By label: whether some rows of a component that a model joined were not found alike themselves."""
    pairs = evidence.pairs
    sizes = np.bincount(labels, minlength=len(labels))
    modelled = np.zeros(len(labels), np.bool_)
    modelled[labels[pairs.left[pairs.automatic]]] = True
    inside = labels[pairs.left] == labels[pairs.right]
    weighed = np.bincount(labels[pairs.left[inside]], minlength=len(labels))
    chained: Bools = modelled & (sizes >= _CHAIN_ROWS) & (weighed < sizes * (sizes - 1) // 2)
    return chained


def _edges(evidence: Evidence, doubtful: Bools) -> list[Edge]:
    """The joining edges of doubtful components: of a key all pairs of its rows, for which one is the hub is chance."""
    edges: list[Edge] = []
    keys = evidence.keys.of(doubtful[evidence.keys.node])
    groups: dict[tuple[int, int], list[int]] = {}
    for node, hub, key in zip(keys.node.tolist(), keys.hub.tolist(), keys.key.tolist(), strict=True):
        groups.setdefault((key, hub), []).append(node)
    for (key, _), members in groups.items():
        ordered = sorted(set(members))
        if key == REPEATED:
            edges += [Edge(Tier.REPEATED, 0, ordered[0], other) for other in ordered[1:]]
        else:
            edges += [
                Edge(Tier.KEY, key, left, right) for at, left in enumerate(ordered) for right in ordered[at + 1 :]
            ]
    edges += [Edge(Tier.DECIDED, 0, *ends) for ends in _within(evidence.same.left, evidence.same.right, doubtful)]
    sure = np.flatnonzero(evidence.pairs.automatic & doubtful[evidence.pairs.left])
    # Evidence that differs by less than a bit is the same: whole bits, the heavier first.
    bits = np.floor(evidence.pairs.weight[sure]).astype(np.int64)
    ends = zip(bits.tolist(), evidence.pairs.left[sure].tolist(), evidence.pairs.right[sure].tolist(), strict=True)
    return edges + [Edge(Tier.MODEL, -bit, left, right) for bit, left, right in ends]


def _within(left: Ints, right: Ints, doubtful: Bools) -> list[tuple[int, int]]:
    wanted = doubtful[left] & doubtful[right]
    return list(zip(left[wanted].tolist(), right[wanted].tolist(), strict=True))
