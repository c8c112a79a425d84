"""Data that nobody on this project made is read whole, cell by cell and line by line."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from rollout.connectors.files import FilesConnector
from rollout.mapping.spec import SourceSpec
from rollout.project.loader import check_project
from rollout.testbed.demodata import generate, read_names

HERE = Path(__file__).parent
DATA = HERE.parents[1].parent / "shared" / "data" / "real"
SITES, NAMES = DATA / "childcare-sites.csv", DATA / "company-short-names.txt"

needs_sites = pytest.mark.skipif(not SITES.is_file(), reason=f"childcare-sites.csv: {SITES} is not here")
needs_names = pytest.mark.skipif(not NAMES.is_file(), reason=f"company-short-names.txt: {NAMES} is not here")


def test_the_project_is_valid() -> None:
    environ = {
        "ROLLOUT_REAL_DATA": str(DATA),
        "ROLLOUT_TESTBED_URL": "http://127.0.0.1:9",
        "ROLLOUT_TESTBED_PASSWORD": "a-password",
    }
    assert check_project(HERE / "rollout.yaml", environ=environ) == []


@needs_sites
def test_all_3337_childcare_sites_are_read_as_another_parser_reads_them() -> None:
    source = SourceSpec(name="sites", system="lists", path=SITES.name, row_key=("Id",), mapping="m.yaml")
    chunks = list(FilesConnector("lists", {"root": str(DATA)}, HERE).read(source, chunk_rows=1_000))
    frame = pd.concat([chunk.frame for chunk in chunks], ignore_index=True)
    assert all(chunk.unreadable is None for chunk in chunks)

    with SITES.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        rows, lines, after = [], [], reader.line_num
        for row in reader:
            rows.append(row)
            lines.append(after + 1)
            after = reader.line_num
    assert len(frame) == len(rows) == 3_337
    assert frame["_line"].tolist() == lines
    assert frame[header].fillna("").to_numpy().tolist() == rows
    assert frame["Site name"].str.contains("\n").any()


@needs_names
def test_customers_can_be_built_from_real_short_names(tmp_path: Path) -> None:
    names = read_names(NAMES)
    assert len(names) > 200_000
    data = generate(tmp_path / "legacy", accounts=200, seed=3, names=names)
    source = SourceSpec(
        name="customers", system="legacy", path="legacy/customers/*.csv", row_key=("客户编号",), mapping="m.yaml"
    )
    chunks = FilesConnector("legacy", {}, tmp_path).read(source, chunk_rows=1_000)
    read = pd.concat([chunk.frame for chunk in chunks])["客户名称"].dropna()
    assert data.accounts == 200
    used = {names[number * 7_919 % len(names)] for number in range(data.accounts)}
    # Of the planted defects one breaks a name in two.
    assert sum(any(short in name for short in used) for name in read) >= len(read) - 2
