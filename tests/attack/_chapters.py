"""Parts of a rollout's life, and how to go through one while something happens at one of its places."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rollout.errors import ApprovalError, ConfigError, Fatal, LeaseHeld
from rollout.journal.engine import Engine
from tests.attack._world import Crash, Process, Watch, World, assert_holds, assert_no_duplicates

ACCOUNTS = {f"s:{n}": {"name": f"C{n}", "phone": f"+8621000000{n:02}"} for n in range(4)}
ACCOUNTS["s:0"]["parent"] = "s:3"  # which is loaded after it
CONTACTS = {f"c:{n}": {"name": f"P{n}", "account": f"s:{n}"} for n in range(2)}
CHANGED = {
    **ACCOUNTS,
    "s:1": {"name": "C1", "phone": "+862199999999"},
    "s:2": {"name": "C2", "phone": "+862188888888", "note": "n"},
    "s:9": {"name": "C9"},
}
MAX_LOADS = 5
MORE_CONTACTS = {**CONTACTS, "c:9": {"name": "P9", "account": "s:9"}}


@dataclass(frozen=True)
class Chapter:
    """A part of a rollout's life whose places are tried."""

    before: Callable[[Process], None]
    """What happened until then."""
    steps: tuple[Callable[[Process], object], ...]
    """What people do; after a crash they do it again."""
    as_it_should_be: Callable[[World], None]
    """Raises AssertionError where the end is not the one that an undisturbed rollout has."""


def accounted(world: World, **loaded: int) -> None:
    """Every row is in its bucket, nothing is open, and the crosswalk is the CRM."""
    with world.process() as process:
        table = process.accounting()
    assert all(line.accounted and line.closed for line in table.values()), table
    still_open = world.query(
        "SELECT count(*) FROM row_line l JOIN plan USING (plan_id)"
        " WHERE project_id = :project AND l.state IN ('intent', 'unknown')"
    )
    assert still_open == [(0,)]
    known = world.query("SELECT entity, migration_key, target_id FROM target_record WHERE project_id = :project")
    held = [
        (entity, record.migration_key, record.target_id)
        for entity in ("account", "contact")
        for record in world.records(entity).values()
        if record.migration_key
    ]
    assert sorted(known) == sorted(held)
    assert {entity: table[entity].loaded for entity in loaded} == loaded, table


def first_load_is_done(world: World) -> None:
    """The CRM holds the first state of the sources, each row once."""
    assert_no_duplicates(world)
    assert_holds(world, "account", ACCOUNTS)
    assert_holds(world, "contact", CONTACTS, of=("name",))
    accounted(world, account=len(ACCOUNTS), contact=len(CONTACTS))


def second_load_is_done(world: World) -> None:
    """The CRM holds the second state of the sources, each row once."""
    assert_no_duplicates(world)
    assert_holds(world, "account", CHANGED)
    assert_holds(world, "contact", MORE_CONTACTS, of=("name",))
    accounted(world, account=len(CHANGED), contact=len(MORE_CONTACTS))


def planned(process: Process) -> None:
    """A first plan is approved."""
    process.golden(ACCOUNTS, CONTACTS)
    process.plan()
    process.approve()


def loaded(process: Process) -> None:
    """The first state of the sources is in the CRM."""
    planned(process)
    process.load()


def changed(process: Process) -> None:
    """And the sources have changed since."""
    loaded(process)
    process.golden(CHANGED, MORE_CONTACTS)


def changed_and_planned(process: Process) -> None:
    """And the change is planned and approved."""
    changed(process)
    process.plan()
    process.approve()


def changed_and_loaded(process: Process) -> None:
    """And the change is in the CRM."""
    changed_and_planned(process)
    process.load()


def taken_up(process: Process) -> None:
    """All of that, where the CRM was in use before; and people went on working in it."""
    world = process.world
    world.type_new("account", name="C3")  # is ours, though nobody told: it will be adopted
    world.type_new("account", name="Theirs", phone="+8610")
    changed_and_loaded(process)
    world.edit("C1", note="typed")
    world.edit("C3", phone="+86typed")
    world.type_new("contact", name="Their person", account=world.named("C2").target_id)


