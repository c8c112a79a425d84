"""Laws about cleaning up: a drill's records are found and deleted, and no others."""

from __future__ import annotations

from rollout.connectors.base import Op, Remover, WriteRow
from rollout.connectors.testing.harness import Harness, LawBrokenError, expect
from rollout.connectors.testing.law import law
from rollout.errors import Fatal


def _removes(harness: Harness) -> str | None:
    """The connector finds and deletes by key."""
    return None if isinstance(harness.target, Remover) else "the connector is no Remover"


def _removes_parents(harness: Harness) -> str | None:
    """It does, and there are records that others refer to."""
    return _removes(harness) or (None if harness.reference else "the harness has no `reference`")


def _remover(harness: Harness) -> Remover:
    target: object = harness.target
    assert isinstance(target, Remover)
    return target


@law(_removes)
def the_beginning_of_a_key_is_taken_literally(harness: Harness) -> None:
    """A prefix is no pattern: what is found is about to be deleted."""
    mark = harness.new_key()
    keys = [f"{mark}_%{number}" for number in range(3)]
    strangers = [f"{mark}x%1", f"{mark}_1", f"{mark.upper()}_%1", f"x{mark}_%1"]
    for number, key in enumerate([*keys, *strangers]):
        harness.write(harness.create(number, key=key))
    found = sorted(str(r.migration_key) for r in _remover(harness).read_by_key_prefix(harness.entity, f"{mark}_%"))
    expect(found == keys, f"{len(found)} records were found by the beginning of 3 keys")


@law(_removes)
def deleting_deletes_what_is_named_and_twice_is_once(harness: Harness) -> None:
    """A clean-up that was interrupted is run again."""
    doomed, kept = harness.stored(), harness.stored()
    for turn in ("the first", "the second"):
        try:
            _remover(harness).delete(harness.entity, [doomed.target_id])
        except Fatal as error:
            raise LawBrokenError(f"{turn} deletion failed: {error}") from error
    expect(not harness.found(doomed.migration_key or ""), "a deleted record is still there")
    expect(harness.found(kept.migration_key or "") == [kept], "a record was touched that was not named")


@law(_removes_parents)
def a_record_that_others_refer_to_is_not_deleted(harness: Harness) -> None:
    """Neither it nor what refers to it may go."""
    assert harness.reference
    child, _, values = harness.reference
    parent, key = harness.stored(), harness.new_key()
    harness.target.write(child, [WriteRow(key, Op.CREATE, values(parent.target_id))])
    try:
        _remover(harness).delete(harness.entity, [parent.target_id])
    except Fatal:
        pass
    else:
        expect(condition=False, message="a record was deleted that another refers to")
    expect(harness.found(parent.migration_key or ""), "the parent is gone")
    expect(harness.target.read_by_keys(child, [key]).get(key), "the child is gone")
