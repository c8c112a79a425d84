"""The three-way plan of one row, and what the plan's hash covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.load.merge_base import learned, three_way
from rollout.load.plan import Action, PlanHash, PlannedRow, Reference, estimate, plan_row
from rollout.model.target import Capabilities, TargetRecord

VALUES = st.dictionaries(st.sampled_from("abcde"), st.one_of(st.none(), st.sampled_from("xyz")))
PARENT = Reference("account", "p")


def mark(name, value):
    return "" if value is None else f"{name}={value}"


def planned(values, current=None, base=None, references=None, parents=None):
    records = [] if current is None else [TargetRecord("account", "k", "1", current)]
    return plan_row(
        "k",
        "g",
        values,
        references or {},
        current=records,
        base=None if base is None else learned(base, base, mark),
        parent_ids=parents or {},
        fingerprint=mark,
    )


def test_a_new_record_is_created_with_the_values_it_has():
    row = planned({"a": "x", "b": None})
    assert (row.action, row.new) == (Action.CREATE, {"a": "x"})


def test_only_differing_fields_are_updated_with_their_old_values():
    row = planned({"a": "x", "b": "y"}, current={"a": "x", "b": "z", "c": "theirs"})
    assert (row.action, row.new, row.old) == (Action.UPDATE, {"b": "y"}, {"b": "z"})


def test_a_value_the_source_no_longer_has_is_cleared_where_it_is_ours():
    row = planned({"a": None}, current={"a": "x"}, base={"a": "x"})
    assert (row.action, row.new) == (Action.UPDATE, {"a": None})


def test_people_keep_what_they_typed_where_the_source_did_not_change():
    row = planned({"a": "x", "b": "new"}, current={"a": "typed", "b": "old"}, base={"a": "x", "b": "old"})
    assert (row.action, row.new, row.kept) == (Action.UPDATE, {"b": "new"}, ("a",))


def test_a_field_that_both_changed_is_a_conflict():
    row = planned({"a": "new"}, current={"a": "typed"}, base={"a": "old"})
    assert (row.action, row.reason_code) == (Action.CONFLICT, "changed_on_both_sides")


def test_a_reference_to_another_parent_is_an_update_with_the_parent_s_key():
    row = planned({}, current={"account": "A1"}, references={"account": PARENT}, parents={PARENT: "A2"})
    assert (row.action, row.references, row.old) == (Action.UPDATE, {"account": PARENT}, {"account": "A1"})
    same = planned({}, current={"account": "A2"}, references={"account": PARENT}, parents={PARENT: "A2"})
    assert same.action is Action.UNCHANGED


def test_a_reference_to_a_parent_without_an_id_yet_is_an_update():
    row = planned({}, current={"account": None}, references={"account": PARENT}, base={"account": None})
    assert (row.action, row.references, row.new) == (Action.UPDATE, {"account": PARENT}, {})


def test_a_reference_that_the_source_no_longer_has_is_cleared():
    row = planned({"account": None}, current={"account": "A1"}, base={"account": "A1"})
    assert (row.action, row.new, row.references) == (Action.UPDATE, {"account": None}, {})


def test_what_the_target_made_of_our_value_is_not_sent_again_nor_taken_for_a_person_s():
    base = learned({"a": "long text", "b": None}, {"a": "long", "b": "default"}, mark)
    same = three_way({"a": "long text", "b": None}, {"a": "long", "b": "default"}, base, mark)
    assert (same.changing, same.kept, same.clashing) == ({}, [], [])
    newer = three_way({"a": "other", "b": None}, {"a": "long", "b": "default"}, base, mark)
    assert newer.changing == {"a": "other"}


def test_a_value_both_agreed_on_becomes_the_base():
    base = learned({"a": "x"}, {"a": "x"}, mark)
    agreed = three_way({"a": "y"}, {"a": "y"}, base, mark)
    assert agreed.agreed == {"a": mark("a", "y")}
    back = three_way({"a": "x"}, {"a": "y"}, {**base, **agreed.agreed}, mark)
    assert back.changing == {"a": "x"}, "the source's return is the source's change"


@given(VALUES, VALUES, VALUES, VALUES)
def test_every_field_is_set_kept_clashing_agreed_or_left_and_nothing_typed_is_overwritten(ours, theirs, sent, stored):
    base = learned(sent, stored, mark)
    found = three_way(ours, theirs, base, mark)
    parts = [set(found.changing), set(found.kept), set(found.clashing), set(found.agreed)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    for name in ours:
        known = name in sent
        if theirs.get(name) == ours[name]:
            assert name not in set().union(*parts[:3])
        elif name in found.changing:
            assert not known or theirs.get(name) == stored.get(name), "a field that people changed is not set"
        elif name not in found.kept and name not in found.clashing:
            assert known
            assert (sent[name], stored.get(name)) == (ours[name], theirs.get(name))


@given(VALUES, VALUES, st.one_of(st.none(), VALUES))
def test_a_row_survives_the_journal(ours, theirs, base):
    row = planned(ours, current=theirs, base=base, references={"account": PARENT}, parents={PARENT: "A1"})
    assert PlannedRow.from_payload("k", "g", row.action.value, row.reason_code, row.payload()) == row


def test_the_hash_covers_inputs_order_identity_action_and_content():
    def digest(inputs=b"i", rows=(("k", "g", "create", "", "d"), ("l", "h", "create", "", "d")), entity="account"):
        found = PlanHash(inputs)
        found.add(entity, rows)
        return found.hexdigest()

    different = [
        digest(),
        digest(inputs=b"j"),
        digest(entity="contact"),
        digest(rows=(("l", "h", "create", "", "d"), ("k", "g", "create", "", "d"))),
        digest(rows=(("k", "g", "update", "", "d"), ("l", "h", "create", "", "d"))),
        digest(rows=(("k", "g", "create", "", "e"), ("l", "h", "create", "", "d"))),
        digest(rows=(("k", "x", "create", "", "d"), ("l", "h", "create", "", "d"))),
        digest(rows=(("k", "g", "create", "r", "d"), ("l", "h", "create", "", "d"))),
        digest(rows=(("k", "g", "create", "", "d"),)),
    ]
    assert len(set(different)) == len(different)
    assert digest() == digest()


def test_the_estimate_counts_calls_and_obeys_the_rate():
    rows = {"account": (250, 100), "contact": (1, 0)}
    free = estimate(rows, batch_rows=100, concurrency=4, call_s=0.1, capabilities=Capabilities(enforces_unique=True))
    assert free.calls == 2 * 3 + 3 * 1 + 2 * 1
    limited = Capabilities(rate_per_s=2)
    slow = estimate(rows, batch_rows=100, concurrency=4, call_s=0.1, capabilities=limited)
    assert slow.calls == 3 * 3 + 3 * 1 + 3 * 1
    assert slow.seconds == 7.5
