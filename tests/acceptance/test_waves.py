"""The demo in its two waves, through the command line and over HTTP; the second is killed on its way."""

from __future__ import annotations

import json
import time

import pytest

REASON = "as agreed in the test"


def count(rollout, entity):
    with rollout.crm.client() as client:
        return client.get(f"/api/{entity}/count").json()["count"]


def verify(rollout, *arguments):
    """The wave that was verified, and the criteria that are not PASS."""
    stdout, _ = rollout.start("verify", *arguments, "--json").communicate(timeout=180)
    summary = json.loads(stdout)
    return summary["wave"], {found["metric"] for found in summary["criteria"] if found["verdict"] != "PASS"}


@pytest.mark.attack  # three verifications and a kill: half a minute of processor time and more
def test_the_pilot_and_the_rest_are_the_whole_source_though_the_rest_is_killed(make_rollout):
    rollout = make_rollout(
        waves=True, edit=lambda text: text.replace("    phases: [", "    batch_rows: 5\n    phases: [")
    )
    cleansed = rollout.run("cleanse")["entities"]
    assert all(sum(entity["waves"].values()) == entity["source"] for entity in cleansed.values())
    told = rollout.run("plan", "--wave", "pilots", exit_code=2)["error"]
    assert (told["type"], "pilot, rest" in told["hint"]) == ("ConfigError", True)

    plan = rollout.run("plan")
    assert plan["wave"] == "pilot"
    assert {name: entity["create"] for name, entity in plan["entities"].items()}.keys() == cleansed.keys()
    rollout.approve()
    pilot = rollout.run("load")
    assert (pilot["wave"], pilot["state"], pilot["accounted"], pilot["closed"]) == ("pilot", "applied", True, True)
    assert {name: line["source"] for name, line in pilot["entities"].items()} == {
        name: entity["waves"]["pilot"] for name, entity in cleansed.items()
    }
    assert verify(rollout) == ("pilot", set())

    refused = rollout.run("plan", "--wave", "rest", exit_code=2)["error"]
    assert (refused["type"], "needs a go of the pilot" in refused["message"]) == ("ApprovalError", True)
    rollout.run("decide", "pilot", "--go", "--override", "--by", "tester", "--reason", REASON)
    plan = rollout.run("plan", "--wave", "rest")
    rollout.run("approve", "--by", "tester", "--reason", REASON)
    held = count(rollout, "account")
    process = rollout.start("load")
    while count(rollout, "account") < held + 20:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)

    rest = rollout.run("load", "--wave", "rest")
    assert (rest["plan_id"], rest["state"], rest["accounted"], rest["closed"]) == (
        plan["plan_id"],
        "applied",
        True,
        True,
    )
    for name, entity in cleansed.items():
        lines = (pilot["entities"][name], rest["entities"][name])
        assert sum(line["source"] for line in lines) == entity["source"]
        assert sum(line["created"] for line in lines) == entity["golden"] == count(rollout, name)
    assert verify(rollout) == ("rest", set())
    assert verify(rollout, "--wave", "pilot") == ("pilot", set())
