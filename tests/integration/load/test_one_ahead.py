"""Several calls at once: one batch more has its intents journalled, so that the target never waits for the journal."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import text

from rollout.errors import Fatal, LeaseHeld, RolloutError
from rollout.load import sending
from rollout.load.batch_journal import BatchJournal

AT_ONCE = 2
ACCOUNTS = {f"s:{number}": {"name": f"Company {number:02}"} for number in range(20)}
MOMENT_S = 0.3
PATIENCE_S = 20.0


class Watched:
    """Stands before the target's writes: counts them, and holds each back until it is let go."""

    def __init__(self, bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench, self.let_go, self.arrived = bench, threading.Event(), threading.Semaphore(0)
        self.most = self.under_way = self.calls = 0
        self.fails = False
        self._write, self._lock = type(bench.crm).write, threading.Lock()

        def write(connector, entity, rows):
            return self.write(connector, entity, rows)

        monkeypatch.setattr(type(bench.crm), "write", write)

    def write(self, connector, entity, rows):
        with self._lock:
            self.calls += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.arrived.release()
        try:
            assert self.let_go.wait(PATIENCE_S)
            if self.fails:
                raise Fatal("the target refuses")
            return self._write(connector, entity, rows)
        finally:
            with self._lock:
                self.under_way -= 1


def states(bench) -> Counter[str]:
    """Rows by the state of their lines, batches that are open included."""
    with bench.context.journal.transaction() as connection:
        found = connection.execute(text("SELECT state, count(*) AS rows FROM row_line GROUP BY state"))
        return Counter({row.state: row.rows for row in found})


@pytest.fixture
def loading(make_bench, monkeypatch):
    """Begins to load what a bench has planned, and waits until as many calls as may be are with the target."""
    threads = []

    def begin(bench) -> tuple[Watched, list[RolloutError], threading.Thread]:
        watched, errors = Watched(bench, monkeypatch), []

        def load() -> None:
            try:
                bench.load()
            except RolloutError as error:
                errors.append(error)

        thread = threading.Thread(target=load)
        threads.append((watched, thread))
        thread.start()
        for _ in range(AT_ONCE):
            assert watched.arrived.acquire(timeout=PATIENCE_S)
        return watched, errors, thread

    yield begin
    for watched, thread in threads:
        watched.let_go.set()
        thread.join(PATIENCE_S)


def created(make_bench, **options):
    bench = make_bench(max_batch_rows=4, concurrency=AT_ONCE, **options)
    bench.golden(ACCOUNTS)
    bench.plan()
    bench.approve()
    return bench


def intents_while_calls_are_held(bench, at_least: int) -> int:
    """Open intents, once there are so many or a moment has passed."""
    for _ in range(int(PATIENCE_S / MOMENT_S)):
        if (found := states(bench)["intent"]) >= at_least:
            return found
        threading.Event().wait(MOMENT_S)
    return found


def test_one_batch_more_is_journalled_and_no_call_more_is_made(make_bench, loading):
    bench = created(make_bench)
    watched, errors, thread = loading(bench)
    assert intents_while_calls_are_held(bench, 12) == 12, "two batches with the target, one ready"
    threading.Event().wait(MOMENT_S)
    assert (watched.most, states(bench)["intent"]) == (AT_ONCE, 12)
    watched.let_go.set()
    thread.join(PATIENCE_S)
    assert (errors, watched.most) == ([], AT_ONCE)
    assert states(bench) == {"created": 20}


@pytest.mark.parametrize(("is_rationed", "enforces_unique"), [(False, False), (True, True)])
def test_nothing_is_journalled_ahead_where_time_since_the_intent_matters(
    make_bench, loading, is_rationed, enforces_unique
):
    bench = created(make_bench, enforces_unique=enforces_unique)
    if is_rationed:
        object.__setattr__(bench.crm, "capabilities", replace(bench.crm.capabilities, rate_per_s=1000.0))
    watched, errors, thread = loading(bench)
    threading.Event().wait(MOMENT_S)
    assert states(bench)["intent"] == 8
    watched.let_go.set()
    thread.join(PATIENCE_S)
    assert (errors, watched.most, states(bench)) == ([], AT_ONCE, {"created": 20})


def test_an_update_is_looked_at_when_its_turn_has_come(make_bench, loading):
    bench = make_bench(max_batch_rows=4, concurrency=AT_ONCE)
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.golden({key: {**values, "phone": "+8613800000000"} for key, values in ACCOUNTS.items()})
    bench.plan()
    bench.approve()
    watched, errors, thread = loading(bench)
    threading.Event().wait(MOMENT_S)
    assert states(bench)["intent"] == 8
    watched.let_go.set()
    thread.join(PATIENCE_S)
    assert (errors, watched.most) == ([], AT_ONCE)
    assert states(bench) == {"created": 20, "updated": 20}


def test_what_waits_when_the_load_fails_is_not_sent_and_not_unknown(make_bench, loading):
    bench = created(make_bench)
    watched, errors, thread = loading(bench)
    assert intents_while_calls_are_held(bench, 12) == 12
    watched.fails = True
    watched.let_go.set()
    thread.join(PATIENCE_S)
    assert [type(error) for error in errors] == [Fatal]
    assert not bench.records()
    assert watched.calls == AT_ONCE
    assert states(bench) == {"intent": 8}, "what was with the target is probed, what waited leaves no line"
    watched.fails = False
    assert bench.load().entities["account"].created == 20
    assert len(bench.records()) == 20


def test_no_call_is_made_once_intents_cannot_be_journalled(make_bench, loading, monkeypatch):
    bench = created(make_bench)
    intend, intended, both_call = BatchJournal.intend, [], threading.Event()

    def lost(journal, works, decided=()):
        intended.append(len(works))
        if len(intended) > AT_ONCE:
            assert both_call.wait(PATIENCE_S)
            raise LeaseHeld("another process took over")
        return intend(journal, works, decided)

    with monkeypatch.context() as patch:
        patch.setattr(BatchJournal, "intend", lost)
        watched, errors, thread = loading(bench)
        both_call.set()
        watched.let_go.set()
        thread.join(PATIENCE_S)
    assert [type(error) for error in errors] == [LeaseHeld]
    assert watched.calls == AT_ONCE
    assert bench.load().entities["account"].created == 20


def test_who_waited_long_for_their_turn_asks_again_whether_the_lease_is_ours(make_bench, loading, monkeypatch):
    bench, asked = created(make_bench), []
    monkeypatch.setattr(sending, "LONG_TURN_S", 0.0)
    monkeypatch.setattr(BatchJournal, "assert_fence", lambda _: asked.append(True))
    watched, errors, thread = loading(bench)
    watched.let_go.set()
    thread.join(PATIENCE_S)
    assert (errors, states(bench), bool(asked)) == ([], {"created": 20}, True)
