"""A rollout's life in any order, and what must be true after every step of it (a Hypothesis state machine)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rollout.connectors.memory import MemoryFault
from rollout.errors import ApprovalError, ConfigError, DriftError, Retryable
from rollout.journal.engine import Engine
from rollout.model.outcome import Bucket
from rollout.phases.rejects import export_rejects
from rollout.phases.rejects_import import import_rejects
from tests.attack._world import Crash, Process, Watch, World, assert_no_duplicates
from tests.integration.load._sheet import Sheet

REFUSALS = (ApprovalError, ConfigError, DriftError, Retryable)
"""What the program may answer to people who do things in any order. Anything else is a defect."""
FIELDS = ("phone", "note")
LONG = "longer than the twenty characters that the CRM takes"
MAX_LOADS = 6

which = st.integers(0, 20)
accidents = st.tuples(st.one_of(st.none(), st.integers(1, 60)), st.lists(st.sampled_from(MemoryFault), max_size=2))
"""At which place the process dies (None: nowhere), and what goes wrong with its next calls."""


changes = st.lists(st.tuples(which, st.sampled_from(FIELDS), st.sampled_from([False, False, True])), max_size=3)
"""Of the sources: row, field, and whether the CRM will refuse the new value."""
Accident = tuple[int | None, list[MemoryFault]]
Change = tuple[int, str, bool]


@dataclass
class Theirs:
    """A record that people made, as they would see it if we had never come."""

    values: dict[str, str | None]


class Life(RuleBasedStateMachine):
    """Sources change, people type and click, processes die; in any order."""

    def __init__(self, database: Engine, folder: Path) -> None:
        super().__init__()
        self.world = World(database, folder)
        self.tokens = count(1)
        self.rows: dict[str, dict[str, dict[str, str | None]]] = {"account": {}, "contact": {}}
        self.typed: dict[tuple[str, str, str], str] = {}
        """What people typed last, by entity, record and field: nobody but they may change it."""
        self.theirs: dict[tuple[str, str], Theirs] = {}

    def teardown(self) -> None:
        """Whatever happened, it comes to a good end: everything is loaded, then everything is taken back."""
        if self.rows["account"]:
            self.come_to_the_end()
        self.world.forget()

    # What people do with the program

    @initialize(accounts=st.integers(1, 4), contacts=st.integers(0, 3))
    def sources(self, accounts: int, contacts: int) -> None:
        """The first state of the sources; people work in the CRM already."""
        for entity, records in (("account", accounts), ("contact", contacts)):
            for _ in range(records):
                self.add_source(entity, 0)
        self.make(0, is_ours=True)
        self.cleanse()

    @rule(entity=st.sampled_from(["account", "contact"]), at=which)
    def add_source(self, entity: str, at: int) -> None:
        """The sources gain a row."""
        token = next(self.tokens)
        row: dict[str, str | None] = {"name": f"{entity} {token}"}
        if entity == "account":
            row |= {"phone": f"source {token}"}
            if at % 3 == 1 and self.rows["account"]:
                row["parent"] = self._row("account", at)
        else:
            row |= {"account": self._row("account", at)}
        self.rows[entity][f"{entity}:{token}"] = row

    @rule(at=which)
    def remove_source(self, at: int) -> None:
        """A contact goes from the sources."""
        if len(self.rows["contact"]) > 1:
            del self.rows["contact"][self._row("contact", at)]

    @rule()
    def cleanse(self) -> None:
        """Golden records are made anew; what was planned before has drifted."""
        (self.world.root / "legacy" / "accounts.csv").write_text(f"k\n{next(self.tokens)}\n")
        with self.world.process() as process:
            process.golden(self.rows["account"], self.rows["contact"])

    @rule(accident=accidents, is_delta=st.booleans(), is_approved=st.sampled_from([True, True, False]))
    def plan(self, accident: Accident, *, is_delta: bool, is_approved: bool) -> None:
        """Plan, for the first time or again."""
        self._do(Process.delta if is_delta else Process.plan, accident)
        if is_approved:
            self._do(Process.approve)

    @rule(accident=accidents)
    def load(self, accident: Accident) -> None:
        """Load, or go on loading."""
        self._do(Process.load, accident)

    @rule(accident=accidents, is_delta=st.booleans(), again=st.booleans(), changes=changes)
    def load_what_is_new(self, accident: Accident, changes: list[Change], *, is_delta: bool, again: bool) -> None:
        """The whole way from the sources to the CRM."""
        for change in changes:
            self._change_source(*change)
        self.cleanse()
        self._do(Process.delta if is_delta else Process.plan)
        self._do(Process.approve)
        self._do(Process.load, accident)
        if again:
            self._do(Process.load)

    @rule(at=which, skips=st.booleans(), accident=accidents, is_sent=st.booleans())
    def decide(self, at: int, accident: Accident, *, skips: bool, is_sent: bool) -> None:
        """Take a row of the queue of rejects: repair it, or do without it."""

        def decide(process: Process) -> None:
            path = self.world.root / "queue.xlsx"
            export_rejects(process.context, path)
            sheet = Sheet(path)
            lines = [line for line in sheet.lines if line["key"]]
            if not lines:
                return
            line = lines[at % len(lines)]
            sheet.fill(line["key"], action="跳过" if skips else "重试")
            if line["field"] == "note" and not skips:
                sheet.fill(line["key"], "note", new_value=f"repaired {next(self.tokens)}")
            import_rejects(process.context, sheet.save(), person="tester", code=process.code, reason="looked it up")

        self._do(decide)
        if is_sent:
            self._do(Process.retry, accident)

    @rule(accident=accidents, is_last=st.booleans(), through=st.booleans(), again=st.booleans())
    def take_back(self, accident: Accident, *, is_last: bool, through: bool, again: bool) -> None:
        """Take everything back, or the last load."""
        begun = self.world.query(
            "SELECT plan_id FROM plan WHERE project_id = :project AND kind <> 'undo' AND begun_at IS NOT NULL"
            " ORDER BY begun_at DESC LIMIT 1"
        )
        if begun:
            what = {"run": begun[0][0], "through": through} if is_last else {"wave": "all"}
            self._do(lambda process: process.plan_undo(**what))
            self._do(Process.approve)
            self._do(Process.undo, accident)
            if again:
                self._do(Process.undo)

    @rule(accident=accidents)
    def undo(self, accident: Accident) -> None:
        """Go on taking back."""
        self._do(Process.undo, accident)

    # What people do in the CRM

    @rule(entity=st.sampled_from(["account", "account", "contact"]), at=which, field=st.sampled_from(FIELDS))
    def type_in(self, entity: str, at: int, field: str) -> None:
        """A person types into any record."""
        records = self.world.records(entity)
        if records:
            target_id = sorted(records)[at % len(records)]
            self._type(entity, target_id, "name" if entity == "contact" else field)

    @rule(at=which, is_ours=st.booleans())
    def make(self, at: int, *, is_ours: bool) -> None:
        """A person makes a customer: a new one, or one that the sources have too."""
        name = self.rows["account"][self._row("account", at)]["name"] if is_ours else f"theirs {next(self.tokens)}"
        values = {"name": name, "phone": None, "note": f"theirs {next(self.tokens)}", "parent": None}
        if not any(record.values["name"] == name for record in self.world.records().values()):
            self.theirs["account", self.world.type_new("account", **values)] = Theirs(values)

    @rule(at=which)
    def link(self, at: int) -> None:
        """A person makes a contact of any customer."""
        accounts = sorted(self.world.records())
        if accounts:
            values = {"name": f"theirs {next(self.tokens)}", "account": accounts[at % len(accounts)]}
            self.theirs["contact", self.world.type_new("contact", **values)] = Theirs(values)

    # What must be true at any time

    @invariant()
    def no_two_records_have_one_key(self) -> None:
        """Never two target records for one migration key."""
        assert_no_duplicates(self.world)

    @invariant()
    def every_row_is_in_one_bucket(self) -> None:
        """Buckets and what is not loaded yet are the source."""
        with self.world.process() as process:
            for entity, line in process.accounting().items():
                rows = line.not_loaded + sum(line.bucket(bucket) for bucket in Bucket)
                assert rows == line.source, (entity, line)

    @invariant()
    def nothing_that_people_did_is_lost(self) -> None:
        """What they typed stands where they typed it, and what they made is there."""
        held = {entity: self.world.records(entity) for entity in ("account", "contact")}
        for (entity, target_id, field), value in self.typed.items():
            assert target_id in held[entity], f"a record that people edited is gone: {entity} {target_id}"
            assert held[entity][target_id].values[field] == value
        for (entity, target_id), theirs in self.theirs.items():
            assert target_id in held[entity], f"a record that people made is gone: {entity} {target_id}"
            for field, value in theirs.values.items():
                if value is not None:
                    assert held[entity][target_id].values[field] == value

    # The end

    def come_to_the_end(self) -> None:
        """Finish what is under way, load everything, take everything back."""
        with self.world.process() as process:
            for _ in range(MAX_LOADS):
                try:
                    state = process.undo().state
                except (ApprovalError, ConfigError, DriftError):
                    break
                if state != "loading":
                    break
        self.cleanse()
        with self.world.process() as process:
            process.plan()
            process.approve()
            for _ in range(MAX_LOADS):
                summary = process.load()
                assert summary.accounted, summary
                if summary.state != "loading":
                    break
            assert all(not line.unknown for line in summary.entities.values()), summary
            self.nothing_that_people_did_is_lost()
            assert_no_duplicates(self.world)
            if not self.world.query("SELECT 1 FROM target_record WHERE project_id = :project LIMIT 1"):
                return  # nothing could be loaded: there is nothing to take back
            process.plan_undo(wave="all")
            process.approve()
            for _ in range(MAX_LOADS):
                if process.undo().state != "loading":
                    break
            else:
                raise AssertionError("the undo does not come to its end")
        self.nothing_that_people_did_is_lost()
        self.all_is_as_people_left_it()

    def all_is_as_people_left_it(self) -> None:
        """After an undo: what nobody touched is as it was, and what is left of ours has a reason to stay."""
        accounts, contacts = self.world.records(), self.world.records("contact")
        linked = {record.values["account"] for record in contacts.values()}
        linked |= {record.values["parent"] for record in accounts.values()}
        for entity, records in (("account", accounts), ("contact", contacts)):
            for target_id, record in records.items():
                typed = {field: value for (e, i, field), value in self.typed.items() if (e, i) == (entity, target_id)}
                theirs = self.theirs.get((entity, target_id))
                if theirs is not None:
                    assert record.values == {**theirs.values, **typed}, f"{entity} {target_id} holds something of ours"
                    assert record.migration_key is None
                else:
                    assert typed or target_id in linked, f"{entity} {target_id} is ours, and nobody touched it"

    # Inside

    def _row(self, entity: str, at: int) -> str:
        rows = list(self.rows[entity])
        return rows[at % len(rows)]

    def _change_source(self, at: int, field: str, is_poison: bool) -> None:  # noqa: FBT001 - drawn with the others
        value = LONG if is_poison and field == "note" else f"source {next(self.tokens)}"
        self.rows["account"][self._row("account", at)][field] = value

    def _type(self, entity: str, target_id: str, field: str) -> None:
        value = f"typed {next(self.tokens)}"
        self.world.crm.edit(entity, target_id, {field: value}, user="sales")
        self.typed[entity, target_id, field] = value
        if theirs := self.theirs.get((entity, target_id)):
            theirs.values[field] = value

    def _do(self, step: Callable[[Process], object], accident: Accident = (None, [])) -> None:
        at, faults = accident
        with self.world.process(Watch(at=at)) as process, _as_people_take_it():
            process.crm.fail_next(*faults)
            step(process)


@contextlib.contextmanager
def _as_people_take_it() -> Iterator[None]:
    """The process may die, and the program may refuse."""
    with contextlib.suppress(Crash, *REFUSALS):
        yield
