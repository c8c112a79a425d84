"""What a record's lines in the journal become when a load is taken back."""

from __future__ import annotations

import pytest

from rollout.load.plan import Action
from rollout.load.undo import Deed, History, UndoScope, Written, later_plans, linked, undo_row, untouched
from rollout.model.target import TargetRecord

LOAD, DELTA, RETRY, UNDO = "load", "delta", "retry", "undo"


def created(**after):
    return Written(LOAD, Deed.CREATED, "M1", after=after)


def adopted(before, **new):
    return Written(LOAD, Deed.ADOPTED, "M1", frozenset(new), before, {**before, **new})


def updated(before, plan=DELTA, *, base=None, side=None, **new):
    return Written(plan, Deed.UPDATED, "M1", frozenset(new), before, {**before, **new, **(side or {})}, base or {})


def restored(before, *, plans, **new):
    return Written(UNDO, Deed.RESTORED, "M1", frozenset(new), before, new, took_back=frozenset(plans))


def row(lines, now, *plans, persons=False, **options):
    scope = UndoScope(
        frozenset(plans or {LOAD, DELTA}),
        through=options.pop("through", False),
        can_delete=options.pop("can_delete", True),
        can_tell_links=options.pop("can_tell_links", True),
    )
    record = None if now is None else TargetRecord("account", "k", "M1", now)
    return undo_row(History("k", "s:1", tuple(lines)), scope, record, is_persons=persons)


def test_what_was_created_and_untouched_is_deleted():
    found = row([created(name="A", level="C")], {"name": "A", "level": "C"})  # level: a default of the target's
    assert (found.action, found.target_id, found.old) == (Action.DELETE, "M1", {"name": "A", "level": "C"})


def test_a_value_that_the_target_truncated_is_no_edit():
    lines = [created(name="A", note="long te"), updated({"name": "A", "note": "long te"}, note="another")]
    assert row(lines, {"name": "A", "note": "another"}).action is Action.DELETE


@pytest.mark.parametrize(
    "now", [{"name": "A", "phone": "2"}, {"name": "A", "phone": None}, {"name": "A", "phone": "1", "remark": "typed"}]
)
def test_what_people_edited_is_kept_and_its_fields_are_named(now):
    found = row([created(name="A", phone="1")], now)
    assert (found.action, found.reason_code) == (Action.KEEP, "edited_since")
    assert "phone" in found.message or "remark" in found.message
    assert "typed" not in found.message


def test_what_a_person_saved_last_is_kept_though_nothing_that_we_can_read_differs():
    assert row([created(name="A")], {"name": "A"}, persons=True).reason_code == "edited_since"


def test_an_edit_before_our_own_last_write_is_seen():
    lines = [created(name="A", phone="1"), updated({"name": "A", "phone": "2"}, note="x")]
    found = row(lines, {"name": "A", "phone": "2", "note": "x"})
    assert (found.action, found.reason_code) == (Action.RESTORE, "edited_since")
    assert (found.new, found.old) == ({"note": None}, {"note": "x"})


def test_an_edit_that_its_author_took_back_is_none():
    lines = [created(name="A", phone="1"), updated({"name": "A", "phone": "2"}, note="x")]
    assert row(lines, {"name": "A", "phone": "1", "note": "x"}).action is Action.DELETE


def test_what_we_openly_wrote_over_comes_back():
    lines = [created(phone="1"), updated({"phone": "2"}, phone="3")]
    found = row(lines, {"phone": "3"})
    assert (found.action, found.reason_code, found.new, found.old) == (
        Action.RESTORE,
        "edited_since",
        {"phone": "2"},
        {"phone": "3"},
    )


def test_what_the_target_changed_along_with_our_write_is_no_edit():
    lines = [created(name="A", sort="a"), updated({"name": "A", "sort": "a"}, name="B", side={"sort": "b"})]
    assert row(lines, {"name": "B", "sort": "b"}).action is Action.DELETE


def test_an_image_that_only_vouches_for_what_we_sent_takes_nothing_else_for_ours():
    found_by_looking = Written(LOAD, Deed.CREATED, "M1", after={"name": "A"})
    assert row([found_by_looking], {"name": "A", "phone": None}).action is Action.DELETE
    assert row([found_by_looking], {"name": "A", "phone": "typed"}).reason_code == "edited_since"


def test_a_record_that_is_gone_is_still_to_be_closed():
    found = row([created(name="A")], None)
    assert (found.action, found.old) == (Action.DELETE, {"name": "A"})


def test_a_record_that_lost_our_key_is_not_ours_to_delete():
    scope = UndoScope(frozenset({LOAD}), through=False, can_delete=True, can_tell_links=True)
    history = History("k", "s:1", (created(name="A"),))
    found = undo_row(history, scope, TargetRecord("account", "other", "M1", {"name": "A"}))
    assert (found.action, found.reason_code) == (Action.KEEP, "edited_since")


@pytest.mark.parametrize(("lack", "reason"), [("can_delete", "cannot_delete"), ("can_tell_links", "links_unknown")])
def test_nothing_is_deleted_where_that_is_not_safe(lack, reason):
    found = row([created(name="A"), updated({"name": "A"}, note="x")], {"name": "A", "note": "x"}, **{lack: False})
    assert (found.action, found.reason_code, found.new) == (Action.RESTORE, reason, {"note": None})
    assert row([created(name="A")], {"name": "A"}, **{lack: False}).action is Action.KEEP


