"""The main job on the demo through the command line: shapes of the answers, a second round, a CRM that is down."""

from __future__ import annotations

import pytest

BUCKETS = {
    "source",
    "created",
    "updated",
    "unchanged",
    "adopted",
    "merged",
    "rejected",
    "quarantined",
    "skipped",
    "conflict",
    "waiting",
    "unknown",
}


@pytest.mark.attack
def test_the_demo_is_loaded_verified_found_unchanged_and_survives_a_crm_that_is_down(make_rollout):
    rollout = make_rollout(whole=True)
    rollout.run("assess")
    rollout.run("cleanse")
    refused = rollout.run("plan", exit_code=2)["error"]
    assert "dormant" in refused["hint"]
    rollout.environ["ROLLOUT_CODE"] = rollout.run("people", "add", "tester")["code"]
    rollout.run("dormant", "decide", "--all", "frozen", "--by", "tester", "--reason", "as agreed in the test")
    rollout.run("cleanse")
    rollout.run("plan")
    rollout.run("approve", "--by", "tester", "--reason", "as agreed in the test")

    loaded = rollout.run("load")
    assert len(loaded["entities"]) == 10
    for line in loaded["entities"].values():
        assert set(line) >= BUCKETS
        assert line["source"] == sum(line[bucket] for bucket in BUCKETS - {"source"})
        assert line["created"] > 0
    for name in ("account", "contact"):
        assert loaded["entities"][name]["merged"] > 0
        assert loaded["entities"][name]["quarantined"] > 0
    assert loaded["accounted"] is True

    verified = rollout.run("verify")
    assert verified["verdict"] == "PASS"
    assert {"metric", "observed", "threshold", "verdict"} <= set(verified["criteria"][0])
    assert {"size", "bound"} <= set(verified["sample"])
    assert 0 < verified["sample"]["bound"] <= 0.01

    again = rollout.run("load")
    assert again["state"] == "already_applied"
    assert again["accounted"] is True
    plan = rollout.run("plan")
    assert all(entity["create"] == entity["update"] == 0 for entity in plan["entities"].values())
    rollout.run("approve", "--by", "tester", "--reason", "nothing changes")
    unchanged = rollout.run("load")
    assert unchanged["accounted"] is True
    for name, line in unchanged["entities"].items():
        assert line["unchanged"] == loaded["entities"][name]["created"]

    rollout.crm.kill()
    for verb in ("plan", "verify"):
        error = rollout.run(verb, exit_code=3)["error"]
        assert rollout.crm.base_url in error["message"] + error["where"]
        assert error["hint"]
    assert rollout.query("SELECT count(*) FROM row_state WHERE state IN ('intent', 'unknown')") == [(0,)]
