"""A row at which whole batches fail is found and set aside; the others go on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from rollout.errors import OutcomeUnknown, Retryable, RowRejected
from rollout.load import looking, sending

ROWS = {f"s:{n:03}": {"name": f"Company {n}"} for n in range(40)}
BAD = {"Company 3", "Company 17", "Company 18"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)
    monkeypatch.setattr(looking, "PROBE_WAIT_S", 0.05)


def fail_at(bench, names, error, *, stores=False):
    """Let every call that carries one of the names fail as a whole."""
    write, sizes = bench.crm.write, []

    def fragile(entity, rows):
        sizes.append(len(rows))
        if any(row.values.get("name") in names for row in rows):
            if stores:
                write(entity, [row for row in rows if row.values["name"] not in names])
            raise error
        return write(entity, rows)

    bench.crm.write = fragile
    return sizes


def load(bench, rows=None):
    bench.golden(rows or ROWS)
    bench.plan()
    bench.approve()
    return bench.load()


@pytest.mark.parametrize("error", [OutcomeUnknown("500"), RowRejected("bad byte", reason_code="refused")], ids=str)
def test_the_rows_at_which_batches_fail_are_rejected_and_all_others_are_created(bench, error):
    sizes = fail_at(bench, BAD, error)
    summary = load(bench)
    account = summary.entities["account"]
    assert (account.created, account.rejected, summary.closed) == (37, 3, True)
    reason = "refused" if isinstance(error, RowRejected) else "unanswered"
    assert summary.reasons["account"] == {f"rejected/{reason}": 3}
    assert len(bench.records()) == 37
    assert len(sizes) < 40, "halves, not row by row"


def test_what_was_stored_though_the_call_failed_is_found(bench):
    fail_at(bench, BAD, OutcomeUnknown("500"), stores=True)
    account = load(bench).entities["account"]
    assert (account.created, account.rejected) == (37, 3)
    assert len(bench.records()) == 37


def test_the_target_s_own_words_are_kept(bench):
    fail_at(bench, {"Company 3"}, OutcomeUnknown("/api/batch answered 500"))
    load(bench)
    with bench.context.journal.transaction() as connection:
        [message] = connection.execute(text("SELECT message FROM row_state WHERE state = 'rejected'")).scalars()
    assert "answered 500" in message


def test_a_target_that_answers_to_nothing_refuses_nobody_s_row(bench):
    sizes = fail_at(bench, {row["name"] for row in ROWS.values()}, OutcomeUnknown("500"))
    with pytest.raises(Retryable, match="were not stored"):
        load(bench)
    assert len(sizes) < 20
    with bench.context.journal.transaction() as connection:
        states = connection.execute(text("SELECT DISTINCT state FROM row_state")).scalars().all()
        assert states == ["retried"]
        assert connection.execute(text("SELECT count(*) FROM open_batch")).scalar_one() == 0
    del bench.crm.write
    assert bench.load().entities["account"].created == 40


def test_a_row_that_fails_by_itself_does_not_stop_the_load_for_ever(make_bench):
    bench = make_bench(max_batch_rows=1, concurrency=1)
    fail_at(bench, {"Company 1"}, OutcomeUnknown("500"))
    rows = {key: ROWS[key] for key in ("s:000", "s:001", "s:002")}
    bench.golden(rows)
    bench.plan()
    bench.approve()
    runs = 0
    while True:
        runs += 1
        try:
            account = bench.load().entities["account"]
        except Retryable:
            continue
        break
    assert runs == 3
    assert (account.created, account.rejected) == (2, 1)


def test_an_update_whose_record_is_changed_all_the_time_is_a_conflict_and_the_load_goes_on(bench):
    bench.golden(ROWS)
    bench.plan_and_load()
    write, n = bench.crm.write, iter(range(1000))

    def restless(entity, rows):
        record = bench.records()["Company 3"]
        bench.crm.edit("account", record.target_id, {"phone": f"+86{next(n)}"}, user="robot")
        return write(entity, rows)

    bench.crm.write = restless
    summary = load(bench, {key: {**row, "note": "n"} for key, row in ROWS.items()})
    assert summary.reasons["account"] == {"conflict/version_changed": 1}
    assert summary.entities["account"].updated == 39


def test_across_runs_batches_grow_smaller_where_looking_cannot_tell_at_once(make_bench):
    bench = make_bench(enforces_unique=False, concurrency=1)
    bench.crm.capabilities = replace(bench.crm.capabilities, call_timeout_s=0.2)
    fail_at(bench, {"Company 3"}, OutcomeUnknown("500"))
    bench.golden(ROWS)
    bench.plan()
    bench.approve()
    for _ in range(12):
        account = bench.load().entities["account"]
    assert account.created == 39
    assert account.unknown == 1
    assert len(bench.records()) == 39
