"""What cannot finish in its time, or with the calls there are, is refused with the figures before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rollout.errors import ConfigError
from rollout.journal.calls import calls_since
from rollout.journal.plans import Plans
from rollout.phases.quota import refuse_what_cannot_finish
from tests.integration.load._projects import with_rules

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}"} for n in range(40)}


def refuse(bench):
    context = bench.context
    target_name, _, target = context.target("load")
    with context.journal.transaction() as connection:
        plan = Plans("tiny").latest(connection, target_name, ("proposed", "approved", "loading"))
    refuse_what_cannot_finish(context, plan, target)


def limit(bench, **capabilities):
    object.__setattr__(bench.crm, "capabilities", replace(bench.crm.capabilities, **capabilities))


def test_a_load_that_fits_is_let_through(make_bench):
    bench = make_bench(max_batch_rows=10)
    with_rules(bench, target={"window_h": 1, "daily_calls": 1000})
    bench.golden(ACCOUNTS)
    plan = bench.plan()
    assert (plan.calls, plan.undo_calls, plan.limits) == (8, 16, ())
    refuse(bench)


def test_calls_that_are_not_there_are_told_with_the_figures(make_bench):
    bench = make_bench(max_batch_rows=10)
    limit(bench, daily_calls=8)
    bench.golden(ACCOUNTS)
    plan = bench.plan()
    assert "8 calls" in plan.limits[0]
    assert "1 used today" in plan.limits[0], "what planning called"
    with pytest.raises(ConfigError, match="the load needs about 8 calls, 7 are left today"):
        refuse(bench)
    assert bench.records() == {}


def test_the_smaller_of_what_the_target_allows_and_the_project_takes_counts(make_bench):
    bench = make_bench(max_batch_rows=10)
    limit(bench, daily_calls=1000)
    with_rules(bench, target={"daily_calls": 5})
    bench.golden(ACCOUNTS)
    assert "5 a day" in bench.plan().limits[0]


def test_a_window_of_days_has_the_calls_of_days(make_bench):
    bench = make_bench(max_batch_rows=10)
    with_rules(bench, target={"daily_calls": 8, "window_h": 49})
    bench.golden(ACCOUNTS)
    assert bench.plan().limits == ()


def test_a_load_too_slow_for_its_window_and_an_undo_too_slow_for_its_own_are_refused(make_bench):
    bench = make_bench(max_batch_rows=10)
    limit(bench, rate_per_s=0.001, concurrency=100)  # the burst lets planning through
    with_rules(bench, target={"window_h": 1})
    bench.golden(ACCOUNTS)
    (told,) = bench.plan().limits
    assert told == "the load needs about 2.2 h, its window is 1.0 h"
    spec = bench.context.project.spec
    retention = spec.retention.model_copy(update={"undo_window_h": 2})
    project = replace(bench.context.project, spec=spec.model_copy(update={"retention": retention}))
    bench.context = replace(bench.context, project=project)
    with pytest.raises(ConfigError, match=r"taking it back needs about 4\.4 h, its window is 2\.0 h"):
        refuse(bench)


def test_what_has_begun_is_judged_by_what_is_left(make_bench):
    bench = make_bench(max_batch_rows=10, concurrency=1)
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    write, calls = bench.crm.write, []

    def twice(entity, rows):
        calls.append(rows)
        if len(calls) > 2:
            raise RuntimeError("crashed")
        return write(entity, rows)

    bench.crm.write = twice
    with pytest.raises(RuntimeError):
        bench.load()
    del bench.crm.write
    limit(bench, daily_calls=30)
    refuse(bench)
    used = used_today(bench)
    assert used > 4
    limit(bench, daily_calls=used + 3)
    with pytest.raises(ConfigError, match=rf"{used} used today"):
        refuse(bench)


def used_today(bench):
    since = datetime.now(UTC) - timedelta(hours=1)
    with bench.context.journal.transaction() as connection:
        return calls_since(connection, "tiny", "test", since, bench.crm.capabilities)


def test_the_journal_knows_the_calls_of_plans_and_loads(make_bench):
    bench = make_bench(max_batch_rows=10)
    bench.golden(ACCOUNTS)
    bench.plan()
    planning = used_today(bench)
    bench.approve()
    bench.load()
    assert used_today(bench) == planning + 4 * 2
