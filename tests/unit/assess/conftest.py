from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.assess.findings import findings_of
from rollout.assess.model import EntityProfile, SourceProfile
from rollout.assess.profile import Settings, SourceInput, profile_source
from rollout.mapping.spec import MappingSpec, SourceSpec
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
        self.settings = Settings(placeholders=("-", "无"), phone_region="CN")

    def write(self, rows: list[dict[str, str | None]], name: str = "raw", keys: list[str] | None = None) -> Path:
        columns = list(dict.fromkeys(column for row in rows for column in row)) or list(GOOD)
        table = {column: pa.array([row.get(column) for row in rows], pa.string()) for column in columns}
        table["_key"] = pa.array(keys or [str(place) for place in range(len(rows))], pa.string())
        table["_file"] = pa.array(["legacy/a.csv"] * len(rows), pa.string())
        path = self.folder / f"{name}.parquet"
        pq.write_table(pa.table(table), path)
        return path

    def profile(self, rows: list[dict[str, str | None]], *, row_key: tuple[str, ...] = ("no",)) -> SourceProfile:
        rules = [{"target": name, "source": f"c {name}"} for name in FIELDS]
        source = SourceInput(
            spec=SourceSpec(name="s", system="legacy", path="*.csv", row_key=row_key, mapping="m.yaml"),
            mapping=MappingSpec(entity="e", source="s", fields=rules),
            fields=FIELDS,
            path=self.write(rows),
            encodings={"legacy/a.csv": "gb18030"},
            parents={"parent": [self.write([{"x": "1"}], "parent", keys=["P1"])]},
        )
        with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "1"}) as connection:
            return profile_source(connection, source, self.settings)

    def findings(self, rows: list[dict[str, str | None]], **options: tuple[str, ...]) -> list[Finding]:
        return findings_of(EntityProfile(name="e", label="E", sources=(self.profile(rows, **options),)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def good() -> Callable[..., dict[str, str | None]]:
    """A clean row with a key of its own."""

    def row(number: int, **changes: str | None) -> dict[str, str | None]:
        return GOOD | {"no": str(number)} | {f"c {name}": value for name, value in changes.items()}

    return row
