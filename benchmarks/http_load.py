"""Loading the testbed CRM over HTTP, against a bare client that posts the same batches without journal or plan.

The bare client sends the very requests that the load sent, as many at once, each into an empty CRM of its own. They
take turns, so that whatever else the machine does falls upon both. In a third run the bare client does not ask for the
records as they are stored, which only the load has a use for: it shows what the CRM takes for that.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx

from benchmarks.company import all_created, approve_plan, cleansed, database, make_company, running_postgres, timed
from benchmarks.figures import judge_at_least
from rollout.connectors.crm_testbed import translate
from rollout.model.target import RowResult, WriteRow
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.testbed import server
from rollout.testbed.server import Testbed

ACCOUNTS = 10_000
TURNS = 5
MIN_SHARE = 0.80


@dataclass(frozen=True)
class _Message:
    """A row as the API takes it, and the migration keys of its parents by field: their ids differ from CRM to CRM."""

    body: dict[str, Any]
    parents: Mapping[str, str]


@dataclass(frozen=True)
class _Work:
    """What both clients send: entity and messages of each batch, parents' batches first; and how many calls at once."""

    batches: Sequence[tuple[str, list[_Message]]]
    concurrency: int
    rows: int


@dataclass
class _Recorder:
    """Stands before the connector's `write` and notes what went through it."""

    write: Callable[[str, Sequence[WriteRow]], Sequence[RowResult]]
    batches: list[tuple[str, Sequence[WriteRow]]] = field(default_factory=list)
    key_of: dict[str, str] = field(default_factory=dict)
    """Migration keys by the ids that this CRM gave."""

    def __call__(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        self.batches.append((entity, rows))
        results = self.write(entity, rows)
        self.key_of.update((result.target_id, result.migration_key) for result in results if result.target_id)
        return results


def main(rows: int = ACCOUNTS) -> bool:
    """Print the ratio; True if it is met. ``rows`` is the number of customers; contacts come on top."""
    planned, loaded, bare, brief = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as folder, ExitStack() as stack:
        root = Path(folder)
        path = make_company(root / "company", rows, lambda document: document["systems"]["crm"])
        postgres = stack.enter_context(running_postgres(root / "postgres"))
        journal = stack.enter_context(database(postgres, "journal"))
        for turn in range(1, TURNS + 1):
            with database(postgres, "testbed") as url, server.running(url) as crm:
                plan_s, load_s, work = _rollout(path, journal, crm, str(turn))
            bare_s, brief_s = (_bare(postgres, journal, work, return_records=asked) for asked in (True, False))
            planned.append(work.rows / (plan_s + load_s))
            loaded.append(work.rows / load_s)
            bare.append(work.rows / bare_s)
            brief.append(work.rows / brief_s)
            print(
                f"turn {turn}: {work.rows:,} rows; plan {plan_s:.2f} s, load {load_s:.2f} s ({loaded[-1]:,.0f}/s), "
                f"bare client {bare_s:.2f} s ({bare[-1]:,.0f}/s), without records {brief_s:.2f} s",
                flush=True,
            )
    load = statistics.median(loaded)
    print(
        f"plan and load together ÷ bare client: {statistics.median(planned) / statistics.median(bare):.2f}, not judged"
    )
    print(f"load ÷ bare client that is not told what was stored: {load / statistics.median(brief):.2f}, not judged")
    return judge_at_least(
        f"load ÷ bare client, rows a second (medians of {TURNS})", load / statistics.median(bare), MIN_SHARE
    )


def _bare(postgres: str, journal: str, work: _Work, *, return_records: bool) -> float:
    """Seconds that the bare client needs."""
    with database(postgres, "testbed") as url, server.running(url) as crm:
        seconds, created = timed(journal, partial(_post_all, crm, work, return_records=return_records))
    if created != work.rows:
        raise RuntimeError(f"the bare client created {created} of {work.rows} rows: nothing to compare")
    return seconds


def _rollout(path: Path, journal: str, crm: Testbed, turn: str) -> tuple[float, float, _Work]:
    """Seconds to plan and to load, and what was sent."""
    environ = {"ROLLOUT_TESTBED_URL": crm.base_url, "ROLLOUT_TESTBED_PASSWORD": crm.password}
    with cleansed(path, journal, turn, environ) as context:
        plan_s, plan = timed(journal, lambda: run_plan(context))
        approve_plan(context)
        _, settings, target = context.target("load")
        recorder = _Recorder(target.write)
        target.write = recorder  # type: ignore[method-assign] # an append a batch: nothing that could be measured
        load_s, load = timed(journal, lambda: run_load(context))
        schema = target.describe().entities
        entities = context.project.spec.entities
        batches = [
            (entity, [_message(row, shape, entities[entity].references, recorder.key_of) for row in rows])
            for entity, rows in recorder.batches
            for shape in (translate.shape(schema[entity]),)
        ]
        limit = target.capabilities.concurrency
        return plan_s, load_s, _Work(batches, min(settings.concurrency or limit, limit), all_created(plan, load))


def _message(row: WriteRow, shape: translate.Shape, references: Collection[str], key_of: Mapping[str, str]) -> _Message:
    parents = {name: key_of[value] for name in references if (value := row.values.get(name)) is not None}
    return _Message(translate.to_message(shape, row), parents)


def _post_all(crm: Testbed, work: _Work, *, return_records: bool) -> int:
    """Log in and post everything, parents first, and take from the answers only the ids; rows created."""
    ids: dict[str, str] = {}
    with crm.client() as client, ThreadPoolExecutor(work.concurrency) as pool:
        for entity, batches in groupby(work.batches, key=itemgetter(0)):
            post = partial(_post, client, entity, ids, return_records=return_records)
            for answer in pool.map(post, [messages for _, messages in batches]):
                ids.update(answer)
    return len(ids)


def _post(
    client: httpx.Client, entity: str, ids: Mapping[str, str], batch: Sequence[_Message], *, return_records: bool
) -> dict[str, str]:
    """Post a batch; ids by migration key of what was created."""
    rows = [
        {**message.body, "fields": message.body["fields"] | {name: ids[key] for name, key in message.parents.items()}}
        for message in batch
    ]
    body = {"rows": rows, "return_records": return_records}
    answer = client.post(f"/api/{entity}/batch", json=body).raise_for_status().json()
    return {item["migration_key"]: item["id"] for item in answer["outcomes"] if item["status"] == "created"}
