"""What speaks for and against rows being one record: edges between nodes, see `rollout.match.guards.Traits`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rollout.match.components import Ints

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
REPEATED = -1
"""Number of the key that rows share which their source says are one record."""


def no_ints() -> Ints:
    """An empty array."""
    return np.array([], np.int64)


@dataclass(frozen=True)
class KeyEdges:
    """Rows that agree on an exact key. Rows of one group agree with each other: same hub, same key."""

    node: Ints
    hub: Ints
    """One node of the group, which has a line of its own."""
    key: Ints
    """The key's number; -1: rows that their source says are one record."""

    def of(self, wanted: Bools) -> KeyEdges:
        """Those of some lines."""
        return KeyEdges(self.node[wanted], self.hub[wanted], self.key[wanted])


@dataclass(frozen=True)
class PairEdges:
    """Pairs that a model weighed, with left < right."""

    left: Ints
    right: Ints
    weight: Floats
    automatic: Bools
    """Heavy enough to be merged without a person."""


@dataclass(frozen=True)
class Decided:
    """Pairs that people decided."""

    left: Ints
    right: Ints

    @classmethod
    def nothing(cls) -> Decided:
        """No pair."""
        return cls(no_ints(), no_ints())


@dataclass(frozen=True)
class Evidence:
    """All that is known about which nodes are one record."""

    keys: KeyEdges
    pairs: PairEdges
    same: Decided
    different: Decided

    @property
    def joining(self) -> tuple[Ints, Ints]:
        """The ends of all edges that join rows without a person being asked again."""
        sure = self.pairs.automatic
        left = np.concatenate([self.keys.node, self.pairs.left[sure], self.same.left])
        right = np.concatenate([self.keys.hub, self.pairs.right[sure], self.same.right])
        return left, right
