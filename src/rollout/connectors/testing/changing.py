"""Laws about changing records, beside people who change them too."""

from __future__ import annotations

from rollout.connectors.base import Op, RowResult, RowStatus, WriteRow
from rollout.connectors.testing.harness import Harness, expect
from rollout.connectors.testing.law import conditional, edits, law, needs, returns_stored


@law()
def update_changes_only_named_fields(harness: Harness) -> None:
    """Fields that the plan does not name belong to others."""
    before = harness.stored(1)
    result = harness.update(before, **{harness.text_field: "changed"})
    expect(result.status is RowStatus.UPDATED, f"an update was answered as {result.status.value}")
    expect(result.target_id == before.target_id, "an update was answered with another record's id")
    after = harness.read(before.migration_key or "")
    expect(after.target_id == before.target_id, "an update made another record")
    expect({**before.values, harness.text_field: "changed"} == dict(after.values), "an unnamed field changed")


@law()
def none_clears_a_field(harness: Harness) -> None:
    """None is a value to set, not a field to leave alone."""
    before = harness.stored(1, **{harness.text_field: "to be cleared"})
    harness.update(before, **{harness.text_field: None})
    value = harness.read(before.migration_key or "").values.get(harness.text_field)
    expect(value is None, "a cleared field still has a value")


@law()
def an_update_to_the_same_values_changes_nothing(harness: Harness) -> None:
    """Running a load again is safe."""
    before = harness.stored(1)
    result = harness.update(before, **dict(before.values))
    expect(result.status in (RowStatus.UPDATED, RowStatus.UNCHANGED), f"answered as {result.status.value}")
    expect(harness.read(before.migration_key or "").values == before.values, "values changed")


@law()
def a_refused_update_changes_nothing(harness: Harness) -> None:
    """Not even the fields that were in order."""
    before = harness.stored(1)
    name, value = harness.spoilt
    result = harness.update(before, **{harness.text_field: "half", name: value})
    expect(result.status is RowStatus.REJECTED, f"a wrong value was answered as {result.status.value}")
    expect(harness.read(before.migration_key or "").values == before.values, "a refused update changed a field")


@law(needs("remove"))
def updating_a_record_that_is_gone_is_no_success(harness: Harness) -> None:
    """Nor does it bring the record back."""
    record = harness.stored(1)
    if harness.remove:
        harness.remove(record.target_id)
    result = harness.update(record, **{harness.text_field: "x"})
    expect(result.status in (RowStatus.REJECTED, RowStatus.CONFLICT), f"answered as {result.status.value}")
    expect(not harness.found(record.migration_key or ""), "a deleted record is back")


@law(returns_stored)
def an_answer_with_the_record_shows_what_a_read_shows(harness: Harness) -> None:
    """It stands for the read-back: what the target made of a value, fields that were not sent, and the version."""
    created, refused = harness.create(1, **{harness.text_field: ""}), harness.spoilt_row(2)
    answers = harness.write(created, refused)
    expect(answers[refused.migration_key].stored is None, "a refused row was answered with a record")
    _shows_what_a_read_shows(harness, answers[created.migration_key])
    for text in ("changed", "changed"):
        _shows_what_a_read_shows(
            harness, harness.update(harness.read(created.migration_key), **{harness.text_field: text})
        )


def _shows_what_a_read_shows(harness: Harness, answer: RowResult) -> None:
    now = harness.read(answer.migration_key)
    expect(answer.stored is not None, f"a row answered as {answer.status.value} came without its record")
    expect(answer.stored == now, "the record in the answer is not the one that is read")


@law(edits)
def reading_sees_what_people_changed(harness: Harness) -> None:
    """And the version, where there is one, tells that something changed."""
    before = harness.stored(1)
    if harness.edit:
        harness.edit(before.target_id, {harness.text_field: "by a person"})
    after = harness.read(before.migration_key or "")
    expect(after.values.get(harness.text_field) == "by a person", "a person's change is not seen")
    if harness.target.capabilities.conditional_update:
        expect(before.version is not None, "there is no version")
        expect(after.version != before.version, "the version stayed the same over a change")


@law(conditional)
def an_expected_version_that_is_old_is_a_conflict(harness: Harness) -> None:
    """What a person changed meanwhile stays."""
    before = harness.stored(1)
    if harness.edit:
        harness.edit(before.target_id, {harness.text_field: "by a person"})
    result = harness.update(before, expected=before.version, **{harness.text_field: "by us"})
    expect(result.status is RowStatus.CONFLICT, f"an old version was answered as {result.status.value}")
    now = harness.read(before.migration_key or "")
    expect(now.values.get(harness.text_field) == "by a person", "a person's change was overwritten")


@law(conditional)
def an_expected_version_that_is_current_is_updated(harness: Harness) -> None:
    """Otherwise every row would be a conflict."""
    before = harness.stored(1)
    result = harness.update(before, expected=before.version, **{harness.text_field: "by us"})
    expect(result.status is RowStatus.UPDATED, f"the current version was answered as {result.status.value}")


@law(needs("add"))
def a_record_without_key_is_adopted_by_an_update(harness: Harness) -> None:
    """The key given with the update becomes the record's; no second record is made."""
    if not harness.add:
        return
    target_id, key = harness.add(harness.sample(1)), harness.new_key()
    before = harness.target.count(harness.entity)
    row = WriteRow(key, Op.UPDATE, {harness.text_field: "adopted"}, target_id)
    expect(harness.write(row)[key].status is RowStatus.UPDATED, "the adopting update failed")
    expect(harness.read(key).target_id == target_id, "the key is on another record")
    expect(harness.target.count(harness.entity) == before, "adoption made another record")


@law(needs("reference"))
def references_are_target_ids_both_ways(harness: Harness) -> None:
    """Written and read back as the parent's target id; a parent that does not exist is refused."""
    if not harness.reference:
        return
    entity, name, values = harness.reference
    parent = harness.stored(1)
    child = WriteRow(harness.new_key(), Op.CREATE, values(parent.target_id))
    orphan = WriteRow(harness.new_key(), Op.CREATE, values("no-such-id"))
    results = {row.migration_key: harness.target.write(entity, [row])[0] for row in (child, orphan)}
    expect(results[child.migration_key].status is RowStatus.CREATED, "a child with a parent was not created")
    expect(results[orphan.migration_key].status is RowStatus.REJECTED, "a child without parent was not refused")
    found = harness.target.read_by_keys(entity, [child.migration_key])[child.migration_key]
    expect([record.values[name] for record in found] == [parent.target_id], "the reference came back different")
