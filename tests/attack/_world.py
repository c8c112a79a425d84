"""A small rollout whose process can be made to die at any journal write and any call, and be started again.

The world is what a crash leaves: the journal's database, the CRM (in memory, kept by its store's name) and the project
folder. A `Process` is one start of the program in it. Its journal and its connector tell a `Watch` of every place at
which the outside world notices anything; the watch may kill the process there: from then on it reaches nothing.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from rollout.connectors import memory
from rollout.connectors.base import TargetRecord
from rollout.connectors.memory import MemoryConnector
from rollout.errors import OutcomeUnknown
from rollout.journal import engine, leases, people
from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.load import inspecting, looking, sending
from rollout.mapping.spec import MappingSpec
from rollout.model.outcome import Accounting
from rollout.phases.approve import approve
from rollout.phases.context import PhaseContext
from rollout.phases.delta import DeltaSummary, run_delta
from rollout.phases.drift import source_inputs
from rollout.phases.load import LoadSummary, run_load
from rollout.phases.plan import PlanSummary, run_plan
from rollout.phases.undo import UndoSummary, run_undo
from rollout.phases.undo_make import UndoPlanSummary, plan_undo
from rollout.project.loader import Project
from rollout.project.spec import ProjectSpec
from rollout.project.workspace import Workspace

ACCOUNT = {
    "name": {"required": True},
    "phone": {"type": "phone"},
    "note": {"max_length": 20},
    "parent": {"type": "reference", "references": "account"},
}
CONTACT = {"name": {"required": True}, "account": {"type": "reference", "references": "account", "required": True}}
Rows = Mapping[str, Mapping[str, str | None]]


class Crash(BaseException):
    """The process dies here. Nothing in the program may catch it and go on."""


@dataclass
class Watch:
    """Every place that the outside world notices, in order; at number ``at`` something happens."""

    at: int | None = None
    happens: Callable[[], None] | None = None
    """None: the process dies."""
    places: list[str] = field(default_factory=list)
    dead: bool = False

    def passes(self, place: str) -> None:
        """The process is at a place."""
        if self.dead:
            raise Crash(place)
        self.places.append(place)
        if len(self.places) == self.at:
            if self.happens:
                self.happens()
                return
            self.dead = True
            raise Crash(place)


class WatchedJournal(Journal):
    """A journal whose writes can be the process's last."""

    watch: Watch

    @contextmanager
    def transaction(self) -> Iterator[engine.Connection]:
        """As the original; a transaction that wrote something has a place before its commit and one after it."""
        if self.watch.dead:
            raise Crash("journal")
        with super().transaction() as connection:
            yield connection
            wrote = connection.execute(text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")).scalar_one()
            if wrote:
                self.watch.passes("before a commit")
        if wrote:
            self.watch.passes("after a commit")


class WatchedCrm(MemoryConnector):
    """A CRM whose calls can be the process's last."""

    watch: Watch

    def write(self, entity, rows):
        self.watch.passes("before a write")
        results = super().write(entity, rows)
        self.watch.passes("after a write")
        return results

    def read_by_keys(self, entity, migration_keys):
        self.watch.passes("before a read")
        return super().read_by_keys(entity, migration_keys)

    def read_by_ids(self, entity, target_ids):
        self.watch.passes("before a read by id")
        return super().read_by_ids(entity, target_ids)

    def links_to(self, entity, target_ids):
        self.watch.passes("before a look for links")
        return super().links_to(entity, target_ids)


class LateCrm(WatchedCrm):
    """The first call is answered by nobody, and stored a while later."""

    LATE_S = 0.15

    def write(self, entity, rows):
        if not hasattr(self._store, "late"):
            self._store.late = [(time.monotonic() + self.LATE_S, entity, rows)]
            self.watch.passes("before a write")
            raise OutcomeUnknown("no answer", where=self.name)
        self._commit_what_is_due()
        return super().write(entity, rows)

    def read_by_keys(self, entity, migration_keys):
        self._commit_what_is_due()
        return super().read_by_keys(entity, migration_keys)

    def _commit_what_is_due(self) -> None:
        commit_late_calls(self, until_s=time.monotonic())


def commit_late_calls(crm: MemoryConnector, *, until_s: float = float("inf")) -> None:
    """Store what calls left that nobody answered."""
    late = getattr(crm._store, "late", [])
    while late and late[0][0] <= until_s:
        _, entity, rows = late.pop(0)
        MemoryConnector.write(crm, entity, rows)


class UnorderedCrm(WatchedCrm):
    """Answers in another order than it was asked in."""

    def write(self, entity, rows):
        return list(reversed(super().write(entity, rows)))


class ForgetfulCrm(WatchedCrm):
    """Every second answer is lost, though everything was stored."""

    def write(self, entity, rows):
        results = super().write(entity, rows)
        self._store.calls = getattr(self._store, "calls", 0) + 1
        if self._store.calls % 2:
            raise OutcomeUnknown("no answer", where=self.name)
        return results


class TrimmingCrm(WatchedCrm):
    """Stores notes in capitals, as real CRMs trim and truncate."""

    def write(self, entity, rows):
        return super().write(entity, [replace(row, values=_in_capitals(row.values)) for row in rows])


def _in_capitals(values):
    return {name: value.upper() if name == "note" and value else value for name, value in values.items()}


@dataclass
class World:
    """What a crash leaves. Many worlds share a database: each is a project of its own."""

    database: engine.Engine
    folder: Path
    options: Mapping[str, object] = field(default_factory=dict)
    crm_class: type[WatchedCrm] = WatchedCrm
    capabilities: Mapping[str, object] = field(default_factory=dict)
    """What the CRM says of itself instead."""
    target_options: Mapping[str, object] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"w{uuid.uuid4().hex[:12]}")
    keys: str = field(default_factory=KeyRing.generate)
    code: str = ""

    def __post_init__(self) -> None:
        self.root = self.folder / self.name
        (self.root / "legacy").mkdir(parents=True)
        for source in ("accounts", "contacts"):
            (self.root / "legacy" / f"{source}.csv").write_text("k\n1\n")
        spec = self._spec()
        mappings = {
            (name, source.name): MappingSpec.model_validate(
                {"entity": name, "source": source.name, "fields": [{"target": "name", "source": "k"}]}
            )
            for name, entity in spec.entities.items()
            for source in entity.sources
        }
        self.project = Project(spec, self.root / "rollout.yaml", self.root, mappings, Workspace(self.root / "ws"))
        with self.process() as process:
            self.code = people.add(process.context.journal, "tester")

    def _spec(self) -> ProjectSpec:
        def source(name: str) -> dict[str, object]:
            return {
                "name": name,
                "system": "legacy",
                "path": f"{name}.csv",
                "row_key": ["k"],
                "mapping": f"{name}.yaml",
            }

        def entity(label: str, fields: object, name: str) -> dict[str, object]:
            sources = [source(name)]
            return {"label": label, "title_field": "name", "fields": fields, "sources": sources, "adopt_by": [["name"]]}

        crm = {"store": self.name, "concurrency": 1, "entities": {"account": ACCOUNT, "contact": CONTACT}}
        target = {"system": "crm", "max_attempts": 3, "max_conflict_share": 1.0, "batch_rows": 2}
        return ProjectSpec.model_validate(
            {
                "project": {"id": self.name, "name": "Attacked"},
                "systems": {
                    "legacy": {"connector": "files", "options": {"root": "legacy"}},
                    "crm": {"connector": "memory", "options": {**crm, **self.options}},
                },
                "targets": {"test": {**target, **self.target_options}},
                "entities": {
                    "account": entity("客户", ACCOUNT, "accounts"),
                    "contact": entity("联系人", CONTACT, "contacts"),
                },
            }
        )

    @contextmanager
    def process(self, watch: Watch | None = None) -> Iterator[Process]:
        """One start of the program; whatever it left open is gone afterwards."""
        watch = watch or Watch()
        journal = WatchedJournal(self.database, self.name, KeyRing.parse(self.keys))
        journal.watch = watch
        crm = self._connector(self.crm_class)
        crm.watch = watch
        crm.capabilities = replace(crm.capabilities, **self.capabilities)
        context = PhaseContext(project=self.project, journal=journal)
        context._connectors["crm"] = crm
        try:
            yield Process(self, context, crm, self.code, watch)
        finally:
            context._connectors.clear()

    def _connector(self, kind: type[MemoryConnector]) -> MemoryConnector:
        return kind(name="crm", options=self.project.spec.systems["crm"].options, base_dir=self.root)

    @property
    def crm(self) -> MemoryConnector:
        """The CRM as people use it, much later."""
        crm = self._connector(MemoryConnector)
        commit_late_calls(crm)
        return crm

    def records(self, entity: str = "account") -> dict[str, TargetRecord]:
        """What the CRM holds, by id."""
        return {record.target_id: record for record in self.crm.read_all(entity)}

    def named(self, name: str, entity: str = "account") -> TargetRecord:
        """The record of a name."""
        found = [record for record in self.crm.read_all(entity) if record.values["name"] == name]
        assert len(found) == 1, f"{len(found)} records are called {name}"
        return found[0]

    def type_new(self, entity: str, **values: str | None) -> str:
        """A person makes a record; its id."""
        return self.crm.add(entity, values, user="sales")

    def edit(self, name: str, entity: str = "account", **values: str | None) -> None:
        """A person types."""
        self.crm.edit(entity, self.named(name, entity).target_id, values, user="sales")

    def query(self, statement: str, **parameters: object) -> list[tuple]:
        """Ask the journal's database about this world: ``:project`` is its project."""
        with engine.transaction(self.database) as connection:
            found = connection.execute(text(statement), {"project": self.name, **parameters})
            return [tuple(row) for row in found]

    def forget(self) -> None:
        """Release the CRM's records."""
        memory.forget_store(self.name)


