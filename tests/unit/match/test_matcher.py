"""Matching as a whole: the order of rows is chance, more rows leave the rest alone, each field survives by its rule."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.mapping.transforms_base import TransformContext
from rollout.match.matcher import PAIR_SCHEMA, MatchFiles, Matching, match_rows
from rollout.match.spec import Guards, MatchKey, MatchModel, MatchSpec

FIELDS = ("name", "uscc", "phone", "owner", "changed")
KEYS = (MatchKey(name="uscc", fields=("uscc",)), MatchKey(name="name+phone", fields=("name", "phone")))
MODEL = MatchModel.model_validate({"comparisons": {"name": "exact"}, "merge_above": 0.99, "review_above": 0.9})


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(config={"threads": "1"}) as found:
        yield found


@pytest.fixture
def run(connection, tmp_path):
    return lambda rows, **rules: matched(connection, tmp_path, rows, **rules)


def matched(connection, folder: Path, rows, *, pairs=(), decided=(), codes=("uscc",), **spec):
    """Match rows {key: values}; pairs are {(key, key): (probability, why)}. Answers result, golden, merges, queue."""
    columns = {"_source_key": list(rows), "_priority": [values.get("_priority", 1) for values in rows.values()]}
    columns |= {name: pa.array([values.get(name) for values in rows.values()], pa.string()) for name in FIELDS}
    pq.write_table(pa.table(columns), folder / "clean")
    at = {key: number for number, key in enumerate(rows)}
    lines = [
        (*sorted((at[one], at[other])), "model", 9.0 + probability, probability, why)
        for (one, other), (probability, why) in dict(pairs).items()
    ]
    table = pa.table(
        [
            pa.array(column, kind.type)
            for column, kind in zip(zip(*lines, strict=True) if lines else [[]] * 6, PAIR_SCHEMA, strict=True)
        ],
        schema=PAIR_SCHEMA,
    )
    result = match_rows(
        connection,
        MatchFiles(*(folder / name for name in ("clean", "golden", "merges", "review"))),
        Matching(
            fields={name: name for name in FIELDS},
            spec=MatchSpec(**{"keys": KEYS, "model": MODEL, **spec}),
            context=TransformContext(),
            codes=codes,
            decided=tuple(decided),
        ),
        table,
    )
    golden = {row["_golden_key"]: row for row in pq.read_table(folder / "golden").to_pylist()}
    merges = {row["source_key"]: row for row in pq.read_table(folder / "merges").to_pylist()}
    return result, golden, merges, pq.read_table(folder / "review").to_pylist()


def test_a_model_s_pair_is_merged_reviewed_or_left_by_its_thresholds(run):
    rows = {key: {"name": key} for key in "abcdef"}
    why = '[["name", "exact.value.same", 9.0]]'
    _, _, merges, queue = run(rows, pairs={("a", "b"): (0.995, why), ("c", "d"): (0.95, why)})
    assert {key: (line["golden_key"], line["rule"], line["why"]) for key, line in merges.items()} == {
        "b": ("a", "model", why)
    }
    assert [(line["left_key"], line["right_key"], line["reasons"], line["probability"]) for line in queue] == [
        ("c", "d", "doubt", 0.95)
    ]


def test_guards_leave_to_people_what_they_name(run):
    rows = {
        "a": {"name": "甲", "phone": "1", "owner": "li"},
        "b": {"name": "甲", "phone": "1", "owner": "wang"},
        "c": {"name": "乙有限公司", "uscc": "U1"},
        "d": {"name": "乙有限公司上海分公司", "uscc": "U1"},
        "e": {"name": "丙", "uscc": "U3"},
        "f": {"name": "丁", "uscc": "U4"},
        "g": {"name": "戊", "phone": "9"},
        "h": {"name": "己", "phone": "9"},
    }
    guards = Guards(across=("owner",), branches="name", never_alone=("phone",))
    keys = (*KEYS, MatchKey(name="phone", fields=("phone",)))
    phone = '[["phone", "phone.phone.same", 12.0], ["name", "exact.value.other", -2.0]]'
    result, _, merges, queue = run(
        rows, pairs={("e", "f"): (0.999, "[]"), ("g", "h"): (0.999, phone)}, guards=guards, keys=keys
    )
    assert (result.merged, merges, result.review) == (0, {}, 4)
    assert {(line["left_key"], line["right_key"]): line["reasons"] for line in queue} == {
        ("a", "b"): "across.owner",
        ("c", "d"): "branch",
        ("e", "f"): "alone,code.uscc",
        ("g", "h"): "alone",
    }


def test_a_director_s_word_joins_across_owners(run):
    rows = {"a": {"uscc": "U1", "owner": "li"}, "b": {"uscc": "U1", "owner": "wang"}}
    guards = Guards(across=("owner",))
    assert run(rows, guards=guards)[2] == {}
    _, _, merges, queue = run(rows, guards=guards, decided=[("a", "b", "same")])
    assert (merges["b"]["golden_key"], merges["b"]["rule"], queue) == ("a", "decision", [])
    _, _, merges, queue = run(rows, decided=[("a", "b", "different")])
    assert (merges, queue) == ({}, [])


def test_a_word_about_rows_that_are_gone_or_kept_apart_changes_nothing(run):
    rows = {"a": {"uscc": "U1"}, "b": {"uscc": "U1"}}
    assert set(run(rows, decided=[("a", "gone", "different")])[2]) == {"b"}
    result, _, merges, _ = run(rows, apart=("a",), decided=[("a", "b", "same")])
    assert merges == {}
    assert [finding.id for finding in result.findings] == ["match.decisions_contradict"]


def test_each_field_survives_by_its_own_rule(run):
    rows = {
        "a": {"uscc": "U1", "name": "甲", "phone": "1", "owner": "li", "changed": "2024-01-01", "_priority": 2},
        "b": {"uscc": "U1", "name": "甲公司", "owner": "wang", "changed": "2025-01-01", "_priority": 1},
        "c": {"uscc": "U1", "phone": "3", "owner": "wang", "changed": None, "_priority": 3},
    }
    chosen = {"name": "longest", "phone": "newest", "owner": "commonest"}
    _, golden, _, _ = run(rows, fields=chosen, newest_by="changed")
    assert set(golden) == {"a"}
    record = golden["a"]
    assert (record["name"], record["phone"], record["owner"], record["_members"]) == ("甲公司", "1", "wang", 3)
    _, golden, _, _ = run(rows, fields={"phone": "priority", "name": "priority"}, newest_by="changed", fill_gaps=False)
    assert (golden["a"]["name"], golden["a"]["phone"]) == ("甲公司", "1")


VALUE = st.sampled_from([None, "1", "2", "3"])
ROW = st.fixed_dictionaries({"name": VALUE, "uscc": VALUE, "phone": VALUE, "owner": VALUE})
PROBABILITY = st.sampled_from([0.92, 0.995, 0.999])
GUARDS = Guards(across=("owner",))


@st.composite
def cases(draw):
    rows = {f"k{at}": values for at, values in enumerate(draw(st.lists(ROW, min_size=2, max_size=8)))}
    ends = st.lists(st.sampled_from(sorted(rows)), min_size=2, max_size=2, unique=True).map(
        lambda two: tuple(sorted(two))
    )
    pairs = draw(st.dictionaries(ends, PROBABILITY.map(lambda at: (at, "[]")), max_size=6))
    words = draw(st.dictionaries(ends, st.sampled_from(["same", "different"]), max_size=2))
    return rows, pairs, [(*pair, verdict) for pair, verdict in words.items()]


def shown(outcome):
    _, golden, merges, queue = outcome
    return sorted(golden.values(), key=str), sorted(merges.values(), key=str), sorted(queue, key=str)


@settings(max_examples=20, deadline=None)
@given(case=cases(), data=st.data())
def test_the_order_of_rows_changes_nothing_and_no_row_is_lost(connection, tmp_path_factory, case, data):
    rows, pairs, decided = case
    folder = tmp_path_factory.mktemp("match")
    first = matched(connection, folder, rows, pairs=pairs, decided=decided, guards=GUARDS)
    shuffled = {key: rows[key] for key in data.draw(st.permutations(list(rows)))}
    assert shown(matched(connection, folder, shuffled, pairs=pairs, decided=decided, guards=GUARDS)) == shown(first)
    result, golden, merges, _ = first
    assert sorted([*golden, *merges]) == sorted(rows)
    assert (result.golden, result.merged) == (len(golden), len(merges))
    assert sum(row["_members"] for row in golden.values()) == len(rows)
    assert {line["golden_key"] for line in merges.values()} <= set(golden)


@settings(max_examples=20, deadline=None)
@given(case=cases(), more=st.lists(ROW, min_size=1, max_size=3))
def test_more_rows_change_no_record_that_they_do_not_touch(connection, tmp_path_factory, case, more):
    rows, pairs, decided = case
    folder = tmp_path_factory.mktemp("match")
    _, before, merges_before, _ = matched(connection, folder, rows, pairs=pairs, decided=decided, guards=GUARDS)
    # Values of their own: what they touch, they touch through the one row that they are paired with.
    new = {
        f"n{at}": {name: value and f"new{value}" for name, value in values.items()} for at, values in enumerate(more)
    }
    _, after, merges_after, _ = matched(
        connection,
        folder,
        {**rows, **new},
        pairs={**pairs, ("k0", "n0"): (0.999, "[]")},
        decided=decided,
        guards=GUARDS,
    )
    touched = component("k0", rows, pairs, decided)
    kept = [key for key in before if key not in touched]
    assert {key: after.get(key) for key in kept} == {key: before[key] for key in kept}
    gone = [key for key in merges_before if key not in touched]
    assert {key: merges_after.get(key) for key in gone} == {key: merges_before[key] for key in gone}


def component(start, rows, pairs, decided):
    """All rows that any evidence connects with one."""
    edges = [pair[:2] for pair in (*pairs, *decided)]
    for one in rows:
        for other in rows:
            same = [name for name in FIELDS[:3] if rows[one][name] is not None and rows[one][name] == rows[other][name]]
            if "uscc" in same or {"name", "phone"} <= set(same):
                edges.append((one, other))
    found = {start}
    while more := {end for edge in edges if set(edge) & found for end in edge} - found:
        found |= more
    return found
