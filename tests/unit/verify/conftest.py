"""A small made-up entity pair, in the forms that the stages, the journal and a target give them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.connectors.base import TargetRecord
from rollout.model.entity import FieldSpec, FieldType
from rollout.verify.observe import observe
from rollout.verify.reconcile import CROSSWALK, KEPT, EntityData, reconcile

ACCOUNT = {"name": FieldSpec(required=True), "region": FieldSpec(), "remark": FieldSpec(verify=False)}
CONTACT = {"name": FieldSpec(required=True), "account": FieldSpec(type=FieldType.REFERENCE, references="account")}
FIELDS = {"account": ACCOUNT, "contact": CONTACT}


@dataclass
class World:
    """What was loaded (`golden`, `crosswalk`) and what the target holds (`records`), by entity; both editable."""

    folder: object
    golden: dict[str, dict[str, dict]] = field(default_factory=lambda: {"account": {}, "contact": {}})
    crosswalk: dict[str, dict[str, list]] = field(default_factory=lambda: {"account": {}, "contact": {}})
    records: dict[str, list[TargetRecord]] = field(default_factory=lambda: {"account": [], "contact": []})
    kept: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {"account": [], "contact": []})

    carried: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"account": (), "contact": ()})

    def load(self, entity, number, values, state="created", *, stored=None):
        golden, key, target_id = f"src:{entity}{number}", f"{entity[0].upper()}-{number}", f"T{entity[0]}{number}"
        self.golden[entity][golden] = dict(values)
        loaded = state in {"created", "updated", "unchanged", "adopted"}
        self.crosswalk[entity][key] = [golden, key, target_id if loaded else None, state]
        if loaded:
            self.records[entity].append(TargetRecord(entity, key, target_id, dict(stored or values)))

    def edit(self, entity, number, **values):
        rows = self.records[entity]
        key = f"{entity[0].upper()}-{number}"
        index = next(position for position, row in enumerate(rows) if row.migration_key == key)
        before = rows[index]
        changed = {**before.values, **values}  # noqa: PD011 - a record, not a frame
        rows[index] = replace(before, values=changed, modified_by="li.na")

    def drop(self, entity, *numbers):
        keys = {f"{entity[0].upper()}-{number}" for number in numbers}
        self.records[entity] = [row for row in self.records[entity] if row.migration_key not in keys]

    def reconcile(self, *entities):
        data = []
        for entity, fields in FIELDS.items():
            golden = self.folder / f"{entity}-golden.parquet"
            rows = [{**dict.fromkeys(fields), **row, "_golden_key": key} for key, row in self.golden[entity].items()]
            schema = pa.schema([(name, pa.string()) for name in (*fields, "_golden_key")])
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), golden)
            observed = self.folder / f"{entity}-observed.parquet"
            observe(self.records[entity], list(fields), observed, advance=lambda amount: None)
            crosswalk = [dict(zip(CROSSWALK.names, row, strict=True)) for row in self.crosswalk[entity].values()]
            kept = [dict(zip(KEPT.names, row, strict=True)) for row in self.kept[entity]]
            data.append(
                EntityData(
                    entity,
                    fields,
                    golden,
                    pa.Table.from_pylist(crosswalk, schema=CROSSWALK),
                    observed,
                    pa.Table.from_pylist(kept, schema=KEPT),
                    self.carried[entity],
                )
            )
        with duckdb.connect() as connection:
            return reconcile(connection, data, entities or tuple(FIELDS), folder=self.folder, tag="test")

    def rows(self, entity):
        frame = pd.read_parquet(self.folder / entity / "recon-test.parquet")
        return {row.migration_key: row for row in frame.itertuples()}

    def fields(self, entity):
        frame = pd.read_parquet(self.folder / entity / "recon-fields-test.parquet")
        return [(row.migration_key, row.field, row.kind, row.expected, row.observed) for row in frame.itertuples()]


@pytest.fixture
def world(tmp_path):
    """Twenty accounts and thirty contacts, loaded without a flaw."""
    world = World(tmp_path)
    for number in range(20):
        world.load("account", number, {"name": f"示例公司{number}", "region": "华东", "remark": "x"})
    for number in range(30):
        values = {"name": f"示例人{number}", "account": f"src:account{number % 20}"}
        world.load("contact", number, values, stored={**values, "account": f"Ta{number % 20}"})
    return world