def test_an_update_goes_back_with_its_base():
    lines = [created(note="old"), updated({"note": "old"}, note="new", base={"note": "entry"})]
    found = row(lines, {"note": "new"}, DELTA)
    assert (found.action, found.new, found.old, found.base) == (
        Action.RESTORE,
        {"note": "old"},
        {"note": "new"},
        {"note": "entry"},
    )


def test_several_updates_go_back_to_where_the_first_of_them_began():
    lines = [
        created(a="1", b="1"),
        updated({"a": "1", "b": "1"}, a="2", base={"a": "e1"}),
        updated({"a": "2", "b": "1"}, RETRY, a="3", b="3", base={"a": "e2", "b": "f1"}),
    ]
    found = row(lines, {"a": "3", "b": "3"}, DELTA, RETRY)
    assert (found.new, found.old, found.base) == ({"a": "1", "b": "1"}, {"a": "3", "b": "3"}, {"a": "e1", "b": "f1"})


def test_between_our_updates_a_person_s_value_is_where_the_way_back_ends():
    lines = [
        created(a="1"),
        updated({"a": "1"}, a="2", base={"a": "e1"}),
        updated({"a": "typed"}, RETRY, a="3", base={"a": "e2"}),
    ]
    found = row(lines, {"a": "3"}, DELTA, RETRY)
    assert (found.new, found.old, found.base) == ({"a": "typed"}, {"a": "3"}, {"a": "e2"})


def test_a_field_that_our_write_did_not_change_is_left_to_whoever_changed_it_since():
    lines = [created(a="1"), updated({"a": "1"}, a="1", base={"a": "e"})]
    assert row(lines, {"a": "typed"}, DELTA).new == {}
    assert row(lines, {"a": "1"}, DELTA).base == {"a": "e"}


def test_an_adopted_record_is_given_back_and_stays_whatever_people_did():
    lines = [adopted({"name": "A", "phone": None}, phone="1"), updated({"name": "A", "phone": "1"}, name="B")]
    found = row(lines, {"name": "B", "phone": "typed"})
    assert (found.action, found.new, found.old) == (
        Action.RELEASE,
        {"phone": None, "name": "A"},
        {"phone": "1", "name": "B"},
    )
    assert row(lines, {"name": "B", "phone": "1"}, can_delete=False).action is Action.RESTORE


def test_only_the_last_write_can_go_alone():
    history = History("k", "s:1", (created(a="1"), updated({"a": "1"}, a="2")))
    scope = UndoScope(frozenset({LOAD}), through=False, can_delete=True, can_tell_links=True)
    assert later_plans(history, scope) == {DELTA}
    assert later_plans(history, UndoScope(frozenset({DELTA}), False, True, True)) == frozenset()
    assert row(history.lines, {"a": "2"}, LOAD, through=True).action is Action.DELETE


def test_a_record_that_only_later_plans_touched_is_none_of_it():
    assert row([Written(DELTA, Deed.CREATED, "M1", after={"a": "1"})], {"a": "1"}, LOAD) is None


def test_what_was_taken_back_does_not_count_again():
    lines = [created(a="1"), updated({"a": "1"}, a="2"), restored({"a": "2"}, plans=[DELTA], a="1")]
    assert row(lines, {"a": "1"}, DELTA) is None
    assert row(lines, {"a": "1"}, LOAD).action is Action.DELETE
    assert row(lines, {"a": "2"}, LOAD).reason_code == "edited_since"


def test_after_its_end_a_record_begins_anew():
    ended = Written(UNDO, Deed.ENDED, "M1")
    assert row([created(a="1"), ended], None) is None
    again = created(a="3")._replace(target_id="M2")
    found = row([created(a="1"), ended, again], {"a": "3"})
    assert (found.action, found.target_id) == (Action.DELETE, "M2")


def test_while_a_call_may_have_landed_nothing_is_taken_back():
    open_line = Written(DELTA, Deed.UNKNOWN, None)
    assert row([created(a="1"), open_line], {"a": "1"}).reason_code == "outcome_unknown"


def test_a_record_that_others_refer_to_keeps_its_place_and_loses_our_updates():
    history = History("k", "s:1", (created(a="1"), updated({"a": "1"}, a="2")))
    scope = UndoScope(frozenset({LOAD, DELTA}), through=False, can_delete=True, can_tell_links=True)
    now = TargetRecord("account", "k", "M1", {"a": "2"})
    planned = undo_row(history, scope, now)
    found = linked(history, scope, planned, now, ["order", "contact"])
    assert (found.action, found.reason_code, found.new) == (Action.RESTORE, "linked_since", {"a": "1"})
    assert found.message == "records refer to it: contact, order"


def test_untouched_is_what_our_writes_left():
    lines = [created(a="1", b="1"), updated({"a": "1", "b": "typed"}, a="2")]
    assert untouched(lines) == ({"a": "2", "b": "1"}, set())


def test_another_record_that_was_adopted_later_takes_nothing_of_the_first_along():
    first = Written(LOAD, Deed.ADOPTED, "M0", frozenset({"phone"}), {"phone": "old"}, {"phone": "1"})
    again = adopted({"name": "A", "phone": None}, phone="1")
    found = row([first, again], {"name": "A", "phone": "1"})
    assert (found.action, found.target_id, found.new) == (Action.RELEASE, "M1", {"phone": None})
    same = row([first._replace(target_id="M1"), adopted({"name": "A", "phone": "1"})], {"name": "A", "phone": "1"})
    assert (same.action, same.new) == (Action.RELEASE, {"phone": "old"})
