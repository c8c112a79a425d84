"""`rollout sync` and `rollout integrate` on the demo, in processes of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.testbed.fault_kinds import Fault

ORDER = {
    "order_no": "SO-0001",
    "product": "虚构产品",
    "quantity": "2",
    "amount": "1200.5",
    "status": "已下单",
    "ordered_on": "2026-01-05",
}


@pytest.mark.attack
def test_orders_are_carried_and_the_integration_passes_until_a_rule_is_off(make_rollout: Callable):
    rollout = make_rollout()
    rollout.plan()
    rollout.run("load")
    ((number,),) = rollout.query(
        "SELECT substr(source_key, strpos(source_key, ':') + 1) FROM key_assignment JOIN target_record"
        " USING (project_id, entity, migration_key) WHERE entity = 'account' ORDER BY source_key LIMIT 1"
    )
    with rollout.crm.client() as client:
        orders = [ORDER | {"customer_no": number}, ORDER | {"order_no": "SO-0002", "customer_no": "NOBODY"}]
        client.post("/erp/admin/orders", json=orders).raise_for_status()
        first = rollout.run("sync", "run")["syncs"]["orders"]
        assert (first["created"], first["dead"], first["stopped"]) == (1, 1, None)
        assert rollout.run("sync", "dead-letters")["dead_letters"][0]["reason_code"] == "customer_unknown"
        assert rollout.run("sync", "status")["syncs"]["orders"]["dead_letters"] == {"customer_unknown": 1}

        passed = rollout.run("integrate")
        assert passed["verdict"] == "PASS", [cell["observed"] for cell in passed["cells"]]
        assert {cell["verdict"] for cell in passed["cells"]} == {"PASS"}
        assert all(cell["expected"] and cell["observed"] for cell in passed["cells"])
        assert rollout.run("sync", "run")["syncs"]["orders"]["created"] == 0

        client.put("/api/admin/rules/lead_won", json={"enabled": False}).raise_for_status()
        failed = rollout.run("integrate", exit_code=1)
        assert [cell["scenario"] for cell in failed["cells"] if cell["verdict"] == "FAIL"] == ["lead_won"]

        rollout.crm.inject("erp/orders", Fault.UNAVAILABLE, times=4)
        assert rollout.run("sync", "run", exit_code=3)["complete"] is False
