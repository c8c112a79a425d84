"""Upserts through a target that loses calls and answers: never two records of one key, and in the end what was wanted."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.connectors.memory import MemoryConnector, MemoryFault
from rollout.errors import Retryable
from rollout.integrate.upsert import Fate, Upsert, Wanted

KEYS = st.sampled_from([f"erp:{n}" for n in range(6)])
WANTED = st.dictionaries(KEYS, st.sampled_from(["1", "2", "3"]), min_size=1)
FAULTS = st.lists(st.sampled_from([None, None, *MemoryFault]), max_size=8)


def target(*, enforces_unique: bool) -> MemoryConnector:
    options = {"entities": {"order": {"amount": {}}}, "max_batch_rows": 2, "enforces_unique": enforces_unique}
    return MemoryConnector(name="crm", options=options, base_dir=Path())


def faulty(crm: MemoryConnector, faults: list[MemoryFault | None]) -> None:
    """Let the next writes go wrong in this order."""
    write, queue = crm.write, list(faults)

    def next_write(entity, rows):
        if queue and (fault := queue.pop(0)):
            crm.fail_next(fault)
        return write(entity, rows)

    crm.write = next_write


@settings(max_examples=150, deadline=None)
@given(runs=st.lists(st.tuples(WANTED, FAULTS), min_size=1, max_size=4), enforces_unique=st.booleans())
def test_every_key_has_one_record_and_what_is_said_of_it_is_true(runs, enforces_unique):
    crm = target(enforces_unique=enforces_unique)
    told: dict[str, str] = {}
    created: dict[str, int] = {}
    for wanted, faults in runs:
        mutable = target(enforces_unique=enforces_unique)
        mutable._store = crm._store
        faulty(mutable, faults)
        upsert = Upsert(mutable, "order", sleep=lambda _: None, before_call=lambda: None)
        rows = [Wanted(key, {"amount": value}) for key, value in wanted.items()]
        try:
            for batch in upsert.batches(rows):
                for landed in batch:
                    if landed.fate is Fate.UNKNOWN:
                        told.pop(landed.migration_key, None)
                        continue
                    told[landed.migration_key] = wanted[landed.migration_key]
                    created[landed.migration_key] = created.get(landed.migration_key, 0) + (landed.fate is Fate.CREATED)
        except Retryable:  # the batch under way may be stored in part: nothing is claimed of it
            told = {key: value for key, value in told.items() if key not in wanted}
        held = crm.read_by_keys("order", [f"erp:{n}" for n in range(6)])
        assert all(len(records) == 1 for records in held.values())
        for key, value in told.items():
            assert held[key][0].values["amount"] == value
        assert all(count <= 1 for count in created.values())
    last, _ = runs[-1]
    rows = [Wanted(key, {"amount": value}) for key, value in last.items()]
    healed = Upsert(crm, "order", sleep=lambda _: None, before_call=lambda: None)
    assert all(landed.fate is not Fate.UNKNOWN for batch in healed.batches(rows) for landed in batch)
    again = [landed.fate for batch in healed.batches(rows) for landed in batch]
    assert set(again) == {Fate.UNCHANGED}


def test_the_mutant_that_sends_again_without_looking_is_caught():
    """Where the target does not enforce the key, a blind repeat makes a second record."""
    crm = target(enforces_unique=False)
    crm.fail_next(MemoryFault.LOST_ANSWER)
    upsert = Upsert(crm, "order", sleep=lambda _: None, before_call=lambda: None)
    seen: list[int] = []
    look = upsert._look_up
    upsert._look_up = lambda keys: seen.append(1) or ({} if len(seen) == 2 else look(keys))
    list(upsert.batches([Wanted("erp:1", {"amount": "1"})]))
    assert len(crm.read_by_keys("order", ["erp:1"])["erp:1"]) == 2


def test_absence_is_waited_for_where_the_key_is_not_enforced():
    crm = target(enforces_unique=False)
    crm.fail_next(MemoryFault.LOST_CALL)
    slept: list[float] = []
    upsert = Upsert(crm, "order", sleep=slept.append, before_call=lambda: None)
    (batch,) = upsert.batches([Wanted("erp:1", {"amount": "1"})])
    assert batch[0].fate is Fate.CREATED
    assert slept == [crm.capabilities.absence_decides_after_s]
    assert slept[0] > 0
