"""Every decision about rows of an undo and about adoptions, by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.load import machine_adopt, machine_undo
from rollout.load.isolation import Isolation, batches_of_resent, halves, verdict
from rollout.load.machine import SEND, RowState, unless_late
from rollout.load.plan import Action, PlannedRow
from rollout.load.work import Work
from rollout.model.target import Capabilities, RowResult, RowStatus, TargetRecord

VALUES = st.one_of(st.none(), st.sampled_from(["before", "ours", "theirs"]))
FIELDS = st.dictionaries(st.sampled_from("fgh"), VALUES)


def record(key="k", **values):
    return TargetRecord("account", key, "1", values)


def triple(draw):
    """(values to go back to, what we wrote, what is held) of the same fields."""
    fields = sorted(draw.draw(FIELDS)) or ["f"]
    return tuple({name: draw.draw(VALUES) for name in fields} for _ in range(3))


# Deleting


def test_only_an_untouched_record_is_deleted():
    old = {"f": "a", "g": None}
    assert machine_undo.look_at_deletion("k", old, record(f="a", g=None), "1", is_sent=False).send
    edited = machine_undo.look_at_deletion("k", old, record(f="a", g="x"), "1", is_sent=False)
    assert (edited.state, edited.reason_code) == (RowState.KEPT, "edited_since")
    assert "g" in edited.message
    assert "x" not in edited.message.split(":")[1], "values stay out of messages"
    assert machine_undo.look_at_deletion("k", old, record("other", f="a", g=None), "1", is_sent=False).reason_code == (
        "edited_since"
    )


def test_a_record_that_is_gone_is_undone_whoever_did_it():
    assert machine_undo.look_at_deletion("k", {}, None, "1", is_sent=False).reason_code == "already_gone"
    assert machine_undo.look_at_deletion("k", {}, None, "1", is_sent=True) == (
        RowState.UNDONE,
        "1",
        None,
        "",
        None,
        None,
    )


def test_a_deletion_is_not_repeated_before_the_first_can_no_longer_be_carried_out():
    slow = Capabilities(call_timeout_s=30, max_commit_delay_s=5, read_your_writes_delay_s=2)
    assert unless_late(SEND, elapsed_s=36, capabilities=slow).state is RowState.UNKNOWN
    assert unless_late(SEND, elapsed_s=37, capabilities=slow).send
    assert unless_late(SEND, elapsed_s=0, capabilities=Capabilities(conditional_update=True)).send


# Going back


@given(draw=st.data(), releases=st.booleans())
def test_a_field_goes_back_only_from_what_we_wrote(draw, releases):
    new, old, held = triple(draw)
    decision = machine_undo.look_at_return("k", new, old, record(**held), releases=releases)
    for name in new:
        sent = decision.values is not None and name in decision.values
        assert sent is (held[name] == old[name] != new[name]) or not decision.send
        if sent:
            assert decision.values[name] == new[name]
    if not decision.send:
        assert not any(held[name] == old[name] != new[name] for name in new)


@given(draw=st.data(), releases=st.booleans())
def test_after_a_crash_a_look_tells_what_the_call_did(draw, releases):
    """Whatever was sent and landed: looking again comes to an end, and claims nothing that is not there."""
    new, old, held = triple(draw)
    before = machine_undo.look_at_return("k", new, old, record(**held), releases=releases)
    if not before.send:
        return
    landed = record(None if releases else "k", **{**held, **before.values})
    after = machine_undo.look_at_return("k", new, old, landed, releases=releases)
    assert after.state in (RowState.UNDONE, RowState.CONFLICT)
    assert after == machine_undo.after_return("k", new, before.values, landed, releases=releases)
    others = {name for name in new if held[name] not in (new[name], old[name])}
    assert (after.reason_code in ("partly_undone", "changed_since_load")) is bool(others)
    assert after.settled is None or after.settled == new.keys() - others


def test_what_the_target_makes_of_a_value_is_not_a_person_s_edit():
    decision = machine_undo.after_return("k", {"f": "long"}, {"f": "long"}, record(f="lo"), releases=False)
    assert (decision.state, decision.reason_code) == (RowState.UNDONE, "stored_differently")


def test_a_key_that_does_not_go_is_noticed():
    decision = machine_undo.after_return("k", {}, {}, record(), releases=True)
    assert (decision.state, decision.reason_code) == (RowState.KEPT, "key_not_released")


def test_what_is_not_ours_any_more_is_left_alone():
    for releases in (True, False):
        assert machine_undo.look_at_return("k", {}, {}, None, releases=releases).reason_code == "record_gone"
        assert machine_undo.look_at_return("k", {}, {}, record("other"), releases=releases).reason_code == (
            "record_replaced"
        )
    assert machine_undo.look_at_return("k", {}, {}, record(None), releases=False).reason_code == "record_replaced"
    assert machine_undo.look_at_return("k", {}, {}, record(None), releases=True).state is RowState.UNDONE


# Adoption


@given(draw=st.data())
def test_only_empty_fields_are_filled(draw):
    ours, _, held = triple(draw)
    new = {name: value for name, value in ours.items() if value is not None}
    decision = machine_adopt.look("k", new, dict.fromkeys(new), record(None, **held))
    assert decision.send
    assert decision.values == {name: value for name, value in new.items() if held[name] is None}
    landed = record("k", **{**held, **decision.values})
    after = machine_adopt.after("k", new, decision.values, landed)
    assert after.state is RowState.ADOPTED
    assert after == machine_adopt.look("k", new, dict.fromkeys(new), landed)


def test_a_key_that_is_not_taken_is_noticed():
    assert machine_adopt.after("k", {}, {}, record(None)).reason_code == "key_not_stored"
    assert machine_adopt.look("k", {}, {}, record("other")).reason_code == "record_replaced"
    assert machine_adopt.look("k", {}, {}, None).reason_code == "record_gone"


# Poison


def work(attempt=1, action=Action.CREATE, key="k"):
    return Work(key, PlannedRow(key, "g", action), "", attempt, {})


def test_no_row_is_blamed_while_the_target_answers_to_nothing():
    silent = Isolation(rows=200, max_attempts=5)
    assert not silent.blames(work())
    assert silent.blames(work(attempt=15)), "it fails run after run, and its record can be read"
    silent.note(answered=True)
    assert silent.blames(work())


def test_failures_in_a_row_are_in_vain_sooner_than_a_search_row_by_row():
    isolation = Isolation(rows=200, max_attempts=5)
    calls = 0
    while not isolation.is_in_vain:
        isolation.note(answered=False)
        calls += 1
    assert calls < 20
    isolation.note(answered=True)
    assert not isolation.is_in_vain


def test_halves_are_the_whole():
    for rows in range(2, 9):
        works = [work(key=str(n)) for n in range(rows)]
        left, right = halves(works)
        assert [*left, *right] == works
        assert left
        assert right


def test_rows_that_failed_often_are_sent_in_smaller_batches():
    sizes = [
        [len(batch) for batch in batches_of_resent([work(attempt=attempt, key=str(n)) for n in range(8)])]
        for attempt in (1, 2, 3, 4, 5, 9)
    ]
    assert sizes == [[8], [8], [4, 4], [2] * 4, [1] * 8, [1] * 8]
    assert batches_of_resent([]) == []


def test_what_is_not_taken_back_stays_and_what_is_not_loaded_is_rejected():
    assert verdict(work(), "500").state is RowState.REJECTED
    assert verdict(work(action=Action.DELETE), "500").state is RowState.KEPT
    changed = work()
    changed.answer = RowResult("k", RowStatus.CONFLICT, "1", "version_changed")
    assert (verdict(changed, "").state, verdict(changed, "").reason_code) == (RowState.CONFLICT, "version_changed")
