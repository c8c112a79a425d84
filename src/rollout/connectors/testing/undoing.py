"""Laws about taking a load back: deleting, giving records back, and who refers to them."""

from __future__ import annotations

from rollout.connectors.base import LinkReader, Op, RowStatus, WriteRow
from rollout.connectors.reasons import Reason
from rollout.connectors.testing.harness import Harness, LawBrokenError, expect
from rollout.connectors.testing.law import conditional, deletes, incapable, law, needs
from rollout.errors import UnsupportedOperation


def _deletes_if_unchanged(harness: Harness) -> str | None:
    return deletes(harness) or conditional(harness)


def _deletes_parents(harness: Harness) -> str | None:
    return deletes(harness) or needs("reference")(harness)


def _gives_back(harness: Harness) -> str | None:
    return deletes(harness) or needs("add")(harness)


def _tells_links(harness: Harness) -> str | None:
    if not isinstance(harness.target, LinkReader):
        return "the connector tells no links"
    return needs("reference")(harness)


@law(deletes)
def deleting_what_was_created_restores_the_start(harness: Harness) -> None:
    """And deleting it once more is done already: an undo that was interrupted goes on."""
    rest, count = harness.stored(0), harness.target.count(harness.entity)
    before = {record.target_id for record in harness.target.read_all(harness.entity)}
    records = [harness.stored(number) for number in range(1, 3)]
    rows = [WriteRow(record.migration_key or "", Op.DELETE, {}, record.target_id) for record in records]
    for turn in ("the first", "the second"):
        for row in rows:
            result = harness.write(row)[row.migration_key]
            expect(result.status is RowStatus.DELETED, f"{turn} deletion was answered as {result.status.value}")
    expect({r.target_id for r in harness.target.read_all(harness.entity)} == before, "other records than at the start")
    expect(harness.target.count(harness.entity) == count, "another count than at the start")
    expect(harness.found(rest.migration_key or "") == [rest], "a record changed that was not named")


@law(deletes)
def a_deletion_with_another_key_is_a_conflict(harness: Harness) -> None:
    """A record that is not the one we made is not ours to delete."""
    ours, theirs = harness.stored(1), harness.stored(2)
    row = WriteRow(ours.migration_key or "", Op.DELETE, {}, theirs.target_id)
    result = harness.write(row)[row.migration_key]
    expect(result.status is RowStatus.CONFLICT, f"answered as {result.status.value}")
    expect(harness.found(theirs.migration_key or ""), "another record was deleted")


@law(_deletes_if_unchanged)
def a_record_that_people_changed_is_not_deleted(harness: Harness) -> None:
    """If the deletion names the version that it means."""
    record = harness.stored(1)
    assert harness.edit
    harness.edit(record.target_id, {harness.text_field: "by a person"})
    result = harness.delete(record, expected=record.version)
    expect(result.status is RowStatus.CONFLICT, f"an old version was answered as {result.status.value}")
    expect(harness.found(record.migration_key or ""), "a person's work was deleted")


@law(_deletes_parents)
def a_deletion_of_what_others_refer_to_is_rejected(harness: Harness) -> None:
    """With the reason by which the caller knows to keep the record."""
    assert harness.reference
    child, _, values = harness.reference
    parent, key = harness.stored(), harness.new_key()
    [made] = harness.target.write(child, [WriteRow(key, Op.CREATE, values(parent.target_id))])
    result = harness.delete(parent)
    expect(result.status is RowStatus.REJECTED, f"answered as {result.status.value}")
    expect(result.reason_code == Reason.REFERENCED.value, f"the reason is {result.reason_code}")
    expect(harness.found(parent.migration_key or ""), "the parent is gone")
    expect(harness.target.read_by_keys(child, [key]).get(key), "the child is gone")
    [gone] = harness.target.write(child, [WriteRow(key, Op.DELETE, {}, made.target_id)])
    expect(gone.status is RowStatus.DELETED, "the child cannot be deleted")
    expect(harness.delete(parent).status is RowStatus.DELETED, "the parent cannot be deleted after its child")


@law(_gives_back)
def a_released_record_stays_without_our_key(harness: Harness) -> None:
    """It was there before us: its fields go back, and it is nobody's migration any more."""
    assert harness.add
    target_id, key = harness.add(harness.sample(1)), harness.new_key()
    harness.write(WriteRow(key, Op.UPDATE, {harness.text_field: "ours"}, target_id))
    row = WriteRow(key, Op.RELEASE, {harness.text_field: "theirs"}, target_id)
    for status in (RowStatus.UPDATED, RowStatus.UNCHANGED):
        result = harness.write(row)[key]
        expect(result.status is status, f"a release was answered as {result.status.value}")
    expect(not harness.found(key), "a released record still has our key")
    record = harness.target.read_by_ids(harness.entity, [target_id]).get(target_id)
    if record is None:
        raise LawBrokenError("a released record is gone")
    expect(record.migration_key is None, "a released record has a key")
    expect(record.values.get(harness.text_field) == "theirs", "a released record's field did not go back")


@law(_tells_links)
def links_name_every_record_that_refers(harness: Harness) -> None:
    """Those of people too, and none that refers to another record."""
    assert harness.reference
    reader: object = harness.target
    assert isinstance(reader, LinkReader)
    child, _, values = harness.reference
    parent, other = harness.stored(1), harness.stored(2)
    rows = [WriteRow(harness.new_key(), Op.CREATE, values(record.target_id)) for record in (parent, parent, other)]
    ids = [harness.target.write(child, [row])[0].target_id for row in rows]
    found = reader.links_to(harness.entity, [parent.target_id, "no-such-id"])
    expect(set(found) <= {parent.target_id}, "links are told of records that nobody asked about")
    told = {(link.entity, link.target_id, link.migration_key) for link in found.get(parent.target_id, ())}
    wanted = {(child, target_id, row.migration_key) for target_id, row in zip(ids[:2], rows[:2], strict=True)}
    expect(
        told == wanted, f"2 records refer to it, {len(told & wanted)} of them were told, and {len(told - wanted)} more"
    )


@law(incapable)
def a_capability_declared_false_raises(harness: Harness) -> None:
    """Nobody may believe that something was done that is never done."""
    for name, make in harness.incapable.items():
        target, record = make(), harness.stored(1)
        expect(getattr(target.capabilities, name) is False, f"{name} is not declared False")
        for row in _that_needs(name, harness, record.migration_key or "", record.target_id):
            try:
                target.write(harness.entity, [row])
            except UnsupportedOperation:
                continue
            raise LawBrokenError(f"{row.op.value} was answered although {name} is False")
        expect(harness.found(record.migration_key or "") == [record], "a record changed although it cannot be done")


def _that_needs(capability: str, harness: Harness, key: str, target_id: str) -> list[WriteRow]:
    """Writes that cannot be carried out without this capability."""
    if capability == "can_delete":
        return [WriteRow(key, Op.DELETE, {}, target_id), WriteRow(key, Op.RELEASE, {}, target_id)]
    return [WriteRow(key, Op.UPDATE, {harness.text_field: "x"}, target_id, "1")]
