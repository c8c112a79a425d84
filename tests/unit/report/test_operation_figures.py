"""A month's figures: nothing is expected before operation began, and nothing unmeasured is taken for measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rollout.journal.operations import ProbeRow, RunRow
from rollout.report.operation_documents import NightState, Slot
from rollout.report.operation_figures import AVAILABILITY, Month, days, nights, quality, volumes

ZONE = ZoneInfo("Asia/Shanghai")
OVER = datetime(2026, 5, 1, 8, tzinfo=ZONE)
APRIL = Month(2026, 4, ZONE, OVER)
BEGAN = datetime(2026, 4, 22, 8, tzinfo=ZONE)


def check(at: datetime, *, ok: bool = True) -> list[ProbeRow]:
    return [ProbeRow(f"run {at}", name, ok, 0.1, None, "", at) for name in sorted(AVAILABILITY)]


def night(at: datetime, state: str = "running") -> RunRow:
    return RunRow(f"night {at}", "sync_check", state, at, {})


def test_operation_that_began_on_the_22nd_expects_nothing_before():
    found = days(APRIL, [*check(BEGAN), *check(BEGAN + timedelta(hours=1))], every_min=60, began_at=BEGAN)
    assert [day.expected for day in found] == [0] * 21 + [16] + [24] * 8
    assert {slot for day in found[:21] for slot in day.slots} == {Slot.BEFORE}
    assert found[21].slots[:11] == (Slot.BEFORE,) * 8 + (Slot.UP, Slot.UP, Slot.UNMEASURED)
    assert sum(day.measured for day in found) == 2


def test_the_stretch_in_which_operation_began_is_expected_and_a_check_before_it_counts():
    began_at = BEGAN + timedelta(minutes=59)
    found = days(APRIL, check(BEGAN - timedelta(hours=3), ok=False), every_min=60, began_at=began_at)
    (day,) = [day for day in found if day.expected == 17]
    assert day.slots[4:10] == (Slot.BEFORE, Slot.DOWN, Slot.BEFORE, Slot.BEFORE, Slot.UNMEASURED, Slot.UNMEASURED)
    assert (day.measured, day.available) == (1, 0)


@pytest.mark.parametrize("began_at", [None, datetime(2026, 5, 1, tzinfo=ZONE)])
def test_a_month_before_operation_expects_nothing(began_at):
    found = days(APRIL, [], every_min=60, began_at=began_at)
    assert sum(day.expected for day in found) == 0
    assert {night.state for night in nights(APRIL, [], began_at=began_at)} == {NightState.BEFORE}


def test_a_month_in_operation_that_was_never_checked_is_not_before_it():
    found = days(APRIL, [], every_min=60, began_at=datetime(2026, 3, 31, 15, 59, tzinfo=UTC))
    assert {slot for day in found for slot in day.slots} == {Slot.UNMEASURED}
    assert sum(day.expected for day in found) == 720


def test_nights_are_missed_from_the_first_after_operation_began():
    checked = night(BEGAN + timedelta(days=1, hours=-6))
    found = nights(APRIL, [checked], began_at=BEGAN)
    assert [item.state for item in found] == (
        [NightState.BEFORE] * 22 + [NightState.BROKEN_OFF] + [NightState.MISSING] * 7
    )
    at_midnight = nights(APRIL, [], began_at=datetime(2026, 4, 22, tzinfo=ZONE))
    assert [item.state for item in at_midnight].count(NightState.MISSING) == 9


def test_months_are_those_of_the_project_s_zone():
    """16:00 UTC of 31 March is midnight of 1 April in Shanghai."""
    before, first = (datetime(2026, 3, 31, 15, 59, tzinfo=UTC), datetime(2026, 3, 31, 16, tzinfo=UTC))
    found = days(APRIL, [*check(before), *check(first)], every_min=60, began_at=before)
    assert [day.date for day in found if day.measured] == ["2026-04-01"]
    assert (APRIL.begin, APRIL.end) == (first, datetime(2026, 4, 30, 16, tzinfo=UTC))


def test_entities_stand_in_the_projects_order_whatever_order_the_journal_gives_them_back_in():
    measured = {"records": 1, "fields": [], "duplicates": {}}
    summary = {
        "date": "2026-04-22",
        "quality": {"order": measured, "account": measured, "order_line": measured},
        "volumes": {"todo": 0, "order": 2, "account": 1},
    }
    run = RunRow("night", "sync_check", "completed", BEGAN, summary)
    order = ["account", "order", "order_line"]
    found, nights_of = quality([run], {name: {} for name in order})
    assert ([one.entity for one in found], nights_of) == (order, ("2026-04-22", "2026-04-22"))
    assert [one.entity for one in volumes([run], order)] == ["account", "order", "todo"]
