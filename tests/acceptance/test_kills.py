"""`kill -9` in the middle of a load and of its undo, again and again: no duplicate, no loss (promises 3 and 4)."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from rollout.project import postgres
from tests.acceptance._forked import Forked, forked

KILLS = 20
MANY_KILLS = 100
SERVER_KILLS = 3
QUICK = {"fsync": "off"}
"""Processes are killed here, not machines."""
UNDO_KILLS = 8
EDITS = 10
CHANCE = random.Random(7)
DONE = "state NOT IN ('intent', 'retried', 'waiting')"


@pytest.fixture
def begun(make_rollout, tmp_path) -> Iterator[tuple[object, Forked, dict]]:
    """A plan that is approved, one row a call, so that there is something to kill between any two."""
    rollout = make_rollout(edit=_row_by_row)
    plan = rollout.plan()
    with forked(rollout.root, rollout.environ, tmp_path / "forked") as worker:
        yield rollout, worker, {name: entity["create"] for name, entity in plan["entities"].items()}


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.attack)])
def test_a_load_and_its_undo_that_are_killed_again_and_again_lose_and_double_nothing(begun, kills):
    rollout, worker, to_create = begun
    planned = sum(to_create.values())
    assert planned > kills
    for kill in range(1, kills + 1):
        _kill_behind(rollout, worker, planned * kill // (kills + 5), "load")
    assert _done(rollout, "load") < planned, "the load was over before the last kill"
    summary = worker.run("load")
    assert summary["state"] == "applied"
    assert_all_created(rollout, summary, to_create)

    edited = _edit(rollout)
    planned = rollout.run("undo", "--wave", "all")
    assert planned["kept"] >= EDITS
    rollout.run("approve", "--by", "tester", "--reason", "taken back on Thursday")
    for kill in range(1, UNDO_KILLS + 1):
        _kill_behind(rollout, worker, planned["deleted"] * kill // (UNDO_KILLS + 3), "undo")
    summary = worker.run("undo")
    assert (summary["state"], summary["kept"]) == ("applied", planned["kept"])
    assert summary["deleted"] == planned["deleted"] == sum(to_create.values()) - planned["kept"]
    with rollout.crm.client() as client:
        left = sum(client.get(f"/api/{entity}/count").json()["count"] for entity in to_create)
        assert left == planned["kept"]
        for target_id, typed in edited.items():
            assert client.get(f"/api/account/{target_id}").json()["fields"]["remark"] == typed
    assert _still_open(rollout) == [(0,)]


@pytest.mark.attack
def test_a_load_goes_on_when_its_postgresql_was_killed(make_rollout, tmp_path):
    """The journal's server, all of it, in the middle of a load; the CRM and its own database live on."""
    rollout, server = make_rollout(edit=_row_by_row), tmp_path / "server"
    try:
        rollout.database_url = rollout.environ["ROLLOUT_DATABASE_URL"] = postgres.start(server, settings=QUICK)
        plan = rollout.plan()
        to_create = {name: entity["create"] for name, entity in plan["entities"].items()}
        with forked(rollout.root, rollout.environ, tmp_path / "forked") as worker:
            for kill in range(1, SERVER_KILLS + 1):
                worker.start("load")
                while _done(rollout, "load") < sum(to_create.values()) * kill // (SERVER_KILLS + 2):
                    time.sleep(0.01)
                _kill_tree(postgres.status(server).pid)
                assert worker.wait() == 3, (worker.folder / "stderr").read_text("utf-8")
                rollout.database_url = rollout.environ["ROLLOUT_DATABASE_URL"] = postgres.start(server, settings=QUICK)
            assert_all_created(rollout, worker.run("load"), to_create)
    finally:
        postgres.stop(server)


def _kill_tree(pid: int) -> None:
    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([parent], timeout=30)


@pytest.mark.attack
def test_of_two_workers_one_loads_and_the_other_is_told_who_does(begun, tmp_path):
    rollout, worker, to_create = begun
    with forked(rollout.root, rollout.environ, tmp_path / "second") as second:
        pid = worker.start("load")
        while not _done(rollout, "load"):
            time.sleep(0.01)
        told = second.run("load", codes=(3,))
        assert told["error"]["type"] == "LeaseHeld"
        assert str(pid) in told["error"]["message"]
        # The one who loads is killed: the other one takes over at once.
        os.kill(pid, signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
        assert_all_created(rollout, second.run("load"), to_create)


@pytest.mark.attack
def test_two_impatient_administrators_who_click_everything_at_once_do_no_harm(begun, tmp_path):
    rollout, worker, to_create = begun
    with forked(rollout.root, rollout.environ, tmp_path / "second") as second:
        people = [threading.Thread(target=_click, args=(each,)) for each in (worker, second)]
        for person in people:
            person.start()
        for person in people:
            person.join()
        worker.run("plan")
        worker.run("approve", "--by", "tester", "--reason", "in peace")
        summary = worker.run("load")
    assert summary["accounted"]
    assert summary["closed"]
    _assert_in_the_crm(rollout, to_create)


def _click(worker: Forked) -> None:
    """Everything, whatever the program says: done, refused, or somebody else is at work."""
    for command in [*CHANCE.choices(["load", "plan", "approve"], k=4), "load"]:
        who = ["--by", "tester", "--reason", "hurry up"] if command == "approve" else []
        worker.run(command, *who, codes=(0, 1, 2, 3))


def assert_all_created(rollout, summary: dict, to_create: dict[str, int]) -> None:
    assert summary["accounted"]
    assert summary["closed"]
    for entity, expected in to_create.items():
        assert summary["entities"][entity]["created"] == expected
    _assert_in_the_crm(rollout, to_create)
    assert _still_open(rollout) == [(0,)]


def _assert_in_the_crm(rollout, to_create: dict[str, int]) -> None:
    with rollout.crm.client() as client:
        for entity, expected in to_create.items():
            assert client.get(f"/api/{entity}/count").json()["count"] == expected


def _still_open(rollout) -> list[tuple]:
    return rollout.query("SELECT count(*) FROM row_line WHERE state IN ('intent', 'unknown')")


def _row_by_row(text: str) -> str:
    """A project file with one row a call."""
    assert text.count("  test:\n    system: crm\n") == 1
    return text.replace("  test:\n    system: crm\n", "  test:\n    system: crm\n    batch_rows: 1\n")


def _kill_behind(rollout, worker: Forked, rows: int, command: str) -> None:
    """Start a command, and kill it a moment after so many rows are decided."""
    pid = worker.start(command)
    while _done(rollout, command) < rows and psutil.pid_exists(pid):
        time.sleep(0.01)
    time.sleep(CHANCE.uniform(0, 0.05))
    os.kill(pid, signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL, (worker.folder / "stderr").read_text("utf-8")


def _done(rollout, kind: str) -> int:
    """Rows that plans of a kind came to an end with."""
    [(rows,)] = rollout.query(
        f"SELECT count(*) FROM row_state s JOIN plan p USING (plan_id) WHERE p.kind = '{kind}' AND s.{DONE}"
    )
    return rows


def _edit(rollout) -> dict[str, str]:
    """Users type into some customers; answers what, by id."""
    with rollout.crm.client("zhang.wei") as client:
        records = client.get("/api/account", params={"limit": EDITS}).json()["records"]
        typed = {record["id"]: f"typed {number}" for number, record in enumerate(records)}
        for record in records:
            client.patch(
                f"/api/account/{record['id']}", json={"fields": {"remark": typed[record["id"]]}}
            ).raise_for_status()
    return typed
