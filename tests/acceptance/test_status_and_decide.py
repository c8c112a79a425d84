"""`rollout prepare`, `status` and `decide` as people run them."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.attack
def test_a_project_manager_sees_every_phase_and_decides_by_name(make_rollout):
    rollout = make_rollout(waves=True)
    first = rollout.run("status")
    assert [(phase["phase"], phase["wave"]) for phase in first["phases"]][:4] == [
        ("prepare", None),
        ("assess", None),
        ("cleanse", None),
        ("plan", first["phases"][3]["wave"]),
    ]
    assert first["phases"][-1]["phase"] == "operate"
    assert (first["next"]["phase"], first["next"]["state"], first["next"]["verdict"]) == (
        "prepare",
        "not_started",
        None,
    )
    assert "rollout prepare" in first["next"]["waiting_for"]

    assert rollout.run("prepare", exit_code=1)["people"] == 0
    assert "rollout people add" in rollout.run("status")["next"]["waiting_for"]
    rollout.environ["ROLLOUT_CODE"] = rollout.run("people", "add", "王经理")["code"]
    prepared = rollout.run("prepare")
    assert (prepared["errors"], prepared["people"]) == (0, 1)
    assert rollout.run("status")["next"]["phase"] == "assess"

    decide = ("decide", "loadtest", "--go", "--by", "王经理", "--reason", "tested by the vendor")
    refused = rollout.run(*decide, exit_code=2)["error"]
    assert (refused["type"], "--override" in refused["hint"]) == ("ApprovalError", True)
    assert "was never judged" in refused["message"]
    decided = rollout.run(*decide, "--override")
    assert (decided["go"], decided["override"], decided["status"]["state"]) == (True, True, "done")
    assert (
        rollout.run("decide", "pilot", "--by", "王经理", "--reason", "r", exit_code=2)["error"]["type"] == "UsageError"
    )
    assert rollout.run("decide", "pilot", "--no-go", "--by", "王经理", "--reason", "r")["status"]["state"] == "no_go"

    loadtest = next(phase for phase in rollout.run("status")["phases"] if phase["phase"] == "loadtest")
    assert (loadtest["decided_by"], loadtest["is_override"], loadtest["reason"]) == (
        "王经理",
        True,
        "tested by the vendor",
    )
    process = rollout.start("status")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "gate loadtest: overridden by 王经理 (loadtest" in told
    assert "Next: assess. Run `rollout assess`" in told


def test_help_names_what_can_be_decided():
    command = [sys.executable, "-c", "from rollout.cli import main; main()", "decide", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "verify|integrate|loadtest|undo|pilot|golive" in told