@dataclass
class Process:
    """One start of the program, with the steps that people take."""

    world: World
    context: PhaseContext
    crm: WatchedCrm
    code: str
    watch: Watch

    def golden(self, accounts: Rows, contacts: Rows | None = None) -> None:
        """Put golden records in place, as a cleansing would: by golden key."""
        summary: dict[str, object] = {}
        journal, stages = self.context.journal, self.context.project.workspace.stages
        with journal.running("cleanse") as run:
            for ordinal, (entity, records) in enumerate((("account", accounts), ("contact", contacts or {}))):
                path = stages / entity / f"golden-{uuid.uuid4().hex}.parquet"
                path.parent.mkdir(exist_ok=True)
                columns = {"_golden_key": list(records), "_wave": ["all"] * len(records)} | {
                    name: [record.get(name) for record in records.values()]
                    for name in self.context.project.spec.entities[entity].fields
                }
                pq.write_table(pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), path)
                rows = [(key, "golden", key, None, "all") for key in records]
                journal.replace_ledger(entity, rows, source_rows={"all": len(rows)}, ordinal=ordinal, run_id=run.run_id)
                summary[entity] = {"golden_file": str(path.relative_to(stages))}
            run.summary = {"entities": summary, "inputs": source_inputs(self.context)}

    def plan(self) -> PlanSummary:
        """`rollout plan`."""
        return run_plan(self.context)

    def approve(self) -> None:
        """`rollout approve`."""
        approve(self.context, person="tester", code=self.code, reason="as agreed in the test")

    def load(self) -> LoadSummary:
        """`rollout load`."""
        return run_load(self.context)

    def delta(self) -> DeltaSummary:
        """`rollout delta`."""
        return run_delta(self.context)

    def retry(self) -> LoadSummary:
        """`rollout load --retry`."""
        return run_load(self.context, retry=True)

    def plan_undo(self, **what: object) -> UndoPlanSummary:
        """`rollout undo --wave all`, or what else is to be taken back."""
        return plan_undo(self.context, **(what or {"wave": "all"}))

    def undo(self) -> UndoSummary:
        """`rollout undo`."""
        return run_undo(self.context)

    def accounting(self) -> dict[str, Accounting]:
        """The conservation table."""
        return {line.entity: line for line in self.context.journal.accounting("test")}