def as_before_the_load(world: World) -> None:
    """What we made is gone, what people made or touched is there, each of them with its own values only."""
    held = {record.values["name"]: record for record in world.records().values()}
    assert set(held) == {"C1", "C2", "C3", "Theirs"}
    assert held["Theirs"].values == {"name": "Theirs", "phone": "+8610", "note": None, "parent": None}
    # Adopted: given back with what people typed into it since, and nothing of ours.
    assert held["C3"].values == {"name": "C3", "phone": "+86typed", "note": None, "parent": None}
    assert held["C3"].migration_key is None
    # Ours, edited or linked since: they stay, as they were before the second load, and with what was typed.
    assert held["C1"].values == {"name": "C1", "phone": ACCOUNTS["s:1"]["phone"], "note": "typed", "parent": None}
    assert held["C2"].values == {"name": "C2", "phone": ACCOUNTS["s:2"]["phone"], "note": None, "parent": None}
    assert [record.values["name"] for record in world.records("contact").values()] == ["Their person"]
    accounted(world)


def plan_undo_once(process: Process) -> None:
    """Plan to take everything back; a second plan takes the first one's place."""
    process.plan_undo()


def undo_to_the_end(process: Process) -> None:
    """Take back, and go on while records are open."""
    for _ in range(MAX_LOADS):
        if process.undo().state != "loading":
            return
    raise AssertionError("records stay open")


def approve_once(process: Process) -> None:
    """Approve; whoever tried before may have succeeded."""
    with contextlib.suppress(ConfigError, ApprovalError):
        process.approve()


def load_to_the_end(process: Process) -> None:
    """Load, and load again while rows are open."""
    for _ in range(MAX_LOADS):
        if process.load().state != "loading":
            return
    raise AssertionError("rows stay open")


LOAD = Chapter(planned, (load_to_the_end,), first_load_is_done)
CHANGE = Chapter(changed, (Process.plan, approve_once, load_to_the_end), second_load_is_done)
UNDO = Chapter(taken_up, (plan_undo_once, approve_once, undo_to_the_end), as_before_the_load)
LOAD_CHANGE = Chapter(changed_and_planned, (load_to_the_end,), second_load_is_done)


POISONED = {**ACCOUNTS, "s:2": {"name": "C2", "note": "longer than the CRM takes"}}


def poison_is_rejected(world: World) -> None:
    """One row is refused, and only that one."""
    sound = {key: row for key, row in POISONED.items() if key != "s:2"}
    assert_holds(world, "account", sound)
    accounted(world, account=len(sound))
    rejected = world.query(
        "SELECT r.golden_key FROM row_line l JOIN plan_row r USING (plan_id, entity, migration_key)"
        " JOIN plan USING (plan_id) WHERE project_id = :project AND l.state = 'rejected'"
    )
    assert rejected == [("s:2",)]


def poisoned(process: Process) -> None:
    """A plan with a row that the CRM will refuse is approved."""
    process.golden(POISONED)
    process.plan()
    process.approve()


POISON = Chapter(poisoned, (load_to_the_end,), poison_is_rejected)


@dataclass
class Attack:
    """A chapter, gone through again and again, each time in a world of its own."""

    database: Engine
    folder: Path
    chapter: Chapter
    world_options: Mapping[str, object]

    def begin(self) -> World:
        """A world at the beginning of the chapter."""
        world = World(self.database, self.folder, **self.world_options)
        with world.process() as process:
            self.chapter.before(process)
        return world

    def go_through(self, world: World, watch: Watch, *, done: int = 0) -> int:
        """Take the steps that are left until the process dies; answers how many are done."""
        with world.process(watch) as process, contextlib.suppress(Crash):
            for step in self.chapter.steps[done:]:
                step(process)
                done += 1
        return done

    def places(self) -> list[str]:
        """The places of the chapter when nothing happens there."""
        watch = Watch()
        world = self.begin()
        assert self.go_through(world, watch) == len(self.chapter.steps)
        self.chapter.as_it_should_be(world)
        world.forget()
        return watch.places

    def changes(self) -> list[int]:
        """The places behind which the outside world is another one: what comes before the next is the same state."""
        return [number for number, place in enumerate(self.places(), 1) if place.startswith("after")]

    def die_at(self, *numbers: int) -> None:
        """Die at a place, then at one of the process that takes over, and so on; the last one comes to the end."""
        world, done = self.begin(), 0
        with _told(f"died at places {numbers}"):
            for number in numbers:
                done = self.go_through(world, Watch(at=number), done=done)
            self.go_through(world, Watch(), done=done)
            self.chapter.as_it_should_be(world)
        world.forget()

    def act_at(self, number: int, act: Callable[[World], None]) -> World:
        """Let somebody else act at a place. The process goes on; if that stops it, the steps are taken again."""
        world, done = self.begin(), 0
        with _told(f"acted at place {number}"):
            with contextlib.suppress(LeaseHeld, Fatal, ApprovalError):
                done = self.go_through(world, Watch(at=number, happens=lambda: act(world)))
            self.go_through(world, Watch(), done=done)
        return world


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
