"""Every decision about a row, by itself."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.load.machine import (
    LANDED,
    RowState,
    after_answer,
    before_create,
    before_update,
    probe,
)
from rollout.model.target import Capabilities, Op, RowResult, RowStatus, TargetRecord

SLOW = Capabilities(call_timeout_s=30, max_commit_delay_s=5, read_your_writes_delay_s=2)
UNIQUE = Capabilities(enforces_unique=True)
CONDITIONAL = Capabilities(conditional_update=True)
VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))


def record(target_id="1", **values):
    return TargetRecord("account", "k", target_id, values)


@pytest.mark.parametrize("status", sorted(set(RowStatus) - {RowStatus.DELETED}), ids=str)
def test_every_answer_becomes_the_state_of_its_name(status):
    assert after_answer(RowResult("k", status)).state == RowState(status.value)


def test_what_is_deleted_is_undone():
    assert after_answer(RowResult("k", RowStatus.DELETED)).state is RowState.UNDONE


@pytest.mark.parametrize(
    ("old", "new", "now", "state"),
    [
        ("a", "b", "a", None),
        ("a", "b", "b", RowState.UNCHANGED),
        ("a", "b", "c", RowState.CONFLICT),
        ("a", "b", None, RowState.CONFLICT),
        (None, "b", None, None),
        ("a", None, "a", None),
        ("a", None, None, RowState.UNCHANGED),
    ],
)
def test_an_update_is_sent_only_where_the_plan_still_holds(old, new, now, state):
    assert before_update({"f": old}, {"f": new}, [record(f=now)], "1").state == state


def test_one_drifted_field_makes_the_row_a_conflict_that_names_it():
    decision = before_update({"f": "a", "g": "a"}, {"f": "b", "g": "b"}, [record(f="a", g="x")], "1")
    assert decision.state is RowState.CONFLICT
    assert "g" in decision.message
    assert "x" not in decision.message.split(":")[1], "values stay out of messages"


def test_a_record_that_is_gone_or_doubled_is_a_conflict():
    assert before_update({}, {"f": "b"}, [], "1").reason_code == "record_gone"
    assert before_update({}, {"f": "b"}, [record("1"), record("2")], "1").reason_code == "duplicate_in_target"
    assert before_update({}, {"f": "b"}, [record("2")], "1").reason_code == "record_replaced"
    assert before_create([record()]).reason_code == "appeared_since_plan"
    assert before_create([]).send


def test_absence_decides_a_create_only_after_all_delays():
    for elapsed_s, state in ((36.9, RowState.UNKNOWN), (37.0, None)):
        decision = probe(Op.CREATE, {"f": "b"}, {}, [], target_id=None, elapsed_s=elapsed_s, capabilities=SLOW)
        assert decision.state == state


def test_absence_decides_at_once_where_the_target_enforces_the_key():
    assert probe(Op.CREATE, {"f": "b"}, {}, [], target_id=None, elapsed_s=0, capabilities=UNIQUE).send


def test_a_record_with_our_key_is_the_one_we_created():
    decision = probe(
        Op.CREATE, {"f": "b"}, {}, [record("7", f="other")], target_id=None, elapsed_s=0, capabilities=SLOW
    )
    assert (decision.state, decision.target_id) == (RowState.CREATED, "7")


def test_an_unlanded_update_waits_for_late_commits_unless_it_is_conditional():
    old, new, now = {"f": "a"}, {"f": "b"}, [record(f="a")]
    assert probe(Op.UPDATE, new, old, now, target_id=None, elapsed_s=36, capabilities=SLOW).state is RowState.UNKNOWN
    assert probe(Op.UPDATE, new, old, now, target_id=None, elapsed_s=37, capabilities=SLOW).send
    assert probe(Op.UPDATE, new, old, now, target_id=None, elapsed_s=0, capabilities=CONDITIONAL).send


@given(old=st.dictionaries(st.sampled_from("fgh"), VALUES), new=st.data(), elapsed_s=st.floats(0, 100))
def test_an_update_intent_is_decided_field_by_field(old, new, elapsed_s):
    fields = sorted(old) or ["f"]
    wanted = {name: new.draw(VALUES) for name in fields}
    held = {name: new.draw(VALUES) for name in fields}
    decision = probe(Op.UPDATE, wanted, old, [record(**held)], target_id=None, elapsed_s=elapsed_s, capabilities=SLOW)
    if held == wanted:
        assert decision.state is RowState.UPDATED
    elif any(held[name] not in (wanted[name], old.get(name)) for name in fields):
        assert decision.state is RowState.CONFLICT
    else:
        assert decision.state is (None if elapsed_s >= 37 else RowState.UNKNOWN)


def test_a_probe_never_claims_what_it_does_not_see():
    """Over every small combination: landed means the new values are there, or the record we made is."""
    values = (None, "a", "b")
    for op, old, new, now in product(Op, values, values, (*values, "gone")):
        current = [] if now == "gone" else [record(f=now)]
        decision = probe(op, {"f": new}, {"f": old}, current, target_id=None, elapsed_s=1e9, capabilities=SLOW)
        if decision.state in LANDED:
            assert current
            assert op is Op.CREATE or now == new
        assert decision.state is not RowState.UNKNOWN, "after all delays everything is decided"
