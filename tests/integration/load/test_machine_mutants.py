"""What the load does to be safe, each left out once: the attacks must notice every one of them.

The same attacks pass on the load as it is; a mutant that none catches would be a rule that nothing tests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from rollout.errors import RolloutError
from rollout.journal.engine import Engine
from rollout.journal.leases import Lease
from rollout.journal.rows import Outcome, RowStates
from rollout.load import machine, machine_undo, sending
from rollout.load.inspecting import Inspector
from rollout.load.machine import SEND, Decision, RowState
from rollout.model.target import Capabilities, Op
from rollout.phases.undo_plan import UndoPlanner
from tests.attack._chapters import LOAD, LOAD_CHANGE, POISON, UNDO, Attack, Chapter, load_to_the_end
from tests.attack._world import LateCrm, UnorderedCrm, World, database_of, hurry

Patch = pytest.MonkeyPatch
CAUGHT = (AssertionError, RolloutError, DBAPIError, psycopg.Error)
"""The end is wrong, the load gives up, or the journal refuses what contradicts it."""


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: Patch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def database(pg_url: str) -> Iterator[Engine]:
    with database_of(pg_url) as database:
        yield database


# How a world is attacked. Each raises where the end is not as it should be.


def by_dying(attack: Attack) -> None:
    for number in (1, *attack.changes()):
        attack.die_at(number)


def by_a_whole_run(attack: Attack) -> None:
    attack.places()


def by_typing(attack: Attack) -> None:
    def type_in(world: World) -> None:
        world.edit("C1", phone="+86typed")

    for number, place in enumerate(attack.places(), 1):
        if place in ("before a read", "before a write", "after a write"):
            assert attack.act_at(number, type_in).named("C1").values["phone"] == "+86typed"


def by_typing_before_it_goes(attack: Attack) -> None:
    """A person types into records that an undo is about to delete, or to put back."""

    def type_in(world: World) -> None:
        for name in ("C0", "C2"):
            with contextlib.suppress(AssertionError):  # it is gone already
                world.edit(name, phone="+86typed")
                typed.add(name)

    for number, place in enumerate(attack.places(), 1):
        typed: set[str] = set()
        if place in ("before a read by id", "before a write"):
            world = attack.act_at(number, type_in)
            for name in typed:
                assert world.named(name).values["phone"] == "+86typed"


def by_a_second_worker(attack: Attack) -> None:
    def take_over(world: World) -> None:
        with world.process() as process:
            load_to_the_end(process)

    places = attack.places()
    for wanted in ("after a commit", "before a write", "after a write"):  # the fence is missed soonest behind a commit
        for number, place in enumerate(places, 1):
            if place == wanted:
                attack.chapter.as_it_should_be(attack.act_at(number, take_over))


# What is left out.


def send_before_intent(patch: Patch) -> None:
    """The intent is journalled with the outcome, not before the call."""
    intend, close = RowStates.intend, RowStates.close_batch
    kept = {}

    def late(self, connection, intents):
        kept[number := -1 - len(kept)] = intents
        return number

    def close_batch(self, connection, batch, outcomes):
        close(self, connection, intend(self, connection, kept.pop(batch)), outcomes)

    patch.setattr(RowStates, "intend", late)
    patch.setattr(RowStates, "close_batch", close_batch)


def mark_before_answer(patch: Patch) -> None:
    """The outcome is journalled with the intent."""
    intend, close = RowStates.intend, RowStates.close_batch

    def intend_and_close(self, connection, intents):
        number = intend(self, connection, intents)
        created = [Outcome(intent.migration_key, intent.attempt, RowState.CREATED.value) for intent in intents]
        close(self, connection, number, created)
        return number

    patch.setattr(RowStates, "intend", intend_and_close)
    patch.setattr(RowStates, "close_batch", lambda *_: None)


def join_by_position(patch: Patch) -> None:
    """The first answer is the first row's."""

    def by_position(works, answers):
        flat = [result for results in answers.values() for result in results]
        return list(zip(works, flat, strict=True)), []

    patch.setattr(sending, "split_answers", by_position)


def blind_resend(patch: Patch) -> None:
    """What is open is sent again, whatever the target holds."""
    patch.setattr(machine, "probe", lambda *_, **__: SEND)


def forget_what_is_open(patch: Patch) -> None:
    """Nobody looks what became of open lines."""
    patch.setattr(RowStates, "open_lines", lambda *_: [])


