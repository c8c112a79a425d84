"""Both systems live: what people entered and changed in the CRM stays, what the old system changed comes, again and again."""

from __future__ import annotations

import csv

import pyarrow.parquet as pq
import pytest


def legacy_goes_on(rollout, *, changed: str, gone: str) -> None:
    """Another remark for one customer of the old system, and none of the rows of another."""
    for path in (rollout.root / "legacy" / "customers").glob("*.csv"):
        with path.open(encoding="gb18030", newline="") as file:
            header, *rows = csv.reader(file)
        number, remark = header.index("客户编号"), header.index("备注")
        rows = [row for row in rows if len(row) <= number or row[number] != gone]
        for row in rows:
            if len(row) > remark and row[number] == changed:
                row[remark] = "旧系统里后来补的备注"
        with path.open("w", encoding="gb18030", newline="") as file:
            csv.writer(file).writerows([header, *rows])


@pytest.mark.attack
def test_adoption_and_delta_leave_people_s_work_alone(make_rollout):
    rollout = make_rollout()
    done = rollout.run("cleanse")
    golden = pq.read_table(
        rollout.root / ".rollout" / "stages" / done["entities"]["account"]["golden_file"]
    ).to_pylist()
    alone = [row for row in golden if row["_members"] == 1 and row["uscc"] and row["address"] and row["owner"]]
    known, changed, gone = alone[:3]
    entered = {name: known[name] for name in ("uscc", "region", "owner", "legacy_no")}
    with rollout.crm.client("zhang.wei") as seller:
        answer = seller.post("/api/account", json={"fields": {**entered, "name": known["name"], "remark": "展会认识"}})
        answer.raise_for_status()
        record_id = answer.json()["id"]

    plan = rollout.run("plan")
    assert plan["entities"]["account"]["adopt"] == 1
    assert plan["undo_calls"] > 0
    assert plan["limits"] == []
    rollout.approve()
    loaded = rollout.run("load")
    assert loaded["entities"]["account"]["adopted"] == 1
    assert loaded["closed"]
    with rollout.crm.client("zhang.wei") as seller:
        adopted = seller.get(f"/api/account/{record_id}").json()
        assert (adopted["fields"]["remark"], adopted["fields"]["address"]) == ("展会认识", known["address"])
        assert adopted["migration_key"]
        seller.patch(f"/api/account/{record_id}", json={"fields": {"address": "新址"}}).raise_for_status()

    quiet = rollout.run("delta")
    assert (quiet["plans"], quiet["up_to_date"], quiet["gone"]) == ([], ["all"], {})

    numbers = [row["_golden_key"].removeprefix("customers:") for row in (changed, gone)]
    legacy_goes_on(rollout, changed=numbers[0], gone=numbers[1])
    delta = rollout.run("delta")
    (planned,) = delta["plans"]
    assert delta["cleansed"]
    assert planned["entities"]["account"]["fields"] == {"remark": 1}
    assert planned["entities"]["account"]["kept"]["address"] == 1
    assert delta["gone"]["account"] == 1
    with (rollout.root / ".rollout" / delta["gone_file"]).open(encoding="utf-8-sig", newline="") as file:
        assert gone["_golden_key"] in {line["source_keys"] for line in csv.DictReader(file)}
    rollout.run("approve", "--by", "tester", "--reason", "the old system goes on")
    assert rollout.run("load")["entities"]["account"]["updated"] == 1
    with rollout.crm.client() as client:
        assert client.get(f"/api/account/{record_id}").json()["fields"]["address"] == "新址"
