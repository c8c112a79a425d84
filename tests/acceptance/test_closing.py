"""The whole promise at once: a load with every fault, killed again and again, then taken back without losing an edit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import psutil
import pytest

from rollout.testbed.demodata import generate
from rollout.testbed.fault_kinds import Fault
from tests.acceptance._forked import Forked, forked

LIES = {Fault.PRETEND}
"""An answer that was never true: no program can know; such rows wait for a person (`not_readable`)."""
OF_ALL_CALLS = (
    Fault.ERROR_BEFORE,
    Fault.BAD_GATEWAY,
    Fault.UNAVAILABLE,
    Fault.TOO_MANY_REQUESTS,
    Fault.TOO_MANY_WITHOUT_DELAY,
    Fault.CONNECTION_RESET,
    Fault.TRUNCATED_BODY,
    Fault.NO_JSON,
)
SECONDS = {
    Fault.TIMEOUT_BEFORE: 2.5,
    Fault.TIMEOUT_AFTER: 2.5,
    Fault.LATE_COMMIT: 0.3,
    Fault.LAGGING_SEARCH: 0.3,
    Fault.TOO_MANY_REQUESTS: 0.1,
    Fault.DELAY_BEFORE: 0.1,
    Fault.DELAY_AFTER: 0.1,
}
CODES = (0, 1, 3)
"""Done; rows are open; the CRM could not be reached: each time the same command goes on."""
MAX_RUNS = 30


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    accounts: int
    batch_rows: int
    kills: int
    undo_kills: int
    edits: int
    rate: float
    """Share of the calls that meet with each fault."""


LARGE = Size(accounts=8_000, batch_rows=50, kills=20, undo_kills=5, edits=50, rate=0.012)


@pytest.fixture
def figures(record_property) -> Iterator[dict[str, object]]:
    """What was measured; printed, and kept with the test's result."""
    found: dict[str, object] = {}
    yield found
    for name, value in found.items():
        record_property(name, value)
        print(f"{name}: {value}")  # noqa: T201 - the figures of docs/reliability.md


@pytest.mark.attack
def test_nothing_of_eight_thousand_customers_is_lost_doubled_or_overwritten(make_rollout, tmp_path, figures):
    go_through(make_rollout, tmp_path, figures, LARGE)


def go_through(make_rollout, tmp_path, figures, size: Size) -> None:
    rollout = make_rollout(edit=lambda text: _settings(text, size))
    generate(rollout.root / "legacy", accounts=size.accounts, seed=5)
    to_create = {name: entity["create"] for name, entity in rollout.plan()["entities"].items()}
    with forked(rollout.root, rollout.environ, tmp_path / "forked") as worker:
        figures["rows"] = sum(to_create.values())
        begun_s = time.monotonic()
        _spoil(rollout, size, 7)
        figures["kills of the load"] = _kill_again_and_again(
            rollout, worker, "load", sum(to_create.values()), size.kills
        )
        summary = _to_the_end(worker, "load")
        suffered = Counter(
            {fault.value: times for met in rollout.crm.suffered().values() for fault, times in met.items() if times}
        )
        rollout.crm.forget_faults()
        summary = _to_the_end(worker, "load") if summary["state"] == "loading" else summary
        figures["load, seconds"] = round(time.monotonic() - begun_s)
        figures["faults"] = dict(suffered)
        held = {entity: _all(rollout, entity) for entity in to_create}
        keys = {entity: Counter(record["migration_key"] for record in records) for entity, records in held.items()}
        figures["doubled"] = sum(times - 1 for of_entity in keys.values() for times in of_entity.values())
        figures["missing"] = sum(to_create[entity] - len(of_entity) for entity, of_entity in keys.items())
        assert (figures["doubled"], figures["missing"]) == (0, 0)
        assert summary["accounted"]
        assert summary["closed"], summary["reasons"]

        edits = _edit(rollout, held["account"], size.edits)
        edited = {record["id"]: record for record in _all(rollout, "account") if record["id"] in edits}
        planned = worker.run("undo", "--wave", "all")
        worker.run("approve", "--by", "tester", "--reason", "taken back on Thursday")
        begun_s = time.monotonic()
        _spoil(rollout, size, 8)
        figures["kills of the undo"] = _kill_again_and_again(
            rollout, worker, "undo", planned["deleted"], size.undo_kills
        )
        done = _to_the_end(worker, "undo")
        rollout.crm.forget_faults()
        done = _to_the_end(worker, "undo") if done["state"] == "loading" else done
        figures["undo, seconds"] = round(time.monotonic() - begun_s)
    figures |= {name: done[name] for name in ("deleted", "restored", "kept", "conflicts", "unknown", "open")}
    left = {entity: {record["id"]: record for record in _all(rollout, entity)} for entity in to_create}
    figures["edits lost"] = sum(
        left["account"].get(at, {}).get("fields") != record["fields"] for at, record in edited.items()
    )
    assert figures["edits lost"] == 0
    assert set(left["account"]) == set(edits), "what nobody touched is gone, what people touched is there"
    assert left["contact"] == {}
    assert (done["state"], done["kept"], done["deleted"]) == (
        "applied",
        size.edits,
        sum(to_create.values()) - size.edits,
    )
    assert {record["reason"] for record in done["kept_records"]} == {"edited_since"}


