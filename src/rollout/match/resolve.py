"""Contradictory components are taken apart: edge by edge, the strongest first, and never across a contradiction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import groupby
from typing import NamedTuple

from rollout.match.components import Ints
from rollout.match.edges import Bools

CHAIN, UNCLEAR = "chain", "unclear"
"""Why a person is asked: rows are joined through others alone; or rows that contradict each other claim the row."""
_LEAST_SUPPORT = 0.5
"""Share of the pairs of two clusters that must have been found alike for a model's edge to join them."""


class Tier(IntEnum):
    """Kinds of evidence, the strongest first."""

    REPEATED = 0
    DECIDED = 1
    KEY = 2
    MODEL = 3


class Edge(NamedTuple):
    """Two nodes that some evidence joins; edges sort by strength. Edges of one tier and order are equally strong."""

    tier: Tier
    order: int
    left: int
    right: int


class Asked(NamedTuple):
    """An edge that was not followed."""

    edge: Edge
    why: str
    """`chain`, `unclear`, or the trait that the two clusters differ in."""


_Line = tuple[Edge, int, int]
"""An edge and the clusters of its ends."""


class Resolver:
    """Clusters that grow along edges.

    What joins two clusters may not bring two values of a trait together that nobody said are the same, nor two rows
    that somebody said are different. Where equally strong edges would, those that lead to no contradiction are
    followed, and a row that both sides claim is left to a person. An edge of a model joins clusters only where at least
    half of their pairs were found alike: one bridge does not make two crowds one.

    Args:
        nodes: All of them.
        traits: By trait the number of each node's value, -1 for none.
        names: The traits' names.
        different: Pairs that people said are different.
        known: Pairs that the model found alike, heavy enough to be merged or not.
    """

    def __init__(
        self,
        *,
        nodes: Sequence[int],
        traits: Sequence[Ints],
        names: Sequence[str],
        different: Iterable[tuple[int, int]],
        known: Iterable[tuple[int, int]],
    ) -> None:
        self._names = names
        self._cluster = {node: node for node in nodes}
        self._members = {node: [node] for node in nodes}
        self._values = {
            node: [frozenset((int(numbers[node]),)) if numbers[node] >= 0 else frozenset[int]() for numbers in traits]
            for node in nodes
        }
        self._apart = _neighbours(different)
        self._known = _neighbours(known)
        self._firm: list[Edge] = []
        self._refused: list[Asked] = []
        self.contradicted: list[tuple[int, int]] = []

    def run(self, edges: Iterable[Edge]) -> None:
        """Follow all edges, the strongest first."""
        ordered = sorted(edges)
        for edge in ordered:
            if edge.tier in (Tier.KEY, Tier.REPEATED, Tier.DECIDED):
                self._known.setdefault(edge.left, set()).add(edge.right)
                self._known.setdefault(edge.right, set()).add(edge.left)
        for _, equal in groupby(ordered, key=lambda edge: (edge.tier, edge.order)):
            self._follow(list(equal))

    def clusters(self, counted: Bools, max_rows: int) -> tuple[list[list[int]], list[int]]:
        """Each cluster's nodes; and those of clusters that were too large and are left as people and sources have them.

        Args:
            counted: By node whether it counts as a row.
            max_rows: How many rows a cluster may have.
        """
        found, too_large = [], []
        for members in list(self._members.values()):
            if sum(bool(counted[node]) for node in members) <= max_rows:
                found.append(members)
            else:
                too_large += members
                found += self._firmly_joined(members)
        return found, too_large

    def asked(self) -> list[Asked]:
        """What to ask: of two clusters once, by the strongest edge; of a key's rows no more than connect them all."""
        dropped, connected = set[frozenset[int]](), _Forest()
        found = []
        for asked in sorted(self._refused):
            left, right = (self._cluster[node] for node in asked.edge[2:])
            ends = frozenset((left, right))
            if left == right or ends in dropped or self._told_apart(left, right):
                continue
            dropped.add(ends)
            if connected.join(left, right) or asked.edge.tier is Tier.MODEL:
                found.append(asked)
        return found

    def _follow(self, edges: Sequence[Edge]) -> None:
        """Follow edges that are equally strong."""
        live = [(edge, self._cluster[edge.left], self._cluster[edge.right]) for edge in edges]
        self._follow_each([line for line in live if line[1] != line[2]])

    def _follow_each(self, lines: Sequence[_Line]) -> None:
        """Follow edges; what they do not connect is apart from each other."""
        forest = _Forest()
        for _, left, right in lines:
            forest.join(left, right)
        groups: dict[int, list[_Line]] = {}
        for line in lines:
            groups.setdefault(forest.root(line[1]), []).append(line)
        for group in groups.values():
            self._follow_group(group)

    def _follow_group(self, group: Sequence[_Line]) -> None:
        ends = sorted({end for _, left, right in group for end in (left, right)})
        tier = group[0][0].tier
        against = self._contradictions(ends, heed_traits=tier in (Tier.KEY, Tier.MODEL))
        free = []
        for line in group:
            edge, left, right = line
            broken = [(name, sides[left], sides[right]) for name, sides in against if sides[left] != sides[right]]
            if broken and edge.tier is Tier.DECIDED:
                self.contradicted.append((edge.left, edge.right))
            elif broken:
                # A side without a value contradicts neither of the others: both claim it.
                known = [name for name, ours, theirs in broken if ours and theirs and name != UNCLEAR]
                self._refused.append(Asked(edge, known[0] if known else UNCLEAR))
            else:
                free.append(line)
        if len(free) < len(group):
            # The rest is looked at again: what made two values one may be among what was cut off.
            self._follow_each(free)
        elif tier is Tier.MODEL:
            self._join_supported([edge for edge, _, _ in free])
        else:
            for edge, _, _ in free:
                self._join(edge)

    def _join_supported(self, edges: Sequence[Edge]) -> None:
        """Join what a model's edges connect, where enough speaks for it.

        A cluster that makes two values one may not be joined, for want of support: clusters that differ wait for it.
        """
        while edges:
            waiting: list[Asked] = []
            for edge in edges:
                left, right = self._cluster[edge.left], self._cluster[edge.right]
                if self._is_thin(left, right):
                    self._refused.append(Asked(edge, CHAIN))
                elif against := self._contradictions([left, right], heed_traits=True):
                    waiting.append(Asked(edge, against[0][0]))
                else:
                    self._join(edge)
            if len(waiting) == len(edges):
                self._refused += waiting
                return
            edges = [asked.edge for asked in waiting]

    def _contradictions(self, ends: Sequence[int], *, heed_traits: bool) -> list[tuple[str, dict[int, object]]]:
        """What clusters that would be one disagree about, with the side that each takes.

        Two clusters that are on the same side of everything can be joined, as long as one that holds the values of all
        is joined with them: whatever contradicts one of them contradicts the other, and a cluster does not contradict
        itself.
        """
        found: list[tuple[str, dict[int, object]]] = []
        for at, name in enumerate(self._names if heed_traits else ()):
            sides = {end: self._values[end][at] for end in ends}
            if len(frozenset[int]().union(*sides.values())) > max(map(len, sides.values())):
                found.append((name, dict(sides)))
        group = set(ends)
        enemies: dict[int, object] = {}
        for end in ends:
            theirs = {self._cluster[other] for node in self._members[end] for other in self._apart.get(node, ())}
            enemies[end] = frozenset(theirs & group)
        if any(enemies.values()):
            found.append((UNCLEAR, enemies))
        return found

    def _is_thin(self, left: int, right: int) -> bool:
        """Whether too few of the pairs of two clusters were found alike."""
        if left == right:
            return False
        ours, theirs = self._members[left], self._members[right]
        found = sum(self._cluster[other] == right for node in ours for other in self._known.get(node, ()))
        return found < _LEAST_SUPPORT * len(ours) * len(theirs)

    def _join(self, edge: Edge) -> None:
        if edge.tier in (Tier.REPEATED, Tier.DECIDED):
            self._firm.append(edge)
        left, right = self._cluster[edge.left], self._cluster[edge.right]
        if left == right:
            return
        if len(self._members[left]) < len(self._members[right]):
            left, right = right, left
        gone = self._members.pop(right)
        for node in gone:
            self._cluster[node] = left
        self._members[left] += gone
        other = self._values.pop(right)
        self._values[left] = [mine | theirs for mine, theirs in zip(self._values[left], other, strict=True)]

    def _told_apart(self, left: int, right: int) -> bool:
        """Whether a person said of rows of two clusters that they are different: that answers for both."""
        return any(self._cluster[other] == right for node in self._members[left] for other in self._apart.get(node, ()))

    def _firmly_joined(self, members: Sequence[int]) -> Iterator[list[int]]:
        """What people and sources say of the rows of a cluster, by itself."""
        forest = _Forest()
        of = set(members)
        for edge in self._firm:
            if edge.left in of:
                forest.join(edge.left, edge.right)
        groups: dict[int, list[int]] = {}
        for node in members:
            groups.setdefault(forest.root(node), []).append(node)
        return iter(groups.values())


class _Forest:
    """Union-find over whatever nodes come."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def root(self, node: int) -> int:
        while (above := self._parent.get(node, node)) != node:
            self._parent[node] = self._parent.get(above, above)
            node = above
        return node

    def join(self, left: int, right: int) -> bool:
        """Join two trees; whether they were two."""
        ours, theirs = self.root(left), self.root(right)
        if ours == theirs:
            return False
        self._parent[max(ours, theirs)] = min(ours, theirs)
        return True


def _neighbours(pairs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for left, right in pairs:
        found.setdefault(left, set()).add(right)
        found.setdefault(right, set()).add(left)
    return found
