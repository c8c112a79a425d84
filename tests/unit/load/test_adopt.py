"""Pairing golden records with those that people made, and the row of an adoption."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.load.adopt import adopt_row, ambiguous_row, pair
from rollout.load.merge_base import learned, left_to_people, three_way
from rollout.load.plan import Action, PlannedRow, Reference
from rollout.model.target import TargetRecord

VALUES = st.dictionaries(st.sampled_from("abcde"), st.one_of(st.none(), st.sampled_from("xyz")))
PARENT = Reference("account", "p")


def mark(name, value):
    return "" if value is None else f"{name}={value}"


def adopted(values, theirs, *, references=None, parents=None, ownership=None, deferrable=()):
    return adopt_row(
        "k",
        "g",
        values,
        references or {},
        TargetRecord("account", None, "M1", theirs),
        parent_ids=parents or {},
        fingerprint=mark,
        ownership=ownership or {},
        deferrable=deferrable,
    )


def test_only_what_is_empty_is_filled_and_what_differs_is_listed():
    row = adopted({"a": "x", "b": "y", "c": "z", "d": None}, {"a": "x", "b": None, "c": "typed", "d": "typed"})
    assert (row.action, row.target_id) == (Action.ADOPT, "M1")
    assert (row.new, row.old, row.base) == ({"b": "y"}, {"b": None}, {"b": None})
    assert row.kept == ("c",)
    assert set(row.agreed) == {"a", "c", "d"}


@given(VALUES, VALUES)
def test_the_next_plan_has_nothing_to_do_after_an_adoption(ours, theirs):
    row = adopted(ours, theirs)
    assert all(theirs.get(name) is None for name in row.new), "nothing that people typed is touched"
    held = {**theirs, **row.new}
    base = {**row.agreed, **learned(row.new, held, mark)}
    found = three_way(ours, held, base, mark)
    assert not any((found.changing, found.kept, found.clashing, found.agreed))


@given(VALUES, VALUES)
def test_a_later_change_of_the_source_asks_a_person_about_what_people_typed(ours, theirs):
    row = adopted(ours, theirs)
    found = three_way(dict.fromkeys(ours, "newer"), {**theirs, **row.new}, row.agreed, mark)
    typed = {name for name in ours if theirs.get(name) not in (None, ours[name])}
    assert typed <= set(found.clashing)


def test_fields_of_the_crm_are_not_filled_and_those_of_the_source_are_written_openly():
    row = adopted({"a": "x", "b": "y"}, {"a": None, "b": "typed"}, ownership={"a": "crm", "b": "source"})
    assert (row.new, row.old, row.overwrites, row.kept) == ({"b": "y"}, {"b": "typed"}, ("b",), ())
    assert row.agreed == {"a": left_to_people("a", "x", None, mark)}


def test_a_parent_is_compared_by_its_id_filled_where_there_is_none_and_kept_where_it_is_another():
    same = adopted({}, {"account": "A1"}, references={"account": PARENT}, parents={PARENT: "A1"})
    assert (same.references, same.kept, same.agreed) == ({}, (), {"account": mark("account", "A1")})
    empty = adopted({}, {"account": None}, references={"account": PARENT})
    assert (empty.references, empty.new, empty.old) == ({"account": PARENT}, {}, {"account": None})
    other = adopted({}, {"account": "A9"}, references={"account": PARENT}, parents={PARENT: "A1"})
    assert (other.references, other.kept) == ({}, ("account",))
    later = adopted({}, {"account": None}, references={"account": PARENT}, deferrable={"account"})
    assert (later.references, later.deferred) == ({}, {"account": PARENT})


def test_an_adoption_survives_the_journal():
    row = adopted({"a": "x", "b": "y"}, {"a": None, "b": "typed"}, ownership={"b": "source"})
    assert PlannedRow.from_payload("k", "g", row.action.value, row.reason_code, row.payload()) == row


def test_pairs_are_one_to_one_and_the_rest_is_for_a_person():
    found = pair({"g1": {"M1"}, "g2": {"M2", "M3"}, "g3": {"M4"}, "g4": {"M4"}, "g5": {"M5"}})
    assert found.found == {"g1": "M1", "g5": "M5"}
    assert found.ambiguous == {"g2": ("M2", "M3"), "g3": ("M4",), "g4": ("M4",)}
    assert not pair({})


@given(st.dictionaries(st.sampled_from("ghijkl"), st.sets(st.sampled_from("123456"), min_size=1)))
def test_no_record_is_adopted_twice_and_no_claim_is_lost(claims):
    found = pair(claims)
    assert set(found.found) | set(found.ambiguous) == set(claims)
    assert len(set(found.found.values())) == len(found.found)
    for golden, target_id in found.found.items():
        assert claims[golden] == {target_id}
        assert all(target_id not in ids for other, ids in claims.items() if other != golden)


def test_an_ambiguous_record_names_the_candidates():
    row = ambiguous_row("k", "g", ("M2", "M1"))
    assert (row.action, row.reason_code) == (Action.CONFLICT, "adoption_ambiguous")
    assert "M1, M2" in row.message
