"""Promise 4: where a target has no conditional updates, the time in which edits are unprotected is measured."""

from __future__ import annotations

import time

import pytest

from rollout.cli.tables import unprotected
from rollout.phases.approve import approve
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}"} for n in range(5)}
SLOW_S = 0.02


@pytest.mark.parametrize("guarded", [False, True])
def test_it_is_measured_and_printed_only_where_nothing_guards_the_records(make_bench, monkeypatch, guarded):
    bench = make_bench(conditional_update=guarded)
    write = bench.crm.write

    def slowly(*given):
        time.sleep(SLOW_S)
        return write(*given)

    monkeypatch.setattr(bench.crm, "write", slowly)
    bench.golden(ACCOUNTS)
    created = bench.plan_and_load()
    assert created.unprotected.rows == 0, "what did not exist was nobody's to edit"
    bench.golden({key: {"name": f"{values['name']} Ltd"} for key, values in ACCOUNTS.items()})
    updated = bench.plan_and_load()
    plan = plan_undo(bench.context, wave="all")
    approve(bench.context, person="tester", code=bench.code, reason="back again", plan_id=plan.plan_id)
    undone = run_undo(bench.context)
    for window in (updated.unprotected, undone.unprotected):
        assert window.rows == (0 if guarded else len(ACCOUNTS))
        assert bool(unprotected(window)) is not guarded
        assert guarded or SLOW_S <= window.mean_s <= window.longest_s
