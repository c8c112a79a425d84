"""Incidents and what people are told of them: the laws, over any sequence of runs and messenger failures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.operate.incidents import Incident, Signal, due, observe

BEGIN = datetime(2026, 4, 1, tzinfo=UTC)
KEYS = ("health:login", "health:disk", "health:feed:orders", "sync_check:late:orders")
REMIND = timedelta(hours=24)

runs = st.lists(
    st.tuples(
        st.sampled_from(["health", "sync_check"]),
        st.sets(st.sampled_from(KEYS)),  # wrong
        st.sets(st.sampled_from(KEYS)),  # could not be looked at
        st.booleans(),  # the messenger works
        st.integers(1, 30),  # hours since the run before
    ),
    max_size=25,
)


@given(runs)
def test_no_incident_is_lost_told_twice_or_closed_unseen(history):
    now, kept, told, recovered = BEGIN, [], [], []
    for family, wrong, undecided, works, hours in history:
        now += timedelta(hours=hours)
        signals = [Signal(key, "wrong") for key in sorted(wrong) if key.startswith(family)]
        open_now = [item for item in kept if item.closed_at is None]
        changes = observe(open_now, family, signals, undecided, now)

        before = {item.key for item in open_now}
        seen = {signal.key for signal in signals}
        assert {item.key for item in changes.opened} == seen - before
        assert {item.key for item in changes.seen} == seen & before
        mine = {key for key in before if key.startswith(f"{family}:")}
        assert {item.key for item in changes.closed} == mine - seen - undecided

        by_key = {item.key: item for item in (*changes.seen, *changes.closed)}
        kept = [by_key.get(item.key, item) if item.closed_at is None else item for item in kept]
        kept += changes.opened
        assert len({item.key for item in kept if item.closed_at is None}) == len(
            [item for item in kept if item.closed_at is None]
        )

        letter = due(kept, now, REMIND)
        # Whatever is open and was never told is due, however often the messenger failed before.
        assert {id(item) for item in letter.new} == {
            id(item) for item in kept if item.closed_at is None and item.notified_at is None
        }
        assert all(now - item.notified_at >= REMIND for item in letter.reminders)
        if works:
            told += [item.key for item in letter.new]
            recovered += [item.key for item in letter.recovered]
            alarming = {id(item) for item in (*letter.new, *letter.reminders)}
            over = {id(item) for item in letter.recovered}
            kept = [
                replace(item, notified_at=now)
                if id(item) in alarming
                else replace(item, recovery_notified_at=now)
                if id(item) in over
                else item
                for item in kept
            ]
            assert not due(kept, now, REMIND)
    # Once the messenger works, every incident that is over has been told of exactly once.
    final = due(kept, now, REMIND)
    assert len(recovered) + len(final.recovered) == sum(item.closed_at is not None for item in kept)


def test_an_open_incident_is_told_again_only_after_a_while():
    incident = Incident("health:login", "error", "m", 1, BEGIN, BEGIN, notified_at=BEGIN)
    assert not due([incident], BEGIN + timedelta(hours=23), REMIND)
    assert due([incident], BEGIN + timedelta(hours=24), REMIND).reminders == (incident,)


def test_a_check_speaks_for_its_own_family_alone():
    with pytest.raises(ValueError, match="does not belong"):
        observe([], "health", [Signal("sync_check:late:orders", "m")], (), BEGIN)
