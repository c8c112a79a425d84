"""Taking a load back on the command line: planned, approved, applied; what people did meanwhile is still there."""

from __future__ import annotations

import csv

import pytest

FIGURES = {"deleted", "restored", "kept", "conflicts"}


def counts(crm) -> dict[str, int]:
    with crm.client() as client:
        return {
            entity: client.get(f"/api/{entity}/count").json()["count"] for entity in ("account", "contact", "order")
        }


@pytest.mark.attack
def test_a_load_is_taken_back_without_what_people_did_since(make_rollout):
    rollout = make_rollout()
    empty = counts(rollout.crm)
    rollout.plan()
    loaded = rollout.run("load")
    with rollout.crm.client("zhang.wei") as seller:
        customers = [record["fields"]["legacy_no"] for record in seller.get("/api/account?limit=6").json()["records"]]
    orders = [
        {
            "order_no": f"SO-{n}",
            "customer_no": customer,
            "amount": f"{n}50.00",
            "status": "已下单",
            "ordered_on": "2026-03-01",
        }
        for n, customer in enumerate(customers, start=1)
    ]
    with rollout.crm.client() as client:
        client.post("/erp/admin/orders", json=orders).raise_for_status()
    rollout.run("sync", "run", "orders")
    with rollout.crm.client("zhang.wei") as seller:
        edited, linked, *_ = seller.get("/api/account?limit=10").json()["records"]
        seller.patch(
            f"/api/account/{edited['id']}", json={"fields": {"remark": "老客户,已电话沟通"}}
        ).raise_for_status()
        new = {"fields": {"account": linked["id"], "text": "上门拜访"}}
        seller.post("/api/followup", json=new).raise_for_status()

    refused = rollout.run("undo", exit_code=2)["error"]
    assert "no undo is approved" in refused["message"]
    planned = rollout.run("undo", "--wave", "all")
    assert planned.keys() >= FIGURES | {"plan_id", "plan_hash", "calls", "estimate_s", "window_ends_at", "file"}
    assert (planned["kept"], planned["restored"], planned["conflicts"]) == (2, 0, 0)
    assert planned["reasons"] == {"edited_since": 1, "linked_since": 1}
    rollout.run("approve", "--plan", planned["plan_id"], "--by", "tester", "--reason", "the test is over")
    done = rollout.run("undo")
    assert done.keys() >= FIGURES
    created = sum(line["created"] for line in loaded["entities"].values())
    assert (done["kept"], done["conflicts"], done["open"], done["unknown"]) == (2, 0, 0, 0)
    assert {record["reason"] for record in done["kept_records"]} == {"edited_since", "linked_since"}
    assert "已电话沟通" not in str(done)
    left = counts(rollout.crm)
    carried = rollout.query("SELECT count(*) FROM sync_record")[0][0]
    assert left["account"] == empty["account"] + 2
    assert left["contact"] == empty["contact"]
    assert left["order"] == carried == 2, "the orders of what stays stay"
    assert done["deleted"] == planned["deleted"] >= created - 2
    with rollout.crm.client() as client:
        record = client.get(f"/api/account/{edited['id']}").json()
        assert record["fields"]["remark"] == "老客户,已电话沟通"
        assert client.get("/api/followup/count").json()["count"] == 1
    with (rollout.root / ".rollout" / done["file"]).open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 2

    assert rollout.run("undo")["state"] == "already_applied"
    assert "no plan is approved" in rollout.run("load", exit_code=2)["error"]["message"]
    assert rollout.run("retention")["destroyed"] == []
    plan = rollout.run("plan")
    assert plan["entities"]["account"]["create"] == loaded["entities"]["account"]["created"] - 2
