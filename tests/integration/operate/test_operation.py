"""A company in operation on a real testbed: health, the night, the month; what is wrong is planted by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from openpyxl import load_workbook

from rollout.connectors.base import Op, WriteRow
from rollout.connectors.crm_testbed import TestbedConnector
from rollout.errors import ConfigError
from rollout.journal.operations import Operations
from rollout.operate.incidents import Signal
from rollout.operate.synthetic import KEY_PREFIX, new_key
from rollout.phases.alerting import settle
from rollout.phases.health import run_health
from rollout.phases.monthly import write_monthly_report
from rollout.phases.nightly import run_sync_check
from rollout.phases.probes import probes
from rollout.phases.sync import run_sync

ALL_PROBES = {
    "database", "login", "transaction", "disk",
    "feed:orders", "sync_lag:orders", "dead_letters:orders",
    "feed:messages", "sync_lag:messages", "dead_letters:messages",
}  # fmt: skip


def health(stage):
    with stage.visit() as context:
        return run_health(context)


def night(stage):
    with stage.visit() as context:
        return run_sync_check(context)


def carry(stage):
    with stage.visit() as context:
        return run_sync(context, sleep=lambda _: None)


def failing(summary) -> set[str]:
    return {probe.name for probe in summary.probes if not probe.ok}


def chat(stage) -> list[str]:
    """What the group was told since it was last asked, title and text."""
    sent = stage.world._keeper.get("/dingtalk/admin/sent").raise_for_status().json()["sent"]
    stage.world._keeper.delete("/dingtalk/admin/sent").raise_for_status()
    return [message["text"]["content"] for message in sent]


def later(stage, **span: float) -> None:
    stage.clock.now += timedelta(**span)


def differences(summary) -> dict[str, str]:
    """`kind/reason` by key, of what is wrong."""
    with Path(summary.differences).open(encoding="utf-8-sig", newline="") as file:
        return {row["key"]: f"{row['kind']}/{row['reason']}" for row in csv.DictReader(file)}


@pytest.fixture
def day(shared):
    """A new day on which all is well, and which ends so."""
    later(shared, days=1)
    carry(shared)
    chat(shared)
    yield shared
    shared.world.bring_up()
    later(shared, minutes=10)
    carry(shared)
    assert failing(health(shared)) == set()


def test_health_alerts_once_reminds_and_tells_of_the_recovery(day):
    summary = health(day)
    assert {probe.name for probe in summary.probes} == ALL_PROBES
    assert summary.ok, failing(summary)
    assert all(probe.latency_s is not None for probe in summary.probes)
    assert chat(day) == []

    day.world.take_down("token")
    for minutes in (10, 10, 10):
        later(day, minutes=minutes)
        summary = health(day)
        assert not summary.ok
        assert failing(summary) == {"login", "transaction"}
    (alert,) = chat(day)  # one message for both, none while they stay
    assert "2 项" in alert
    assert "登录" in alert
    assert "模拟交易" in alert

    day.world.bring_up()
    later(day, minutes=10)
    carry(day)
    assert health(day).ok
    (recovery,) = chat(day)
    assert "恢复" in recovery
    assert "30 分钟" in recovery
    later(day, minutes=10)
    assert health(day).incidents.open == 0
    assert chat(day) == []


def test_a_check_that_hangs_counts_for_the_time_at_which_it_began(day, monkeypatch):
    """Else the outage that made it hang would be `not measured`."""
    begun_at = day.clock.now

    def hanging(context, *, sleep):
        found = list(probes(context, sleep=sleep))
        later(day, minutes=12)
        return found

    monkeypatch.setattr("rollout.phases.health.probes", hanging)
    health(day)
    with day.context.journal.transaction() as connection:
        operations = Operations(day.context.journal.project_id)
        assert {row.at for row in operations.probes(connection, begun_at, day.clock.now)} == {begun_at}


def test_a_messenger_that_fails_loses_nothing(day):
    day.world.take_down("token")
    day.world.take_down("dingtalk/robot/send")
    summary = health(day)
    assert summary.incidents.opened
    assert "Retryable" in summary.incidents.not_sent
    day.world.bring_up()
    later(day, minutes=10)
    summary = health(day)  # all is well again, and nobody has been told yet
    assert summary.incidents.open == 0
    (told,) = chat(day)
    assert "此前告警未能送达" in told
    assert health(day).incidents.messages == 0


def test_the_synthetic_record_leaves_nothing_behind_and_removes_what_a_crash_left(day):
    crm = day.context.connector("crm")
    before = crm.count("account")
    left = new_key(day.clock.now - timedelta(hours=1), "crashed")
    crm.write("account", [WriteRow(left, Op.CREATE, {"name": "x", "region": "华东", "legacy_no": "x"})])
    summary = health(day)
    (probe,) = [item for item in summary.probes if item.name == "transaction"]
    assert probe.ok
    assert "removed 1" in probe.detail
    assert crm.count("account") == before
    assert list(crm.read_by_key_prefix("account", KEY_PREFIX)) == []


@pytest.mark.parametrize("fault", ["pretend", "error_before"])
def test_a_crm_that_stores_nothing_is_not_healthy(day, fault):
    plan = {"endpoint": "account/batch", "fault": fault, "times": 50}
    day.world._keeper.post("/api/admin/faults", json=plan).raise_for_status()
    assert failing(health(day)) == {"transaction"}


def test_a_disk_that_fills_up_and_a_sync_that_stands_still_are_told(day, monkeypatch):
    usage = type("Usage", (), {"free": 0, "total": 100})
    later(day, hours=2)
    with monkeypatch.context() as patch:
        patch.setattr("rollout.phases.probes.shutil.disk_usage", lambda _: usage)
        summary = health(day)
    assert failing(summary) == {"disk", "sync_lag:orders", "sync_lag:messages"}


def test_the_night_finds_each_kind_of_difference_with_its_reason(stage):
    world = stage.world
    carry(stage)
    assert night(stage).verdict == "PASS"
    later(stage, hours=12)
    lost, changed = sorted(world._orders)[:2]
    world.lose_order(lost)
    world.falsify_order(changed)
    world.make_up_order("XX-1")
    unknown = world.order(stage.clock.now - timedelta(hours=3), customer_no="KH-99999999")
    carry(stage)
    later(stage, hours=6)
    late = world.order(stage.clock.now - timedelta(hours=4))
    fresh = world.order(stage.clock.now - timedelta(minutes=5))
    spare = world.delete_customer()
    gone = [record["migration_key"] for record in (spare.record, *(record for _, record in spare.noted))]
    edited = world._spare[0].record
    world._colleague.patch(f"/api/account/{edited['id']}", json={"fields": {"remark": "x"}}).raise_for_status()
    world.set_role("zhao.lei", "admin")

    summary = night(stage)
    assert summary.verdict == "FAIL"
    assert differences(summary) == {
        world.key(lost): "missing/deleted_in_crm",
        world.key(changed): "different/changed_by_person",
        world.key("XX-1"): "extra/not_in_source",
        world.key(unknown): "missing/customer_unknown",
        world.key(late): "late/sync_not_run",
        world.key(fresh): "in_flight/",
        **dict.fromkeys(gone, "missing/deleted_in_crm"),
        edited["migration_key"]: "edited/changed_by_person",
    }
    observed = {item.metric: item.observed for item in summary.gate.criteria}
    assert observed == {"sync_missing": 2 + len(gone), "sync_extra": 1, "sync_different": 1, "sync_late": 1}
    assert [(item.login, item.before, item.after) for item in summary.permissions.changes] == [
        ("zhao.lei", "sales", "admin")
    ]
    opened = {
        "sync_check:missing:orders", "sync_check:different:orders", "sync_check:extra:orders",
        "sync_check:late:orders", "sync_check:missing:legacy:account",
        *(f"sync_check:missing:legacy:{entity}" for entity, _ in spare.noted),
    }  # fmt: skip
    assert set(summary.incidents.opened) == opened
    (alert,) = chat(stage)
    assert f"{len(opened)} 项" in alert
    assert all(change.comparable and change.detail == "the same files as then" for change in summary.legacy)
    assert Path(summary.differences).stat().st_mode & 0o077 == 0


def test_a_loaded_customer_that_is_there_twice_is_found(stage, monkeypatch):
    """In a CRM that does not enforce the migration key; a record that paging tells twice is no second one."""
    carry(stage)
    honest = TestbedConnector.read_all

    def doubling(self, entity):
        for place, record in enumerate(honest(self, entity)):
            yield record
            if entity == "account" and place == 0:
                yield record
                yield replace(record, target_id="A-999999")

    monkeypatch.setattr(TestbedConnector, "read_all", doubling)
    summary = night(stage)
    assert summary.verdict == "FAIL"
    assert list(differences(summary).values()) == ["extra/key_twice"]
    (check,) = [item for item in summary.sources if item.source == "legacy:account"]
    assert check.kinds["extra"] == 1
    assert "sync_check:extra:legacy:account" in summary.incidents.opened


def test_a_side_that_cannot_be_read_is_inconclusive_and_closes_nothing(stage):
    world = stage.world
    carry(stage)
    later(stage, hours=12)
    world.lose_order(min(world._orders))
    assert night(stage).incidents.opened == ("sync_check:missing:orders",)
    world.take_down("erp/orders")
    later(stage, hours=24)
    summary = night(stage)
    assert summary.verdict == "INCONCLUSIVE"
    assert summary.incidents.opened == ("sync_check:unreadable:orders",)
    assert summary.incidents.closed == ()  # whether the order is back is not known
    (check,) = [item for item in summary.sources if item.source == "orders"]
    assert "503" in check.unreadable


def test_legacy_files_that_change_after_the_load_are_told_row_by_row(stage):
    file = min((stage.context.project.root / "legacy" / "customers").glob("*.csv"))
    lines = file.read_bytes().split(b"\n")
    header, first, second = lines[0], lines[1], lines[2]
    new = b"KH-NEW" + first[first.index(b",") :]
    changed = second.replace(b",", b",X", 1)
    file.write_bytes(b"\n".join([header, changed, *lines[3:], new]))
    summary = night(stage)
    (customers,) = [item for item in summary.legacy if item.source == "customers"]
    assert (customers.comparable, customers.new, customers.changed, customers.gone) == (True, 1, 1, 1)
    file.write_bytes(b"")
    (customers, _) = night(stage).legacy
    assert not customers.comparable or customers.gone > 0


def test_the_month_says_what_was_not_measured(stage):
    carry(stage)
    health(stage)
    night(stage)
    later(stage, days=1)
    stage.world.take_down("token")
    health(stage)
    stage.world.bring_up()
    stage.clock.now = stage.clock.now.replace(month=5, day=1)
    with stage.visit() as context:
        summary = write_monthly_report(context)
        with pytest.raises(ConfigError, match="has not begun"):
            write_monthly_report(context, month="2026-06")
        with pytest.raises(ConfigError, match="is no month"):
            write_monthly_report(context, month="2026-13")
        empty = write_monthly_report(context, month="2026-03")
    assert (summary.month, summary.expected, summary.measured, summary.available) == (
        "2026-04",
        238,
        2,
        1,
    )  # from six on: it began at eight
    assert summary.availability == 0.5
    assert summary.least_availability == pytest.approx(1 / 238)
    assert (summary.nights, summary.nights_checked) == (30, 1)
    assert (empty.measured, empty.availability, empty.nights_checked) == (0, None, 0)
    assert (empty.expected, empty.nights) == (0, 0)
    text = Path(next(path for path in summary.reports if path.endswith("en.html"))).read_text(encoding="utf-8")
    assert "Measured 2 of 238 health checks; 236 did not take place." in text
    assert "Operation began at 2026-04-01 08:00" in text
    assert "Not checked in 29 nights" in text
    nothing = Path(next(path for path in empty.reports if path.endswith("en.html"))).read_text(encoding="utf-8")
    assert "No synthetic transaction was measured" in nothing
    assert "whether there were incidents is not known" in nothing


def test_cells_of_the_workbook_are_text_and_never_formulas(stage):
    carry(stage)
    with stage.visit() as context:
        settle(context, "health", [Signal("health:login", "=HYPERLINK(1)")])
        stage.clock.now = stage.clock.now.replace(month=5, day=1)
        summary = write_monthly_report(context)
    book = load_workbook(next(path for path in summary.reports if path.endswith("en.xlsx")))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert "=HYPERLINK(1)" in [cell.value for cell in cells]
    assert {cell.data_type for cell in cells if cell.value is not None} == {"s", "n"}