@contextmanager
def database_of(url: str) -> Iterator[engine.Engine]:
    """A journal's database, up to date."""
    database = engine.connect(url)
    try:
        engine.upgrade(database)
        yield database
    finally:  # a test that fails here must not make another one of its process fail, too
        database.dispose()


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass that only people or real targets need.

    All processes of a world are this one: a holder of a lease counts as dead, as it would after ``kill -9``.
    """
    monkeypatch.setattr(leases, "_died", lambda _: True)
    monkeypatch.setattr(people, "_hash", lambda code, salt: hashlib.sha256(code.encode() + salt).digest())
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)
    monkeypatch.setattr(inspecting, "PAUSE_S", 0.01)


def assert_no_duplicates(world: World) -> None:
    """Never two records for one migration key."""
    for entity in ("account", "contact"):
        keys = [record.migration_key for record in world.records(entity).values() if record.migration_key]
        assert len(keys) == len(set(keys)), f"{entity}: two records for one migration key"


def assert_holds(world: World, entity: str, rows: Rows, *, of: Sequence[str] = ("name", "phone", "note")) -> None:
    """The CRM holds exactly these rows of ours, by name."""
    held = sorted(
        tuple(record.values.get(name) for name in of)
        for record in world.records(entity).values()
        if record.migration_key is not None
    )
    assert held == sorted(tuple(row.get(name) for name in of) for row in rows.values())