def _settings(text: str, size: Size) -> str:
    target = f"  test:\n    system: crm\n    batch_rows: {size.batch_rows}\n    max_attempts: 8\n"
    text = text.replace("  test:\n    system: crm\n", target)
    return text.replace("      username: migration\n", "      username: migration\n      timeout_s: 2\n", 1)


def _spoil(rollout, size: Size, seed: int) -> None:
    of_batches = dict.fromkeys(set(Fault) - LIES, size.rate)
    of_reads = dict.fromkeys(OF_ALL_CALLS, size.rate / 2)
    rates = {f"{entity}/batch": of_batches for entity in ("account", "contact")}
    rates |= {f"{entity}/{call}": of_reads for entity in ("account", "contact") for call in ("lookup", "links")}
    rollout.crm.schedule_faults(seed, rates, seconds=SECONDS)


def _kill_again_and_again(rollout, worker: Forked, command: str, rows: int, kills: int) -> int:
    """Kill a command each time it has done a part of its rows; when it gives up by itself it is started again."""
    chance, done = random.Random(3), 0
    for kill in range(1, kills + 1):
        for _ in range(MAX_RUNS):
            pid = worker.start(command)
            while _decided(rollout, command) < rows * kill // (kills + 2) and psutil.pid_exists(pid):
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.1))
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
            if worker.wait() == -signal.SIGKILL:
                done += 1
                break
    return done


def _to_the_end(worker: Forked, command: str) -> dict:
    for _ in range(MAX_RUNS):
        told = worker.run(command, codes=CODES)
        if told.get("state") in ("applied", "already_applied"):
            return told
    return told


def _decided(rollout, kind: str) -> int:
    [(rows,)] = rollout.query(
        "SELECT count(*) FROM row_state s JOIN plan p USING (plan_id)"
        f" WHERE p.kind = '{kind}' AND s.state NOT IN ('intent', 'retried', 'waiting', 'unknown')"
    )
    return rows


def _all(rollout, entity: str) -> list[dict]:
    def pages() -> Iterator[list[dict]]:
        after = None
        with rollout.crm.client() as client:
            while True:
                parameters = {"limit": 500} | ({"after": after} if after else {})
                page = client.get(f"/api/{entity}", params=parameters).raise_for_status().json()
                yield page["records"]
                after = page.get("next")
                if not after:
                    return

    return list(chain.from_iterable(pages()))


def _edit(rollout, accounts: list[dict], edits: int) -> set[str]:
    """Users type into customers that they have: their ids."""
    chosen = random.Random(4).sample(accounts, edits)
    with rollout.crm.client("zhang.wei") as client:
        for number, record in enumerate(chosen):
            fields = {"remark": f"打过电话 {number}", "level": "A" if record["fields"]["level"] != "A" else "B"}
            client.patch(f"/api/account/{record['id']}", json={"fields": fields}).raise_for_status()
    return {record["id"] for record in chosen}
