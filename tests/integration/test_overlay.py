"""What became of a wave's rows, over its load and the retries and undos after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from rollout.journal import schema
from rollout.journal.crypto import KeyRing
from rollout.journal.outcomes import outcome_rows
from rollout.journal.overlay import is_finished, lines, overlay_of, reasons
from rollout.journal.store import Journal

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """Plans written line by line, for rows A to D of one entity."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.plans = 0
        journal.replace_ledger("account", [(key, "golden", key, None, "all") for key in "ABCD"], source_rows={"all": 4})

    def plan(self, kind: str, *, begun: bool = True, state: str = "applied", **rows: str) -> str:
        """A plan; a row's lines are ``state``, or several with step and reason: ``created 2:waiting/parent``."""
        self.plans += 1
        plan_id = f"{kind}{self.plans}"
        header = {"plan_id": plan_id, "project_id": "p", "kind": kind, "target": "test", "wave": "all", "state": state}
        sealed = {"plan_hash": "", "key_id": "", "inputs": {}, "counts": {}, "estimate": {}, "code_version": ""}
        at = BEGUN + timedelta(hours=self.plans)
        with self.journal.transaction() as connection:
            connection.execute(
                insert(schema.plan).values(**header, **sealed, created_at=at, begun_at=at if begun else None)
            )
            for ordinal, (key, told) in enumerate(rows.items()):
                row = {"plan_id": plan_id, "entity": "account", "migration_key": f"k{key}"}
                planned = {"ordinal": ordinal, "golden_key": key, "action": "create", "digest": "", "payload": b""}
                connection.execute(insert(schema.plan_row).values(**row, **planned))
                for attempt, one in enumerate(told.split()):
                    step, _, rest = one.rpartition(":")
                    name, _, code = rest.partition("/")
                    line = {"step": int(step or 1), "attempt": attempt, "state": name, "reason_code": code or None}
                    connection.execute(
                        insert(schema.row_state).values(**row, **line, run_id="r", digest="", intent_at=at)
                    )
        return plan_id

    def states(self) -> dict[str, str]:
        with self.journal.transaction() as connection:
            overlay = overlay_of(connection, "p", "test", "all")
            found = {line.golden_key: line.state for line in lines(connection, overlay)}
            told = [row for batch in outcome_rows(connection, "p", overlay.base, "account") for row in batch]
        known = {"none": "not_loaded", "intent": "unknown"}
        assert {row[0]: row[3] for row in told} == {key: known.get(state, state) for key, state in found.items()}
        return found

    @property
    def finished(self) -> bool:
        with self.journal.transaction() as connection:
            return is_finished(connection, overlay_of(connection, "p", "test", "all"))


@pytest.fixture
def world(pg_url):
    journal = Journal.open(pg_url, project_id="p", keys=KeyRing.parse(KeyRing.generate()))
    yield World(journal)
    journal.close()


LOAD = {"A": "created", "B": "retried created", "C": "rejected/too_long", "D": "waiting/parent_not_loaded"}


def test_a_load_alone(world):
    world.plan("load", state="loading", **LOAD)
    assert world.states() == {"A": "created", "B": "created", "C": "rejected", "D": "waiting"}
    assert not world.finished


def test_a_retry_lies_over_it_and_one_that_is_not_begun_does_not(world):
    world.plan("load", state="superseded", **LOAD)
    world.plan("retry", C="created", D="waiting created")
    world.plan("retry", begun=False, state="approved", C="rejected/refused")
    assert world.states() == dict.fromkeys("ABCD", "created")
    assert world.finished


def test_what_was_not_stored_for_sure_does_not_hide_what_lies_beneath(world):
    world.plan("load", **LOAD)
    world.plan("retry", state="loading", C="retried", D="waiting retried")
    assert world.states() == {"A": "created", "B": "created", "C": "rejected", "D": "waiting"}


def test_in_the_load_itself_it_means_not_loaded(world):
    world.plan("load", state="loading", A="created", B="retried", C="", D="waiting retried")
    assert world.states() == {"A": "created", "B": "none", "C": "none", "D": "none"}
    [line] = world.journal.accounting("test")
    assert (line.created, line.not_loaded, line.accounted) == (1, 3, False)


def test_an_undo_lies_over_both_and_what_it_kept_still_shows(world):
    world.plan("load", **LOAD)
    world.plan("retry", C="created", D="created")
    world.plan("undo", A="undone", B="kept/edited_since", C="undone/partly_undone", D="conflict/changed_since_load")
    assert world.states() == {"A": "undone", "B": "created", "C": "undone", "D": "conflict"}
    [line] = world.journal.accounting("test")
    assert (line.skipped, line.undone, line.created, line.conflict, line.accounted) == (2, 2, 1, 1, True)
    assert not world.finished
    with world.journal.transaction() as connection:
        told = reasons(connection, overlay_of(connection, "p", "test", "all"))
    assert told == {"account": {"conflict/changed_since_load": 1, "skipped/partly_undone": 1}}


def test_a_new_load_or_delta_begins_anew(world):
    world.plan("load", **LOAD)
    world.plan("undo", A="undone", B="undone")
    world.plan("delta", A="created", B="created", C="created", D="created")
    assert world.states() == dict.fromkeys("ABCD", "created")
    assert world.finished


def test_a_second_step_that_landed_leaves_the_first_one_s_state(world):
    world.plan(
        "load",
        A="created 2:updated",
        B="created 2:unknown/no_answer",
        C="created 2:rejected/refused",
        D="created 2:retried",
    )
    assert world.states() == {"A": "created", "B": "unknown", "C": "rejected", "D": "none"}
