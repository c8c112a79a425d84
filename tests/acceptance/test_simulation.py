"""`rollout demo`: a simulated stretch of operation finds what was planted, and nothing else; a blind check does not.

A whole month is simulated by the command that the README shows, which its test runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from rollout.phases import nightly
from rollout.project.loader import Project, load_project
from rollout.rehearsal.faults import FaultKind
from rollout.rehearsal.month import simulate

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    shutil.copytree(REPOSITORY / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns(".rollout"))
    unsettled = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:1", "ROLLOUT_TESTBED_PASSWORD": "-"}
    yield load_project(tmp_path / "demo" / "rollout.yaml", environ=unsettled)
    with psycopg.connect(pg_url, autocommit=True) as connection:
        for name in ("journal", "testbed"):
            whole = f"{connection.info.dbname}_simulation_{name}"
            connection.execute(f'DROP DATABASE IF EXISTS "{whole}" WITH (FORCE)')


@pytest.mark.attack
def test_a_few_nights_and_what_a_blind_check_makes_of_them(demo, monkeypatch):
    """The night that planted an extra order finds it; the same nights without that detector do not."""
    seen = simulate(demo, nights=4, kinds=[FaultKind.ORDER_EXTRA])
    assert (seen.faults_seeded, seen.faults_found, seen.false_alarms) == (1, 1, 0)
    assert seen.faults[0].found_in == "sync_check 2026-04-03 02:00"
    assert seen.messages == 2  # one alert, one recovery
    assert len(seen.reports) == 4
    assert not (demo.workspace.root / "reports" / "operation-2026-04.zh.html").exists()  # the project's own stay clean

    check_source = nightly.check_source

    def blind(*given):
        check, differences = check_source(*given)
        kept = [item for item in differences if item.kind != "extra"]
        return check.model_copy(update={"kinds": {**check.kinds, "extra": 0}}), kept

    monkeypatch.setattr(nightly, "check_source", blind)
    unseen = simulate(demo, nights=4, kinds=[FaultKind.ORDER_EXTRA])
    assert (unseen.faults_seeded, unseen.faults_found, unseen.false_alarms) == (1, 0, 0)


@pytest.mark.attack
def test_a_deleted_customer_is_found_with_what_was_noted_on_it(demo):
    """What refers to a customer goes with it: its absence follows from the same fault, and no alarm is left over."""
    seen = simulate(demo, nights=4, kinds=[FaultKind.ACCOUNT_DELETED])
    assert (seen.faults_seeded, seen.faults_found, seen.alarms) == (1, 1, ())
    assert seen.faults[0].sign.startswith("missing:legacy:account:deleted_in_crm:")
    assert seen.messages > 0
