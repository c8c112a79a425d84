"""Records' numbers: once a migration key, in order within a day, on a real database."""

from __future__ import annotations

import threading
from datetime import date

import pytest

from rollout.journal import numbers
from rollout.journal.crypto import KeyRing
from rollout.journal.numbers import NumberStyle
from rollout.journal.store import Journal

STYLE = NumberStyle("CUST", 4)
DAY = date(2026, 3, 1)


@pytest.fixture
def journal(pg_url):
    journal = Journal.open(pg_url, project_id="p", keys=KeyRing.parse(KeyRing.generate()))
    yield journal
    journal.close()


def give(journal, keys, day=DAY, entity="account"):
    with journal.transaction() as connection:
        return numbers.give(connection, "p", entity, keys, style=STYLE, day=day)


def test_a_record_keeps_its_number_and_the_next_day_begins_anew(journal):
    assert give(journal, ["b", "a"]) == {"b": "CUST202603010001", "a": "CUST202603010002"}
    later = date(2026, 3, 2)
    assert give(journal, ["a", "c"], later) == {"a": "CUST202603010002", "c": "CUST202603020001"}
    assert give(journal, ["d"]) == {"d": "CUST202603010003"}
    assert give(journal, ["a"], entity="order") == {"a": "CUST202603010001"}
    assert give(journal, []) == {}


def test_the_serial_grows_when_a_day_needs_more():
    assert STYLE.written(DAY, 9_999) == "CUST202603019999"
    assert STYLE.written(DAY, 10_000) == "CUST2026030110000"


def test_two_at_once_never_give_one_number_twice(journal):
    halves = [[f"{side}{number}" for number in range(50)] for side in "ab"]
    given = []
    threads = [threading.Thread(target=lambda keys=keys: given.append(give(journal, keys))) for keys in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_given = [number for found in given for number in found.values()]
    assert len(set(all_given)) == 100
    assert max(all_given) == "CUST202603010100"
