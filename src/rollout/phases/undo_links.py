"""Which of the records that an undo would delete must stay, because others that stay refer to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from rollout.connectors.base import RecordLink


class Place(NamedTuple):
    """A record of the target: entity as the target calls it, and id."""

    entity: str
    target_id: str


ReadLinks = Callable[[str, Sequence[str]], Mapping[str, Sequence[RecordLink]]]
"""Of records of an entity of the target: by id the records that refer to them."""
AlsoOurs = Callable[[str, Sequence[RecordLink]], Iterable[str]]
"""Of records of an entity of the target that refer to ours: ids of those that may be deleted along with them."""


class Links:
    """The records to be deleted, and what refers to them.

    Args:
        read: Asks the target.
        also_ours: Says which other records may go along.
        relinked: (child, parent) of references that the undo puts back to another record before.
    """

    def __init__(self, read: ReadLinks, also_ours: AlsoOurs, relinked: frozenset[tuple[Place, Place]]) -> None:
        self._read = read
        self._also_ours = also_ours
        self._relinked = relinked
        self._referring: dict[Place, list[Place]] = {}
        self.deleted: set[Place] = set()
        """What is to be deleted, records that go along included."""
        self.along: set[Place] = set()
        """Those that go along."""

    def gather(self, places: Iterable[Place]) -> None:
        """Find out what refers to records that are to be deleted, and whether that may go along."""
        fresh = set(places)
        while fresh:
            self.deleted |= fresh
            others: dict[str, dict[str, RecordLink]] = {}
            for entity, ids in _by_entity(fresh).items():
                for target_id, links in self._read(entity, ids).items():
                    for link in links:
                        self._note(Place(entity, target_id), link, others)
            fresh = {
                Place(entity, target_id)
                for entity, links_by_id in others.items()
                for target_id in self._also_ours(entity, list(links_by_id.values()))
            }
            self.along |= fresh

    def _note(self, place: Place, link: RecordLink, others: dict[str, dict[str, RecordLink]]) -> None:
        child = Place(link.entity, link.target_id)
        if child == place or (child, place) in self._relinked:
            return
        self._referring.setdefault(place, []).append(child)
        if child not in self.deleted:
            others.setdefault(link.entity, {})[link.target_id] = link

    def staying(self) -> dict[Place, set[str]]:
        """The records that cannot be deleted, each with the entities of those on whose account it stays.

        A record stays with what refers to it; and what would only have gone along with a record stays with it.
        """
        referred: dict[Place, list[Place]] = {}
        for parent, children in self._referring.items():
            for child in children:
                referred.setdefault(child, []).append(parent)
        stays: dict[Place, set[str]] = {}
        to_do = [
            (child, parent) for child, parents in referred.items() if child not in self.deleted for parent in parents
        ]
        while to_do:
            cause, place = to_do.pop()
            known = place in stays
            stays.setdefault(place, set()).add(cause.entity)
            if not known:
                to_do += [(place, above) for above in referred.get(place, ())]
                to_do += [(place, child) for child in self._referring.get(place, ()) if child in self.along]
        return stays


def _by_entity(places: Iterable[Place]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place in sorted(places):
        found.setdefault(place.entity, []).append(place.target_id)
    return found
