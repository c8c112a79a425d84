"""Connected components: rows that are linked, directly or through others."""

from __future__ import annotations

from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]


def components(left: Ints, right: Ints, nodes: int) -> Ints:
    """The smallest node of each node's component.

    Args:
        left: One end of each edge, 0 ≤ node < ``nodes``.
        right: The other end.
        nodes: How many nodes there are.

    Returns:
        A label for each node: the smallest node it is connected with. Labels only ever fall, and a node takes over its
        label's label, so that a chain of n edges is done in about log n rounds.
    """
    labels = np.arange(nodes, dtype=np.int64)
    while True:
        lowest = np.minimum(labels[left], labels[right])
        lower = labels.copy()
        for ends in (left, right, labels[left], labels[right]):
            np.minimum.at(lower, ends, lowest)
        lower = lower[lower]
        if np.array_equal(lower, labels):
            return labels
        labels = lower
