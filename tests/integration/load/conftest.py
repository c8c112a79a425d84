"""A small project whose golden records are written directly, so that planning and loading are tested by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.connectors import memory
from rollout.connectors.base import TargetRecord
from rollout.connectors.memory import MemoryConnector
from rollout.journal import people
from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.phases.approve import approve
from rollout.phases.context import PhaseContext
from rollout.phases.drift import source_inputs
from rollout.phases.load import LoadSummary, run_load
from rollout.phases.plan import PlanSummary, run_plan
from rollout.project.loader import Project
from rollout.project.spec import ProjectSpec
from rollout.project.workspace import Workspace

ACCOUNT = {"name": {"required": True}, "phone": {"type": "phone"}, "note": {"max_length": 20}}
CONTACT = {"name": {"required": True}, "account": {"type": "reference", "references": "account", "required": True}}


def spec(store: str, **options: object) -> ProjectSpec:
    def source(name: str) -> dict[str, object]:
        return {"name": name, "system": "legacy", "path": f"{name}.csv", "row_key": ["k"], "mapping": f"{name}.yaml"}

    return ProjectSpec.model_validate(
        {
            "project": {"id": "tiny", "name": "Tiny"},
            "systems": {
                "legacy": {"connector": "files", "options": {"root": "legacy"}},
                "crm": {
                    "connector": "memory",
                    "options": {"store": store, "entities": {"account": ACCOUNT, "contact": CONTACT}, **options},
                },
            },
            "targets": {"test": {"system": "crm", "max_attempts": 3, "max_conflict_share": 0.5}},
            "entities": {
                "account": {"label": "客户", "title_field": "name", "fields": ACCOUNT, "sources": [source("accounts")]},
                "contact": {
                    "label": "联系人",
                    "title_field": "name",
                    "fields": CONTACT,
                    "sources": [source("contacts")],
                },
            },
        }
    )


@dataclass
class Bench:
    """A rollout in a temporary folder, with the steps that tests take."""

    context: PhaseContext
    code: str

    @property
    def crm(self) -> MemoryConnector:
        connector = self.context.connector("crm")
        assert isinstance(connector, MemoryConnector)
        return connector

    def golden(
        self,
        accounts: Mapping[str, Mapping[str, str | None]],
        contacts: Mapping[str, Mapping[str, str | None]] | None = None,
        *,
        merged: Mapping[str, str] | None = None,
        **others: Mapping[str, Mapping[str, str | None]],
    ) -> None:
        """Put golden records in place, as a cleansing would: by golden key; ``merged`` maps source to golden key."""
        summary: dict[str, object] = {}
        ledgers = []
        for ordinal, (entity, records) in enumerate({"account": accounts, "contact": contacts or {}, **others}.items()):
            fields = list(self.context.project.spec.entities[entity].fields)
            path = self.context.project.workspace.stages / entity / f"golden-{len(list(self._stages(entity)))}.parquet"
            path.parent.mkdir(exist_ok=True)
            columns = {"_golden_key": list(records), "_wave": ["all"] * len(records)} | {
                name: [record.get(name) for record in records.values()] for name in fields
            }
            pq.write_table(pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), path)
            rows = [(key, "golden", key, None, "all") for key in records]
            if entity == "account":
                rows += [(key, "merged", golden, "uscc", "all") for key, golden in (merged or {}).items()]
            ledgers.append((entity, rows, ordinal))
            summary[entity] = {"golden_file": str(path.relative_to(self.context.project.workspace.stages))}
        inputs = source_inputs(self.context)
        with self.context.journal.running("cleanse") as run:
            for entity, rows, ordinal in ledgers:
                self.context.journal.replace_ledger(
                    entity, rows, source_rows={"all": len(rows)}, ordinal=ordinal, run_id=run.run_id
                )
            run.summary = {
                "entities": summary,
                "inputs": inputs,
            }

    def _stages(self, entity: str) -> Sequence[Path]:
        return list((self.context.project.workspace.stages / entity).glob("*"))

    def plan(self) -> PlanSummary:
        return run_plan(self.context)

    def approve(self) -> None:
        approve(self.context, person="tester", code=self.code, reason="as agreed in the test")

    def load(self) -> LoadSummary:
        return run_load(self.context)

    def plan_and_load(self) -> LoadSummary:
        self.plan()
        self.approve()
        return self.load()

    def records(self, entity: str = "account") -> dict[str, TargetRecord]:
        """What the CRM holds, by name."""
        found = list(self.crm.read_all(entity))
        by_name = {str(record.values["name"]): record for record in found}
        assert len(by_name) == len(found), "two records of one name"
        return by_name

    def edit(self, name: str, **values: str | None) -> None:
        """Change an account in the CRM as a person would."""
        self.crm.edit("account", self.records()[name].target_id, values, user="sales")

    def touch_source(self) -> None:
        """Change a legacy file."""
        file = self.context.project.root / "legacy" / "accounts.csv"
        file.write_text(file.read_text() + "x\n")


@pytest.fixture
def make_bench(tmp_path: Path, pg_url: str):
    """Makes a bench; options go to the memory connector."""
    benches = []

    def make(**options: object) -> Bench:
        (tmp_path / "legacy").mkdir(exist_ok=True)
        for name in ("accounts", "contacts"):
            (tmp_path / "legacy" / f"{name}.csv").write_text("k\n1\n")
        project = Project(
            spec(str(tmp_path), **options), tmp_path / "rollout.yaml", tmp_path, {}, Workspace(tmp_path / ".rollout")
        )
        journal = Journal.open(pg_url, project_id="tiny", keys=KeyRing.parse(KeyRing.generate()))
        bench = Bench(PhaseContext(project=project, journal=journal), people.add(journal, "tester"))
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        bench.context.close()
    memory.forget_store(str(tmp_path))


@pytest.fixture
def bench(make_bench) -> Bench:
    return make_bench()
