"""Rows a second through plan, intent and outcome into the memory connector, whose own share of the cost is small."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.company import all_created, approve_plan, cleansed, database, make_company, running_postgres, timed
from benchmarks.figures import judge_at_least
from rollout.connectors.memory import MemoryField
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan

ACCOUNTS = 50_000
TURNS = 3
MIN_ROWS_PER_S = 10_000.0


def main(rows: int = ACCOUNTS) -> bool:
    """Print rows a second; True if there are enough. ``rows`` is the number of customers; contacts come on top."""
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as folder:
        root = Path(folder)
        path = make_company(root / "company", rows, _memory)
        with running_postgres(root / "postgres") as server, database(server, "journal") as url:
            turns = [_turn(path, url, str(turn)) for turn in range(1, TURNS + 1)]
    rates = [planned / (plan_s + load_s) for planned, plan_s, load_s in turns]
    return judge_at_least(f"plan and load, rows a second (median of {TURNS})", statistics.median(rates), MIN_ROWS_PER_S)


def _memory(document: Mapping[str, Any]) -> dict[str, Any]:
    """The memory connector with the demo's own fields."""
    entities = {
        name: {
            field: {key: value for key, value in spec.items() if key in MemoryField.model_fields}
            for field, spec in entity["fields"].items()
        }
        for name, entity in document["entities"].items()
    }
    return {"connector": "memory", "options": {"entities": entities}}


def _turn(path: Path, url: str, turn: str) -> tuple[int, float, float]:
    """Rows planned, seconds to plan, seconds to load: into an empty target, by a project that knows nothing yet."""
    with cleansed(path, url, turn, {}) as context:
        plan_s, plan = timed(url, lambda: run_plan(context))
        approve_plan(context)
        load_s, load = timed(url, lambda: run_load(context))
    rows = all_created(plan, load)
    print(
        f"turn {turn}: {rows:,} rows, plan {plan_s:.2f} s ({rows / plan_s:,.0f} rows/s), "
        f"load {load_s:.2f} s ({rows / load_s:,.0f} rows/s), together {rows / (plan_s + load_s):,.0f} rows/s",
        flush=True,
    )
    return rows, plan_s, load_s
