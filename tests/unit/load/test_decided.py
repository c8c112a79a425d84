"""What a person's decision makes of a planned row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.load.decided import settle_fields, skip_row
from rollout.load.merge_base import learned, three_way
from rollout.load.plan import Action, plan_row
from rollout.model.choice import BY_FIELD, Choice
from rollout.model.target import TargetRecord

SENT = {"a": "1", "b": "1", "c": "1"}
KEEP, USE = Choice.KEEP_CRM, Choice.USE_LEGACY


def mark(name, value):
    return f"{name}={value}"


def compared(ours, theirs):
    """A row planned against what people typed, after a first load of ones."""
    record = TargetRecord("account", "k", "t1", theirs)
    base = learned(SENT, SENT, mark)
    row = plan_row("k", "g", ours, {}, current=[record], base=base, parent_ids={}, fingerprint=mark)
    return row, base


def settled(row, by_field):
    return settle_fields(row, by_field, parent_ids={}, fingerprint=mark)


def test_each_field_goes_where_the_person_said():
    row, _ = compared({"a": "ours", "b": "ours", "c": "ours"}, {"a": "typed", "b": "typed", "c": "1"})
    assert (row.action, row.clashing) == (Action.CONFLICT, ("a", "b"))
    done = settled(row, {"a": KEEP, "b": USE})
    assert (done.action, done.new, done.old) == (Action.UPDATE, {"b": "ours", "c": "ours"}, {"b": "typed", "c": "1"})
    assert (done.kept, done.overwrites, done.clashing, done.reason_code) == (("a",), ("b",), (), None)


def test_a_field_without_a_decision_stays_a_conflict():
    row, _ = compared({"a": "ours", "b": "ours"}, {"a": "typed", "b": "typed"})
    done = settled(row, {"a": USE})
    assert (done.action, done.clashing, done.reason_code) == (Action.CONFLICT, ("b",), "changed_on_both_sides")


def test_an_update_that_the_target_refused_can_be_left():
    row, _ = compared({"a": "ours", "b": "1"}, {"a": "1", "b": "1"})
    done = settled(row, {"a": KEEP})
    assert (done.action, done.new, done.old, done.kept) == (Action.UNCHANGED, {}, {}, ("a",))


@given(
    ours=st.fixed_dictionaries({name: st.sampled_from("12") for name in SENT}),
    theirs=st.fixed_dictionaries({name: st.sampled_from("13") for name in SENT}),
    by_field=st.fixed_dictionaries({name: st.sampled_from(BY_FIELD) for name in SENT}),
)
def test_what_is_settled_is_settled_for_good(ours, theirs, by_field):
    row, base = compared(ours, theirs)
    done = settled(row, by_field)
    assert done.action is not Action.CONFLICT
    assert not {name for name in done.new if by_field[name] is KEEP}
    held = {**theirs, **done.new}
    after = {**base, **done.agreed, **learned(done.new, done.new, mark)}
    again = three_way(ours, held, after, mark)
    assert (again.changing, again.clashing) == ({}, [])


@pytest.mark.parametrize(
    ("choice", "code"), [(Choice.SKIP, "skipped_by_person"), (Choice.ABANDON, "abandoned_by_person")]
)
def test_a_row_that_is_left_out_says_who_wants_it_so(choice, code):
    row = skip_row("k", "g", choice)
    assert (row.action, row.reason_code, row.new) == (Action.SKIP, code, {})
