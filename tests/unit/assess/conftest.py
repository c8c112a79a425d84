from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.assess.findings import findings_of
from rollout.assess.judge import judged, present_plans
from rollout.assess.model import EntityProfile, SourceProfile
from rollout.assess.profile import SourceInput, profile_source
from rollout.cleanse.chunk import CleansedChunk
from rollout.cleanse.rules import compile_mapping
from rollout.cleanse.stream import cleansed_chunks
from rollout.mapping.spec import MappingSpec, SourceSpec
from rollout.mapping.transforms_base import TransformContext
from rollout.model.entity import FieldSpec
from rollout.model.finding import Finding

FIELDS = {
    "name": FieldSpec(label="名称", required=True, max_length=10),
    "phone": FieldSpec(type="phone"),
    "email": FieldSpec(type="email", personal=True),
    "uscc": FieldSpec(type="uscc"),
    "since": FieldSpec(type="date"),
    "staff": FieldSpec(type="integer"),
    "revenue": FieldSpec(type="decimal"),
    "level": FieldSpec(type="picklist", picklist=("A", "B")),
    "active": FieldSpec(type="boolean"),
    "parent": FieldSpec(type="reference", references="parent"),
}
COLUMNS = {"no": None} | {name: f"c {name}" for name in FIELDS}
GOOD = {
    "no": "1", "c name": "恒泰精工", "c phone": "021-52345678", "c email": "a@b.example", "c uscc": "91310000MA1K35RU4P",
    "c since": "2015-03-08", "c staff": "12", "c revenue": "3.5", "c level": "A", "c active": "是", "c parent": "P1",
}  # fmt: skip


class Bench:
    """Writes raw stages the way reading does, profiles them, and answers profile and findings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = TransformContext(placeholders=("-", "无"))

    def write(self, rows: list[dict[str, str | None]], name: str = "raw", keys: list[str] | None = None) -> Path:
        columns = list(dict.fromkeys(column for row in rows for column in row)) or list(GOOD)
        table = {column: pa.array([row.get(column) for row in rows], pa.string()) for column in columns}
        table["_key"] = pa.array(keys or [str(place) for place in range(len(rows))], pa.string())
        table["_source_key"] = pa.array([f"s:{key}" for key in table["_key"].to_pylist()], pa.string())
        table["_source"] = pa.array(["s"] * len(rows), pa.string())
        table["_file"] = pa.array(["legacy/a.csv"] * len(rows), pa.string())
        table["_line"] = pa.array(range(2, len(rows) + 2), pa.int64())
        path = self.folder / f"{name}.parquet"
        pq.write_table(pa.table(table), path)
        return path

    def map(self, chunks: list[CleansedChunk]) -> Path:
        """What the mapping makes of the rows, as an assessment keeps it."""
        path = self.folder / "mapped.parquet"
        pq.write_table(pa.concat_tables([table for chunk in chunks for table in (chunk.clean, chunk.rejected)]), path)
        return path

    def profile(self, rows: list[dict[str, str | None]], **facts: int) -> SourceProfile:
        rules = [{"target": name, "source": f"c {name}"} for name in FIELDS]
        mapping = MappingSpec(entity="e", source="s", fields=rules)
        path = self.write(rows)
        present = {column for row in rows for column in row} or set(GOOD)
        plans = present_plans(compile_mapping(mapping, FIELDS, self.context), present)
        lacking = [column for column in mapping.columns if column not in present]
        source = SourceInput(
            spec=SourceSpec(name="s", system="legacy", path="*.csv", row_key=("no",), mapping="m.yaml"),
            mapping=mapping,
            fields=FIELDS,
            path=path,
            encodings={"legacy/a.csv": "gb18030"},
            mapped=self.map(list(cleansed_chunks(path, plans, self.context, chunk_rows=1000))),
            parents={"parent": "SELECT 'P1' AS key"},
            judgement=judged(cleansed_chunks(path, plans, self.context, chunk_rows=1000)),
            lacking={"legacy/a.csv": lacking} if lacking else {},
            **facts,
        )
        with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "1"}) as connection:
            return profile_source(connection, source, self.context.placeholders)

    def findings(self, rows: list[dict[str, str | None]], **facts: int) -> list[Finding]:
        return findings_of(EntityProfile(name="e", label="E", sources=(self.profile(rows, **facts),)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def good() -> Callable[..., dict[str, str | None]]:
    """A clean row with a key of its own."""

    def row(number: int, **changes: str | None) -> dict[str, str | None]:
        return GOOD | {"no": str(number)} | {f"c {name}": value for name, value in changes.items()}

    return row
