"""Every journal write and every call of a rollout's life is a place where the process can die, or people can come in.

All places are tried, one world each: the process dies there (or somebody else acts there), a new one is started from
what the database holds, and at the end everything must be as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollout.journal.engine import Engine
from tests.attack._chapters import CHANGE, LOAD, LOAD_CHANGE, UNDO, Attack, load_to_the_end
from tests.attack._world import World, database_of, hurry

CHAPTERS = {"load": LOAD, "change": CHANGE, "undo": UNDO}
OUTSIDE = ("before a read", "before a read by id", "before a look for links", "before a write", "after a write")
"""Places where what people do in the CRM makes a difference."""


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def database(pg_url: str) -> Iterator[Engine]:
    with database_of(pg_url) as database:
        yield database


@pytest.fixture
def make_attack(database, tmp_path):
    return lambda chapter, **options: Attack(database, tmp_path, chapter, options)


def tried_every_day(attack: Attack) -> tuple[int, ...]:
    """The first place, and every fourth behind which something has changed: commits and writes come in threes."""
    return (1, *attack.changes()[::4])


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_process_may_die_at_any_place(make_attack, name):
    attack = make_attack(CHAPTERS[name])
    places = attack.places()
    assert {"before a commit", "after a commit", "before a write", "after a write"} <= set(places)
    tried = tried_every_day(attack)
    assert {"after a commit", "after a write"} <= {places[number - 1] for number in tried}
    for number in tried:
        attack.die_at(number)


@pytest.mark.attack
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_process_may_die_at_all_the_other_places_too(make_attack, name):
    attack = make_attack(CHAPTERS[name])
    for number in sorted(set(range(1, len(attack.places()) + 1)) - set(tried_every_day(attack))):
        attack.die_at(number)


@pytest.mark.attack
def test_a_process_may_die_while_it_goes_on_where_another_died(make_attack):
    attack = make_attack(LOAD)
    places = attack.places()
    for number, place in enumerate(places, 1):
        if place == "after a write":
            for next_number in range(1, 16):
                attack.die_at(number, next_number)


@pytest.mark.parametrize("conditional_update", [True, False])
def test_what_a_person_types_at_any_place_stays(make_attack, conditional_update):
    """Without conditional updates there is one place that nobody can protect: between our last look and our call."""

    def type_in(world: World) -> None:
        world.edit("C1", phone="+86typed", note="typed")

    attack = make_attack(CHANGE, options={"conditional_update": conditional_update})
    lost = []
    for number, place in enumerate(attack.places(), 1):
        if place in OUTSIDE:
            world = attack.act_at(number, type_in)
            held = world.named("C1").values
            assert held["note"] == "typed"
            if held["phone"] != "+86typed":
                lost.append(place)
    assert lost == ([] if conditional_update else ["before a write"])


@pytest.mark.attack
def test_a_second_worker_may_take_over_at_any_place(make_attack):
    """The first one stalls, counts as dead, and wakes up when the second has done everything."""

    def take_over(world: World) -> None:
        with world.process() as process:
            load_to_the_end(process)

    attack = make_attack(LOAD_CHANGE)
    for number, place in enumerate(attack.places(), 1):
        if place in ("after a commit", "before a write", "after a write"):
            LOAD_CHANGE.as_it_should_be(attack.act_at(number, take_over))
