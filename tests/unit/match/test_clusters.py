"""Clusters: what must never be joined, what always is, and that nothing that was not followed is forgotten."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.match.clusters import cluster
from rollout.match.edges import REPEATED, Decided, Evidence, KeyEdges, PairEdges
from rollout.match.guards import Traits
from rollout.match.review import REVIEW_SCHEMA, review_queue
from rollout.match.ties import tied_members

NAMES = ("first", "second")


class World(NamedTuple):
    """What is known about a few nodes."""

    traits: Traits
    evidence: Evidence
    max_rows: int

    def __len__(self) -> int:
        return len(self.traits)

    def labels(self) -> list[int]:
        return cluster(self.evidence, self.traits, self.max_rows).labels.tolist()

    def queue(self):
        none = KeyEdges(*(np.array([], np.int64) for _ in range(3)))
        count = len(self.evidence.pairs.left)
        pairs = pa.table(
            {
                "weight": self.evidence.pairs.weight,
                "probability": np.where(self.evidence.pairs.automatic, 0.999, 0.95),
                "why": pa.array(["[]"] * count, pa.string()),
            }
        )
        found = cluster(self.evidence, self.traits, self.max_rows)
        alone = np.zeros(count, np.bool_)
        told = review_queue(found, self.evidence, self.traits, weak=none, names=NAMES, pairs=pairs, alone=alone)
        ties = tied_members(found.labels, self.evidence, self.traits, names=NAMES, pairs=pairs)
        return found, told, ties


def world(nodes, *, keys=(), pairs=(), same=(), different=(), max_rows=50, **traits):
    """Keys are groups (key, nodes); pairs are (left, right, weight, automatic)."""
    lines = [(node, min(group), key) for key, group in keys for node in group]
    columns = [np.array(column, np.int64) for column in zip(*lines, strict=True)] or [np.array([], np.int64)] * 3
    weighed = sorted({pair[:2]: pair for pair in pairs}.values())
    left, right, weight, automatic = ([pair[at] for pair in weighed] for at in range(4))

    def decided(found):
        ends = np.array(sorted(found), np.int64).reshape(-1, 2)
        return Decided(ends[:, 0], ends[:, 1])

    return World(
        Traits(
            np.arange(nodes, dtype=np.int64),
            pa.array([f"s:{node:02}" for node in range(nodes)]),
            {name: np.array(numbers, np.int64) for name, numbers in traits.items()},
        ),
        Evidence(
            KeyEdges(*columns),
            PairEdges(
                np.array(left, np.int64),
                np.array(right, np.int64),
                np.array(weight, np.float64),
                np.array(automatic, np.bool_),
            ),
            same=decided(same),
            different=decided(different),
        ),
        max_rows,
    )


def asked(found):
    return [(line["left_key"][2:], line["right_key"][2:], line["reasons"]) for line in found.to_pylist()]


def test_rows_of_two_codes_are_two_records_and_one_without_code_between_them_is_left_to_a_person():
    clear = world(3, keys=[(0, (0, 1, 2))], code=[0, 0, 1])
    assert clear.labels() == [0, 0, 2]
    between = world(3, keys=[(0, (0, 1, 2))], code=[0, -1, 1])
    found, told, _ = between.queue()
    assert found.labels.tolist() == [0, 1, 2]
    assert asked(told) == [("00", "01", "unclear"), ("00", "02", "code")]


def test_the_stronger_key_decides_where_a_row_without_code_belongs():
    found, told, ties = world(3, keys=[(0, (0, 1)), (1, (1, 2))], code=[0, -1, 1]).queue()
    assert found.labels.tolist() == [0, 0, 2]
    assert asked(told) == [("01", "02", "code")] or asked(told) == [("01", "02", "unclear")]
    assert ties["rule"].to_pylist() == ["first", "first"]


def test_a_person_s_word_joins_what_a_guard_keeps_apart_and_answers_for_the_whole_clusters():
    rows = {"keys": [(0, (0, 1)), (0, (2, 3)), (1, (0, 1, 2, 3))], "code": [0, 0, 1, 1]}
    assert world(4, **rows).labels() == [0, 0, 2, 2]
    assert world(4, **rows, same=[(1, 2)]).labels() == [0, 0, 0, 0]
    found, told, _ = world(4, **rows, different=[(0, 3)]).queue()
    assert found.labels.tolist() == [0, 0, 2, 2]
    assert asked(told) == []


def test_one_bridge_does_not_make_two_crowds_one():
    keys = [(0, (0, 1, 2)), (0, (3, 4, 5))]
    found, told, _ = world(6, keys=keys, pairs=[(2, 3, 12.0, True)]).queue()
    assert found.labels.tolist() == [0, 0, 0, 3, 3, 3]
    assert asked(told) == [("02", "03", "chain")]
    firm = [(left, right, 12.0, True) for left in (0, 1, 2) for right in (3, 4)]
    assert world(6, keys=keys, pairs=firm).labels() == [0] * 6


def test_contradicting_words_of_people_are_told_and_not_followed():
    found, _, _ = world(3, same=[(0, 1), (1, 2)], different=[(0, 2)]).queue()
    assert found.labels.tolist() == [0, 1, 2]
    assert found.contradicted == [(0, 1), (1, 2)]


def test_rows_that_their_source_calls_one_record_are_one_however_many():
    many = world(60, keys=[(REPEATED, tuple(range(60)))], max_rows=5, code=[*[0] * 30, *[1] * 30])
    assert set(many.labels()) == {0}


def test_too_large_clusters_fall_back_to_what_people_said():
    found, told, _ = world(
        6, keys=[(0, (0, 1)), (1, (1, 2)), (0, (2, 3)), (1, (3, 4))], max_rows=3, same=[(1, 2)]
    ).queue()
    assert found.labels.tolist() == [0, 1, 1, 3, 4, 5]
    assert sorted(found.too_large) == [0, 1, 2, 3, 4]
    assert asked(told) == []


def test_doubtful_pairs_of_two_clusters_are_asked_once_by_the_heaviest():
    rows = world(4, keys=[(0, (0, 1)), (0, (2, 3))], pairs=[(0, 2, 4.0, False), (1, 3, 6.0, False), (1, 2, 5.0, False)])
    found, told, _ = rows.queue()
    assert found.labels.tolist() == [0, 0, 2, 2]
    assert asked(told) == [("01", "03", "doubt")]
    assert told.schema == REVIEW_SCHEMA


def test_what_makes_two_owners_one_does_not_do_so_where_it_is_kept_apart_itself():
    """Rows 2, 4 and 6 are one record of both owners; a person said that 3 and 5 are no part of it."""
    keys = [(REPEATED, (4, 6)), (0, (2, 6)), (1, (3, 4, 5))]
    owner = [-1, -1, -1, 0, 0, 1, 1]
    rows = {"keys": keys, "same": [(0, 2)], "owner": owner}
    assert world(7, **rows).labels() == [0, 1, 0, 0, 0, 0, 0]
    found, told, _ = world(7, **rows, different=[(0, 3), (0, 5)]).queue()
    assert found.labels.tolist() == [0, 1, 0, 3, 0, 5, 0]
    assert asked(told) == [("03", "05", "owner")]


def test_what_makes_two_owners_one_does_not_do_so_where_it_has_another_code():
    found, told, _ = world(4, keys=[(REPEATED, (0, 1)), (0, (0, 2, 3))], owner=[0, 1, 0, 1], code=[0, 0, 1, 1]).queue()
    assert found.labels.tolist() == [0, 0, 2, 3]
    assert asked(told) == [("00", "02", "code,owner"), ("00", "03", "code,owner")]


def test_what_makes_two_owners_one_does_not_do_so_where_too_little_ties_it_to_them():
    one = {"keys": [(REPEATED, (0, 1, 2))], "owner": [0, 1, -1, 0, 1]}
    bridges = [(0, 3, 9.0, True), (0, 4, 9.0, True), (3, 4, 9.0, True)]
    found, told, _ = world(5, **one, pairs=bridges).queue()
    assert found.labels.tolist() == [0, 0, 0, 3, 4]
    assert asked(told) == [("00", "03", "chain,owner"), ("00", "04", "chain,owner"), ("03", "04", "owner")]
    # With enough it does, though the pair of two owners comes first.
    firm = [(left, right, 9.0, True) for left in (0, 1) for right in (2, 3)]
    pairs = [(0, 1, 9.0, True), *firm]
    assert world(4, keys=[(REPEATED, (2, 3))], owner=[0, 1, 0, 1], pairs=pairs).labels() == [0] * 4


@st.composite
def worlds(draw):
    nodes = draw(st.integers(1, 9))
    some = st.integers(0, nodes - 1)
    trait = st.lists(st.sampled_from([-1, -1, 0, 1, 2]), min_size=nodes, max_size=nodes)
    values = st.lists(st.sampled_from([None, None, 1, 2]), min_size=nodes, max_size=nodes)
    keys = []
    for key in (REPEATED, 0, 1):
        column = draw(values) if key != REPEATED or draw(st.booleans()) else [None] * nodes
        groups = [tuple(at for at, value in enumerate(column) if value == wanted) for wanted in (1, 2)]
        keys += [(key, group) for group in groups if len(group) > 1]
    ends = st.tuples(some, some).filter(lambda pair: pair[0] < pair[1])
    pair = st.builds(
        lambda two, weight, sure: (*two, weight, sure), ends, st.sampled_from([3.2, 5.0, 5.5, 9.0]), st.booleans()
    )
    few = st.lists(ends, max_size=3) if nodes > 1 else st.just([])
    same, different = set(draw(few)), set(draw(few))
    return world(
        nodes,
        keys=keys,
        pairs=draw(st.lists(pair, max_size=8)) if nodes > 1 else [],
        same=same - different,
        different=different,
        max_rows=draw(st.sampled_from([3, 50])),
        code=draw(trait),
        owner=draw(trait),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_no_cluster_holds_what_must_stay_apart_and_what_was_not_followed_is_asked(case):
    found, told, ties = case.queue()
    labels = found.labels.tolist()
    evidence = case.evidence
    members = {label: [node for node, at in enumerate(labels) if at == label] for label in set(labels)}
    assert all(label == min(nodes) for label, nodes in members.items())

    same = list(zip(evidence.same.left.tolist(), evidence.same.right.tolist(), strict=True))
    different = list(zip(evidence.different.left.tolist(), evidence.different.right.tolist(), strict=True))
    assert not [pair for pair in different if labels[pair[0]] == labels[pair[1]]]
    assert {pair for pair in same if labels[pair[0]] != labels[pair[1]]} <= set(found.contradicted)
    assert different or not found.contradicted

    repeated = [
        pair for pair in zip(evidence.keys.node.tolist(), evidence.keys.hub.tolist(), evidence.keys.key.tolist(), strict=True)
        if pair[2] == REPEATED
    ]  # fmt: skip
    for nodes in members.values():
        for numbers in case.traits.values.values():
            firm = [pair[:2] for pair in (*same, *repeated) if set(pair[:2]) <= set(nodes)]
            assert connected_values(nodes, firm, numbers.tolist())

    left, right = (ends.tolist() for ends in evidence.joining)
    edges = list(zip(left, right, strict=True))
    assert all(is_connected(nodes, edges + group_edges(evidence)) for nodes in members.values())

    lines = [(int(one), int(other)) for one, other, _ in asked(told)]
    between = [frozenset((labels[one], labels[other])) for one, other in lines]
    assert all(len(ends) == 2 for ends in between)
    assert len(between) == len(set(between))
    assert not set(between) & {frozenset((labels[one], labels[other])) for one, other in different}

    # What would have joined two clusters is asked, or answered; of rows that share a key enough to connect them.
    settled = [tuple(ends) for ends in between] + [
        (labels[one], labels[other]) for one, other in (*different, *found.contradicted)
    ]
    for one, other in edges:
        if labels[one] != labels[other] and not found.too_large:  # those are a finding of their own
            assert is_connected([labels[one], labels[other]], settled, among=True)

    assert sorted(ties["row"].to_pylist()) == sorted(
        node for nodes in members.values() if len(nodes) > 1 for node in nodes
    )
    assert all(at is not None for at in ties["tied_to"].to_pylist())


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_plain_components_are_joined_whole(case):
    roots = forest(range(len(case)), zip(*(ends.tolist() for ends in case.evidence.joining), strict=True))
    labels = case.labels()
    modelled = {int(node) for ends in (case.evidence.pairs.left, case.evidence.pairs.right) for node in ends}
    apart = {int(node) for ends in (case.evidence.different.left, case.evidence.different.right) for node in ends}
    for root in set(roots.values()):
        nodes = [node for node in roots if roots[node] == root]
        plain = all(len({int(at[node]) for node in nodes} - {-1}) < 2 for at in case.traits.values.values())
        if plain and len(nodes) <= case.max_rows and not set(nodes) & (modelled | apart):
            assert {labels[node] for node in nodes} == {min(nodes)}


def group_edges(evidence):
    groups = {}
    keys = evidence.keys
    for node, hub, key in zip(keys.node.tolist(), keys.hub.tolist(), keys.key.tolist(), strict=True):
        groups.setdefault((hub, key), []).append(node)
    return [pair for group in groups.values() for pair in combinations(group, 2)]


def forest(nodes, edges):
    root = {node: node for node in nodes}
    for left, right in edges:
        if left in root and right in root and root[left] != root[right]:
            gone, kept = root[left], root[right]
            root = {node: kept if at == gone else at for node, at in root.items()}
    return root


def is_connected(nodes, edges, *, among=False):
    every = {*nodes, *(end for edge in edges for end in edge)} if among else nodes
    roots = forest(every, edges)
    return len({roots[node] for node in nodes}) == 1


def connected_values(nodes, firm, numbers):
    """Whether somebody said of all values of a cluster that they are the same."""
    valued = [(("value", numbers[node]), ("node", node)) for node in nodes if numbers[node] >= 0]
    edges = [(("node", one), ("node", other)) for one, other in firm] + valued
    every = {end for edge in edges for end in edge}
    roots = forest(every, edges)
    return len({roots[end] for end in every if end[0] == "value"}) < 2


@pytest.mark.parametrize(
    ("name", "branch"),
    [
        ("甲机械有限公司", ""),
        ("甲机械有限公司上海分公司", "上海"),
        ("甲机械有限公司（上海市）分公司", "上海"),
        ("甲机械上海分公司", "上海"),
        ("甲机械有限公司北京分公司", "北京"),
        ("甲机械有限公司分公司", "?"),
        ("分公司管理顾问有限公司", ""),
    ],
)
def test_a_branch_is_told_by_its_place(name, branch):
    from rollout.match.guards import branch_of

    assert branch_of(name) == branch
