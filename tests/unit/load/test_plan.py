"""The three-way plan of one row, and what the plan's hash covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.load.merge_base import learned, left_to_people, three_way
from rollout.load.plan import Action, PlanHash, PlannedRow, Reference, plan_row
from rollout.model.target import TargetRecord

VALUES = st.dictionaries(st.sampled_from("abcde"), st.one_of(st.none(), st.sampled_from("xyz")))
PARENT = Reference("account", "p")


def mark(name, value):
    return "" if value is None else f"{name}={value}"


def planned(values, current=None, base=None, references=None, parents=None, deferrable=()):
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
        deferrable=deferrable,
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
            untouched = stored.get(name) if known else None
            assert theirs.get(name) == untouched, "a field that people changed, or filled before us, is not set"
        elif name in found.agreed:
            assert not known
            assert ours[name] is None
        elif name not in found.kept and name not in found.clashing:
            assert known
            assert (sent[name], stored.get(name)) == (ours[name], theirs.get(name))


@given(VALUES, VALUES)
def test_what_was_left_to_people_is_at_rest_until_a_side_changes_and_then_a_person_is_asked(ours, theirs):
    base = {name: left_to_people(name, value, theirs.get(name), mark) for name, value in ours.items()}
    at_rest = three_way(ours, theirs, base, mark)
    assert (at_rest.changing, at_rest.kept, at_rest.clashing) == ({}, [], [])
    newer = three_way(dict.fromkeys(ours, "newer"), theirs, base, mark)
    assert (newer.changing, newer.kept, newer.clashing) == ({}, [], sorted(ours))
    retyped = three_way(ours, dict.fromkeys(ours, "typed"), base, mark)
    assert (retyped.changing, retyped.kept) == ({}, sorted(ours))


@given(VALUES, VALUES, VALUES, VALUES)
def test_a_field_belongs_to_whom_the_project_says(ours, theirs, sent, stored):
    base = learned(sent, stored, mark)
    crm = three_way(ours, theirs, base, mark, dict.fromkeys(ours, "crm"))
    assert not any((crm.changing, crm.clashing, crm.agreed))
    assert crm.kept == sorted(name for name in ours if ours[name] != theirs.get(name))
    source = three_way(ours, theirs, base, mark, dict.fromkeys(ours, "source"))
    assert not source.kept
    assert not source.clashing
    shared = three_way(ours, theirs, base, mark)
    assert set(source.changing) == {*shared.changing, *shared.kept, *shared.clashing} | (
        set(source.overwrites) - {*shared.kept, *shared.clashing}
    )
    assert {*shared.kept, *shared.clashing} <= set(source.overwrites), "what gives way is told"


def test_a_field_that_people_filled_before_we_ever_wrote_it_is_theirs_until_a_person_decides():
    base = learned({"a": "x"}, {"a": "x"}, mark)
    found = three_way(
        {"a": "x", "b": "ours", "c": None, "d": "new"}, {"a": "x", "b": "typed", "c": "typed"}, base, mark
    )
    assert (found.clashing, found.changing, found.kept) == (["b"], {"d": "new"}, [])
    assert found.agreed == {"c": left_to_people("c", None, "typed", mark)}


def test_a_record_that_the_journal_does_not_know_is_overwritten_openly():
    row = planned({"a": "x", "b": "y"}, current={"a": "typed"})
    assert (row.action, row.new, row.overwrites) == (Action.UPDATE, {"a": "x", "b": "y"}, ("a",))


def test_a_conflict_says_what_an_update_would_set():
    row = planned({"a": "new", "b": "new"}, current={"a": "typed", "b": "old"}, base={"a": "old", "b": "old"})
    assert (row.action, row.clashing) == (Action.CONFLICT, ("a",))
    assert (row.new, row.old) == ({"a": "new", "b": "new"}, {"a": "typed", "b": "old"})
    assert row.base == {"a": mark("a", "old"), "b": mark("b", "old")}


def test_a_parent_that_comes_later_is_set_in_a_second_step():
    row = planned({"a": "x"}, references={"parent": PARENT}, deferrable={"parent"})
    assert (row.action, row.references, row.deferred) == (Action.CREATE, {}, {"parent": PARENT})
    known = planned({"a": "x"}, references={"parent": PARENT}, parents={PARENT: "A1"}, deferrable={"parent"})
    assert (known.references, known.deferred) == ({"parent": PARENT}, {})
    update = planned(
        {}, current={"parent": None}, base={"parent": None}, references={"parent": PARENT}, deferrable={"parent"}
    )
    assert (update.action, update.references, update.deferred) == (Action.UPDATE, {}, {"parent": PARENT})
    same = planned(
        {}, current={"parent": "A1"}, references={"parent": PARENT}, parents={PARENT: "A1"}, deferrable={"parent"}
    )
    assert (same.action, same.deferred) == (Action.UNCHANGED, {})


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