def believe_absence_too_early(patch: Patch) -> None:
    """What is not there a moment after the call never comes."""
    patch.setattr(Capabilities, "absence_decides_after_s", property(lambda _: 0.0))


def take_existence_for_an_update(patch: Patch) -> None:
    """An update whose record is there has landed."""
    probe = machine.probe

    def by_key(op, new, old, current, **told):
        if op is Op.UPDATE and current:
            return Decision(RowState.UPDATED, target_id=current[0].target_id)
        return probe(op, new, old, current, **told)

    patch.setattr(machine, "probe", by_key)


def update_without_a_look(patch: Patch) -> None:
    """An update is sent, whatever the field holds by now."""
    patch.setattr(machine, "before_update", lambda *_: SEND)


def write_without_the_fence(patch: Patch) -> None:
    """Who lost the lease goes on writing."""
    patch.setattr(Lease, "assert_fence", lambda *_: None)


def delete_without_a_look(patch: Patch) -> None:
    """What the load created is deleted, whatever people made of it."""
    patch.setattr(machine_undo, "look_at_deletion", lambda *_, **__: SEND)


def put_back_without_a_look(patch: Patch) -> None:
    """Fields go back, whatever they hold by now."""
    everything = lambda new, old, held: machine_undo.Fields(frozenset(), dict(new), ())  # noqa: E731
    patch.setattr(machine_undo, "compare", everything)


def delete_parents_first(patch: Patch) -> None:
    """Records go before those that refer to them."""
    patch.setattr(UndoPlanner, "order", property(lambda self: tuple(self._context.project.spec.load_order)))
    patch.setattr(Inspector, "_unless_linked", lambda _, decided: decided)


@dataclass(frozen=True)
class Caught:
    """By which attack, in which world."""

    attack: Callable[[Attack], None]
    chapter: Chapter
    world: Mapping[str, object] = field(default_factory=dict)


PERMISSIVE = {"options": {"enforces_unique": False}, "capabilities": {"call_timeout_s": 0.0}}
"""The CRM would create a duplicate, and no call takes long."""
LATE = {
    "options": {"enforces_unique": False},
    "capabilities": {"call_timeout_s": 0.05, "max_commit_delay_s": LateCrm.LATE_S},
    "crm_class": LateCrm,
}
MUTANTS = {
    send_before_intent: Caught(by_dying, LOAD, PERMISSIVE),
    mark_before_answer: Caught(by_dying, LOAD),
    join_by_position: Caught(by_a_whole_run, POISON, {"crm_class": UnorderedCrm}),
    blind_resend: Caught(by_dying, LOAD, PERMISSIVE),
    forget_what_is_open: Caught(by_dying, LOAD),
    believe_absence_too_early: Caught(by_a_whole_run, LOAD, LATE),
    take_existence_for_an_update: Caught(by_dying, LOAD_CHANGE),
    update_without_a_look: Caught(by_typing, LOAD_CHANGE),
    delete_without_a_look: Caught(by_typing_before_it_goes, UNDO),
    put_back_without_a_look: Caught(by_typing_before_it_goes, UNDO),
    delete_parents_first: Caught(by_a_whole_run, UNDO),
    write_without_the_fence: Caught(by_a_second_worker, LOAD_CHANGE),
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_what_keeps_a_load_safe_cannot_be_left_out(database, tmp_path, mutant):
    caught = MUTANTS[mutant]
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        with pytest.raises(CAUGHT):
            caught.attack(Attack(database, tmp_path, caught.chapter, caught.world))


@pytest.mark.parametrize(
    "world", [pytest.param(PERMISSIVE, id="permissive", marks=pytest.mark.attack), pytest.param(LATE, id="late")]
)
def test_the_load_as_it_is_stands_the_attacks_that_catch_the_mutants(database, tmp_path, world):
    by_dying(Attack(database, tmp_path, LOAD, world))


@pytest.mark.attack
def test_what_people_type_while_an_undo_runs_stays(database, tmp_path):
    by_typing_before_it_goes(Attack(database, tmp_path, UNDO, {}))


def test_an_answer_in_another_order_with_a_refused_row_is_joined_by_key(database, tmp_path):
    by_dying(Attack(database, tmp_path, POISON, {"crm_class": UnorderedCrm}))
