"""A load that stays quiet and is not undone at night; what people did afterwards goes back; a copy for a bad day."""

from __future__ import annotations

import csv
from collections.abc import Callable

import openpyxl
import pytest

BY = ("--by", "tester", "--reason", "as agreed in the test")
RULES = ("new_account_assignment", "new_account_notification", "account_recycling", "first_follow_up")
LAYERS = """
layers:
  - name: master
    entities: [account]
    control_totals:
      - {name: accounts, entity: account, measure: count, expected: "205", tolerance: "%s", tax: none,
         status: 全部客户, returns: 不适用, as_of: "2026-01-31"}
  - {name: people, entities: [contact]}
"""


def layered(tolerance: int) -> Callable[[str], str]:
    return lambda text: text + LAYERS % tolerance


@pytest.mark.attack
def test_a_quiet_load_and_the_way_back(make_rollout: Callable):
    rollout = make_rollout(edit=layered(50))
    rollout.plan()
    with rollout.crm.client() as administrator:
        for rule in RULES:
            administrator.put(f"/api/admin/rules/{rule}", json={"enabled": True}).raise_for_status()
    flight = rollout.run("preflight", exit_code=1)
    found = {finding["id"]: finding["count"] for finding in flight["findings"]}
    # The demo maps no follow-up time: the clock of the recycling would start with the load.
    assert found["preflight.clock_unwritten"] > 100
    assert {"preflight.quieted", "preflight.sla"} <= set(found)
    off = rollout.run("automation", "off", "--rule", "account_recycling", *BY)
    assert off["still_off"] == ["account_recycling"]
    assert rollout.run("preflight")["errors"] == 0

    loaded = rollout.run("load")
    assert loaded["closed"]
    assert loaded["quiet"]["quiet"] is True, loaded["quiet"]
    assert set(RULES) - {"account_recycling"} <= set(loaded["quiet"]["rules_on"])
    [layer] = loaded["layers"]
    assert (layer["layer"], layer["gate"]["verdict"]) == ("master", "PASS")
    assert layer["control_totals"][0]["agrees"]
    assert rollout.run("verify")["control_totals"][0]["observed"] == layer["control_totals"][0]["observed"]

    decided = rollout.run("decide", "golive", "--go", "--override", *BY)
    assert decided["still_off"] == ["account_recycling"]
    assert rollout.run("automation", "status", exit_code=1)["still_off"] == ["account_recycling"]
    assert rollout.run("automation", "on", *BY)["still_off"] == []
    assert {rule["name"]: rule["is_on"] for rule in rollout.run("automation", "status")["rules"]}["account_recycling"]

    nothing = rollout.run("export", "since-cutover", *BY)
    assert nothing["files"] == {}
    with rollout.crm.client("zhang.wei") as seller:
        [record, *_] = seller.get("/api/account?limit=1").json()["records"]
        change = {"fields": {"phone": "+8613800000009", "remark": "客户说下周回访"}}
        seller.patch(f"/api/account/{record['id']}", json=change).raise_for_status()
        new = {"fields": {"name": "虚构新客户有限公司", "region": "华东", "owner": "zhang.wei", "legacy_no": "无"}}
        seller.post("/api/account", json=new).raise_for_status()
    export = rollout.run("export", "since-cutover", *BY, exit_code=1)  # "无" stands for no value in the old system
    account = export["entities"]["account"]
    assert (account["created"], account["changed"], account["not_carried"]) == (1, 1, 1)
    folder = rollout.root / ".rollout" / export["folder"]
    [changed] = [file for file in export["files"] if "CRM" not in file]
    with (folder / changed).open(encoding="gb18030", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["客户编号"], row["电话"], row["备注"]) == (
        record["fields"]["legacy_no"],
        "13800000009",
        "客户说下周回访",
    )
    with (folder / "legacy/customers/客户_CRM.csv").open(encoding="gb18030", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["客户名称"], row["客户编号"]) == ("虚构新客户有限公司", f"CRM-{_id(rollout)}")
    assert row["业务员"] in ("张伟", "小张")  # both are zhang.wei in the owner map

    copy = rollout.run("export", "offline-customers", *BY)
    book = openpyxl.load_workbook(rollout.root / ".rollout" / copy["file"], read_only=True)
    assert book.sheetnames == ["客户", "联系人"]
    assert sum(1 for _ in book["客户"].rows) == copy["entities"]["account"] + 2


def _id(rollout) -> str:
    with rollout.crm.client() as client:
        records = client.get("/api/account?limit=1000").json()["records"]
    return next(record["id"] for record in records if record["fields"]["name"] == "虚构新客户有限公司")


@pytest.mark.attack
def test_a_control_total_that_is_off_stops_before_the_next_layer(make_rollout: Callable):
    rollout = make_rollout(edit=layered(0))
    rollout.plan()
    stopped = rollout.run("load", exit_code=1)
    assert (stopped["state"], stopped["layers"][0]["gate"]["verdict"]) == ("loading", "FAIL")
    assert stopped["entities"]["contact"]["not_loaded"] > 0
    process = rollout.start("load")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Layer 'master' is FAIL: nothing of a later layer was sent." in told
