"""Which records an undo may not delete, because of what refers to them."""

from __future__ import annotations

from rollout.connectors.base import RecordLink
from rollout.phases.undo_links import Links, Place


def links(referring, *, ours=(), relinked=()):
    """``referring``: by record (``"a1"``: entity a, id 1) those that refer to it."""

    def read(entity, ids):
        return {
            target_id: [RecordLink(child[0], child[1:], None) for child in referring.get(f"{entity}{target_id}", ())]
            for target_id in ids
        }

    def also_ours(entity, found):
        return [link.target_id for link in found if f"{entity}{link.target_id}" in ours]

    return Links(read, also_ours, frozenset((place(child), place(parent)) for child, parent in relinked))


def place(name):
    return Place(name[0], name[1:])


def staying(deleted, referring, **options):
    found = links(referring, **options)
    found.gather(place(name) for name in deleted)
    return {f"{at.entity}{at.target_id}": entities for at, entities in found.staying().items()}


def test_what_goes_itself_keeps_nothing():
    assert staying(["a1", "c1"], {"a1": ["c1"]}) == {}


def test_what_stays_keeps_what_it_refers_to_and_that_in_turn():
    assert staying(["a1", "a2", "a3"], {"a1": ["a2"], "a2": ["x9"], "a3": []}) == {"a2": {"x"}, "a1": {"a"}}


def test_a_record_that_refers_to_itself_is_free_to_go():
    assert staying(["a1"], {"a1": ["a1"]}) == {}


def test_a_cycle_goes_as_a_whole_or_not_at_all():
    assert staying(["a1", "a2"], {"a1": ["a2"], "a2": ["a1"]}) == {}
    assert set(staying(["a1", "a2"], {"a1": ["a2"], "a2": ["a1", "x9"]})) == {"a1", "a2"}


def test_a_reference_that_goes_back_to_another_record_keeps_nothing():
    assert staying(["a1"], {"a1": ["c1"]}, relinked=[("c1", "a1")]) == {}


def test_what_is_ours_goes_along_unless_something_else_holds_it():
    assert staying(["a1"], {"a1": ["o1"]}, ours=["o1"]) == {}
    found = staying(["a1"], {"a1": ["o1"], "o1": ["t1"]}, ours=["o1"])
    assert (set(found), found["a1"]) == ({"o1", "a1"}, {"o"})


def test_what_would_go_along_stays_with_any_of_the_records_it_refers_to():
    found = staying(["a1", "a2"], {"a1": ["o1", "x9"], "a2": ["o1"]}, ours=["o1"])
    assert set(found) == {"a1", "o1", "a2"}
