"""The three-way plan of one row, and what the plan's hash covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.load.plan import Action, PlanHash, PlannedRow, Reference, estimate, plan_row, three_way
from rollout.model.target import Capabilities, TargetRecord

VALUES = st.dictionaries(st.sampled_from("abcde"), st.one_of(st.none(), st.sampled_from("xyz")))
PARENT = Reference("account", "p")


def planned(values, current=None, base=None, references=None, parents=None):
    records = [] if current is None else [TargetRecord("account", "k", "1", current)]
    return plan_row("k", "g", values, references or {}, current=records, base=base, parent_ids=parents or {})


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


@given(VALUES, VALUES, st.one_of(st.none(), VALUES))
def test_every_field_is_set_kept_or_clashing_and_nothing_typed_is_overwritten(ours, theirs, base):
    changing, kept, clashing = three_way(ours, theirs, base)
    parts = [set(changing), set(kept), set(clashing)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) == {name for name in ours if theirs.get(name) != ours[name]}
    if base is not None:
        for name in changing:
            assert theirs.get(name) == base.get(name), "a field that people changed is not set"


@given(VALUES, VALUES, st.one_of(st.none(), VALUES))
def test_a_row_survives_the_journal(ours, theirs, base):
    row = planned(ours, current=theirs, base=base, references={"account": PARENT}, parents={PARENT: "A1"})
    assert PlannedRow.from_payload("k", "g", row.action.value, row.reason_code, row.payload()) == row


def test_the_hash_covers_inputs_order_identity_action_and_content():
    def digest(inputs=b"i", rows=(("k", "create", "d"), ("l", "create", "d")), entity="account"):
        found = PlanHash(inputs)
        found.add(entity, rows)
        return found.hexdigest()

    different = [
        digest(),
        digest(inputs=b"j"),
        digest(entity="contact"),
        digest(rows=(("l", "create", "d"), ("k", "create", "d"))),
        digest(rows=(("k", "update", "d"), ("l", "create", "d"))),
        digest(rows=(("k", "create", "e"), ("l", "create", "d"))),
        digest(rows=(("k", "create", "d"),)),
    ]
    assert len(set(different)) == len(different)
    assert digest() == digest()


def test_the_estimate_counts_calls_and_obeys_the_rate():
    capabilities = Capabilities(rate_per_s=2)
    cost = estimate(
        {"account": 250, "contact": 1}, batch_rows=100, concurrency=4, call_s=0.1, capabilities=capabilities
    )
    assert cost.calls == 2 * (3 + 1)
    assert cost.seconds == 4.0
