"""Real organisations matched by a model without labels: what nobody would doubt is merged, and blocks stay small."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.mapping.transforms_base import TransformContext
from rollout.match.matcher import MatchFiles, Matching, match_rows
from rollout.match.model import MemoryModels
from rollout.match.spec import MatchModel, MatchSpec
from rollout.match.weigh import weigh_pairs
from rollout.phases.stages import engine

SITES = Path(__file__).parents[3] / "shared" / "data" / "real" / "childcare-sites.csv"
MODEL = MatchModel(comparisons={"name": "text", "address": "address", "zip": "code", "phone": "phone"})
COLUMNS = {"name": "Site name", "address": "Address", "zip": "Zip", "phone": "Phone"}


def sites() -> list[dict[str, str | None]]:
    with SITES.open(encoding="utf-8", newline="") as file:
        rows = [
            {name: " ".join(row[column].split()) for name, column in COLUMNS.items()} for row in csv.DictReader(file)
        ]
    return [{name: (value or None) for name, value in row.items()} for row in rows]


def plain(row: dict[str, str | None]) -> tuple[str, ...]:
    """Letters and digits alone; rows that agree on all of it are one site to anybody."""
    return tuple(re.sub(r"[^a-z0-9]", "", (row[name] or "").lower()) for name in ("name", "address", "phone"))


@pytest.mark.attack
@pytest.mark.skipif(not SITES.is_file(), reason=f"childcare-sites.csv: {SITES} is not here")
def test_sites_that_nobody_would_doubt_become_one_record(tmp_path: Path) -> None:
    rows = sites()
    keys = [f"sites:{number}" for number in range(len(rows))]
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in COLUMNS}
    clean = tmp_path / "clean.parquet"
    pq.write_table(pa.table({**columns, "_source_key": keys, "_priority": pa.array([1] * len(rows))}), clean)
    files = MatchFiles(clean, *(tmp_path / f"{name}.parquet" for name in ("golden", "merges", "review")))
    fields = {name: name for name in COLUMNS}
    with engine(tmp_path) as connection:
        weighed = weigh_pairs(connection, clean, fields=fields, model=MODEL, store=MemoryModels(), where="account")
        matched = match_rows(
            connection, files, Matching(fields, MatchSpec(model=MODEL), TransformContext()), weighed.table
        )
    assert matched.golden + matched.merged == len(rows)
    assert 1_000 < matched.golden < 1_500
    merges = pq.read_table(files.merges)
    golden = dict(zip(merges["source_key"].to_pylist(), merges["golden_key"].to_pylist(), strict=True))
    same = defaultdict(set)
    for key, row in zip(keys, rows, strict=True):
        if all(plain(row)):
            same[plain(row)].add(golden.get(key, key))
    assert [records for records in same.values() if len(records) > 1] == []
    rules = pq.read_table(files.merges, columns=["rule"])["rule"].unique().to_pylist()
    assert rules == ["model"]
