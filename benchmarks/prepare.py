"""Reading, assessing, cleansing and matching customers, against PostgreSQL's COPY of the same file in the same run.

COPY is the floor: it parses the same CSV, converts the same encoding and writes the rows once. Each size is prepared
in a process of its own, whose peak memory is its own.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import yaml
from psycopg import sql

from benchmarks.company import customers_and_contacts
from rollout.project import postgres
from rollout.testbed.demodata.layout import ACCOUNT_COLUMNS
from rollout.testbed.demodata.rows import BLOCK_ROWS, make_block

ROWS = 1_000_000
GROWTH = 3
MAX_COPY_RATIO = 10.0
MAX_PEAK_MB = 2048.0
MAX_TIME_GROWTH, MAX_MEMORY_GROWTH = 3.5, 1.5
_COPIES = 3


def main(rows: int = ROWS) -> bool:
    """Print the ratios; True if all are met."""
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as folder:
        root = Path(folder)
        projects = {size: _project(root / str(size), size) for size in (rows, rows * GROWTH)}
        server = root / "postgres"
        url = postgres.start(server)
        try:
            copy_s = statistics.median(_copy_s(url, _file(projects[rows])) for _ in range(_COPIES))
            print(f"COPY of {rows:,} rows: {copy_s:.2f} s (median of {_COPIES})", flush=True)
            small, large = (_prepare(project, url) for project in projects.values())
        finally:
            postgres.stop(server)
    for size, done in zip(projects, (small, large), strict=True):
        steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in done["steps_s"].items())
        print(f"{size:,} rows: {done['seconds']:.1f} s ({steps}), peak {done['peak_mb']:.0f} MB, {done['became']}")
    return all(
        (
            _judge("time ÷ COPY", small["seconds"] / copy_s, MAX_COPY_RATIO),
            _judge("peak memory, MB", small["peak_mb"], MAX_PEAK_MB),
            _judge(f"time at {GROWTH} times the rows", large["seconds"] / small["seconds"], MAX_TIME_GROWTH),
            _judge(f"memory at {GROWTH} times the rows", large["peak_mb"] / small["peak_mb"], MAX_MEMORY_GROWTH),
        )
    )


def _judge(what: str, observed: float, at_most: float) -> bool:
    met = observed <= at_most
    print(f"{what}: {observed:.2f} (at most {at_most:g}) {'PASS' if met else 'FAIL'}", flush=True)
    return met


def _project(root: Path, rows: int) -> Path:
    """The demo project with made-up customers in one file; only the customers are prepared."""
    document = customers_and_contacts(root)
    document["systems"] = {name: document["systems"][name] for name in ("legacy", "crm")}
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    (root / "rollout.yaml").write_text(text, encoding="utf-8")
    path = _file(root)
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="gb18030", newline="") as stream:
        writer = csv.DictWriter(stream, ACCOUNT_COLUMNS)
        writer.writeheader()
        for first in range(0, rows, BLOCK_ROWS):
            writer.writerows(make_block(first, min(BLOCK_ROWS, rows - first), seed=1, names=()).accounts)
    print(f"{rows:,} made-up rows, {path.stat().st_size / 1e6:.0f} MB", flush=True)
    return root


def _file(root: Path) -> Path:
    return root / "legacy" / "customers" / "客户_全部.csv"


def _copy_s(url: str, path: Path) -> float:
    """Seconds that COPY needs for the file into a table of text columns."""
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in ACCOUNT_COLUMNS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS floor")
        connection.execute(sql.SQL("CREATE TABLE floor ({})").format(columns))
        began = time.perf_counter()
        copy = "COPY floor FROM STDIN WITH (FORMAT csv, HEADER, ENCODING 'GB18030')"
        with path.open("rb") as stream, connection.cursor().copy(copy) as sink:
            while piece := stream.read(1 << 20):
                sink.write(piece)
        return time.perf_counter() - began


def _prepare(project: Path, url: str) -> dict:
    """What the worker measured of itself."""
    environment = os.environ | {
        "ROLLOUT_DATABASE_URL": url,
        "ROLLOUT_TESTBED_URL": "http://127.0.0.1:9",
        "ROLLOUT_TESTBED_PASSWORD": "not used",
    }
    worker = Path(__file__).with_name("prepare_worker.py")
    done = subprocess.run(
        [sys.executable, str(worker), str(project)], env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)
