"""Exact matching: what joins rows, what must not, who survives, and that no row is lost."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rollout.mapping.transforms_base import TransformContext
from rollout.match.components import components
from rollout.match.matcher import MatchFiles, Matching, match_rows
from rollout.match.spec import MatchKey, MatchSpec

KEYS = (
    MatchKey(name="uscc", fields=("uscc",)),
    MatchKey(name="name+phone", fields=("name", "phone"), by={"name": "company_match_key"}),
)


@pytest.fixture
def match(tmp_path):
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "1"})

    def run(rows, **spec):
        columns = ("_source_key", "name", "uscc", "phone", "_priority")
        types = [pa.string()] * 4 + [pa.int64()]
        arrays = [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(types)]
        pq.write_table(pa.table(arrays, names=columns), tmp_path / "clean.parquet")
        result = match_rows(
            connection,
            MatchFiles(*(tmp_path / f"{kind}.parquet" for kind in ("clean", "golden", "merges", "review"))),
            Matching(
                fields={name: name for name in ("name", "uscc", "phone")},
                spec=MatchSpec(**{"keys": KEYS, **spec}),
                context=TransformContext(),
            ),
        )
        golden = {row["_golden_key"]: row for row in pq.read_table(tmp_path / "golden.parquet").to_pylist()}
        merges = {
            row["source_key"]: (row["golden_key"], row["rule"])
            for row in pq.read_table(tmp_path / "merges.parquet").to_pylist()
        }
        return result, golden, merges

    yield run
    connection.close()


def test_a_chain_of_keys_is_one_cluster_and_each_row_names_its_rule(match):
    result, golden, merges = match(
        [
            ("a", "甲有限公司", "U1", "1", 1),
            ("b", "甲有限责任公司", "U1", "2", 1),
            ("c", "甲 有限公司", None, "2", 1),
            ("d", "丁有限公司", None, "2", 1),
        ]
    )
    assert (result.golden, result.merged, result.clusters) == (2, 2, 1)
    assert merges == {"b": ("a", "uscc"), "c": ("a", "name+phone")}
    assert golden["a"]["_members"] == 3
    assert golden["d"]["_members"] == 1


def test_missing_parts_and_fillers_join_nothing(match):
    result, _, merges = match(
        [
            ("a", "甲", None, None, 1),
            ("b", "甲", None, None, 1),
            ("c", "丙", "0000000", "+8613800000000", 1),
            ("d", "丙", "0000000", "+8613800000000", 1),
            ("e", None, "xxxx", "5", 1),
            ("f", None, "xxxx", "5", 1),
        ]
    )
    assert (result.merged, merges) == (0, {})


def test_parts_of_a_key_do_not_run_into_each_other(match):
    keys = (MatchKey(name="k", fields=("name", "phone")),)
    assert match([("a", "ab", None, "c", 1), ("b", "a", None, "bc", 1)], keys=keys)[0].merged == 0


def test_the_most_complete_row_survives_and_gaps_are_filled_from_the_best(match):
    rows = [
        ("a", None, "U1", None, 1),
        ("b", "乙", "U1", None, 2),
        ("c", "丙", "U1", None, 1),
        ("d", None, "U1", "9", 3),
    ]
    _, golden, merges = match(rows)
    assert set(merges) == {"a", "b", "d"}
    assert (golden["c"]["name"], golden["c"]["phone"]) == ("丙", "9")
    _, golden, _ = match(rows, fill_gaps=False)
    assert golden["c"]["phone"] is None
    _, golden, _ = match(rows, survivorship="first")
    assert set(golden) == {"a"}


def test_a_value_shared_by_too_many_rows_is_no_key(match):
    rows = [(f"r{at}", f"名{at}", "U1", str(at // 2), 1) for at in range(4)]
    result, _, merges = match(rows, max_cluster_rows=3)
    assert merges == {}
    assert [(finding.id, finding.count) for finding in result.findings] == [("match.key_too_common", 4)]


def test_a_cluster_that_grew_too_large_is_reported_and_left_apart(match):
    rows = [("a", "甲", "U1", "1", 1), ("b", "甲", "U2", "1", 1), ("c", "丙", "U2", "2", 1), ("d", "丙", "U3", "2", 1)]
    result, golden, merges = match(rows, max_cluster_rows=3)
    assert (len(golden), merges) == (4, {})
    assert [(finding.id, finding.count) for finding in result.findings] == [("match.cluster_too_large", 4)]


def test_without_keys_every_row_is_golden(match):
    result, golden, _ = match([("a", "甲", "U", "1", 1), ("b", "甲", "U", "1", 1)], keys=())
    assert (result.golden, set(golden)) == (2, {"a", "b"})


def test_no_rows_at_all(match):
    assert match([])[0].golden == 0


VALUE = st.sampled_from([None, "1", "2", "3"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE, VALUE, st.integers(1, 2)), max_size=12), st.integers(2, 12))
def test_nothing_vanishes_and_merges_point_to_golden_records(tmp_path_factory, rows, largest):
    with duckdb.connect(config={"threads": "1"}) as connection:
        folder = tmp_path_factory.mktemp("match")
        keyed = [(f"k{at}", *row) for at, row in enumerate(rows)]
        columns = ("_source_key", "name", "uscc", "phone", "_priority")
        types = [pa.string()] * 4 + [pa.int64()]
        arrays = [pa.array([row[at] for row in keyed], kind) for at, kind in enumerate(types)]
        pq.write_table(pa.table(arrays, names=columns), folder / "clean.parquet")
        result = match_rows(
            connection,
            MatchFiles(folder / "clean.parquet", folder / "g", folder / "m", folder / "r"),
            Matching(
                fields={name: name for name in ("name", "uscc", "phone")},
                spec=MatchSpec(keys=KEYS, max_cluster_rows=largest),
                context=TransformContext(),
            ),
        )
    golden = pq.read_table(folder / "g").to_pylist()
    merges = pq.read_table(folder / "m").to_pylist()
    kept = [row["_golden_key"] for row in golden]
    gone = [row["source_key"] for row in merges]
    assert sorted(kept + gone) == sorted(row[0] for row in keyed)
    assert {row["golden_key"] for row in merges} <= set(kept)
    assert sum(row["_members"] for row in golden) == len(keyed)
    assert (result.golden, result.merged) == (len(kept), len(gone))


@settings(deadline=None)
@given(st.integers(1, 40), st.data())
def test_components_agree_with_union_find(nodes, data):
    node = st.integers(0, nodes - 1)
    edges = data.draw(st.lists(st.tuples(node, node), max_size=60))
    parent = list(range(nodes))

    def find(at):
        while parent[at] != at:
            at = parent[at]
        return at

    for left, right in edges:
        low, high = sorted((find(left), find(right)))
        parent[high] = low
    ends = np.array(edges, np.int64).reshape(-1, 2)
    assert components(ends[:, 0], ends[:, 1], nodes).tolist() == [find(at) for at in range(nodes)]


def test_a_long_chain_is_done_in_few_rounds():
    chain = np.arange(100_000)
    assert not components(chain[:-1], chain[1:], len(chain)).any()


def test_by_must_name_fields_of_the_key():
    with pytest.raises(ValidationError, match="not in `fields`: phone"):
        MatchKey(name="k", fields=("name",), by={"phone": "text"})
