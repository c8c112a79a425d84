"""Real Locust against a real CRM over HTTP: a healthy CRM passes, each seeded defect is caught, nothing stays behind."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rollout.capacity.recording import read_recording
from rollout.connectors.base import Op, WriteRow
from rollout.errors import ConfigError, LeaseHeld
from rollout.journal import people
from rollout.journal.leases import hold
from rollout.model.verdict import Verdict
from rollout.phases.decide import decide
from rollout.phases.loadtest import LoadTestSummary, run_loadtest
from rollout.phases.loadtest_records import PREFIX
from rollout.testbed.fault_kinds import Fault

from .conftest import USERS

pytestmark = pytest.mark.usefixtures("calm")
ALWAYS = 100_000
CUSTOMER = {"name": "虚构精密机械", "region": "华东", "legacy_no": "L-1"}


def verdicts(summary: LoadTestSummary) -> dict[str, Verdict]:
    return {result.metric: result.verdict for result in summary.gate.criteria}


def findings(context, summary: LoadTestSummary) -> dict[str, str]:
    return {finding.id: finding.where for finding in context.journal.findings(summary.run_id)}


def left_behind(context) -> int:
    crm = context.connector("crm")
    return sum(1 for entity in ("account", "followup") for _ in crm.read_by_key_prefix(entity, PREFIX))


def store(context, entity: str, key: str, values: dict[str, str]) -> str:
    (result,) = context.connector("crm").write(entity, [WriteRow(key, Op.CREATE, values)])
    assert result.target_id, result
    return result.target_id


def report(summary: LoadTestSummary, language: str) -> str:
    (path,) = (path for path in summary.reports if path.endswith(f"loadtest.{language}.html"))
    return Path(path).read_text(encoding="utf-8")


def test_a_healthy_crm_passes_and_is_left_as_it_was(context, crm):
    before = context.connector("crm").count("account")
    store(context, "account", f"{PREFIX}cut:short", CUSTOMER)

    summary = run_loadtest(context)

    assert summary.verdict is Verdict.PASS, summary.gate
    assert (summary.users_reached, summary.error_rate, summary.stored_share) == (USERS, 0, 1)
    assert summary.removed >= summary.figures.said_stored > 0
    assert (summary.leftovers_removed, summary.not_removed, left_behind(context)) == (1, 0, 0)
    assert context.connector("crm").count("account") == before
    names = {activity.name for activity in summary.figures.activities}
    assert {"create_account", "create_followup", "search_account", "open_account", "list_accounts"} & names
    kept = context.journal.latest_run("loadtest")
    assert kept is not None
    assert kept.summary == summary.model_dump(mode="json")
    assert context.journal.latest_gate("loadtest") == summary.gate
    assert findings(context, summary) == {"loadtest.leftovers_removed": PREFIX}
    assert "压力测试报告" in report(summary, "zh")
    assert "less than asked" not in report(summary, "en")
    written = [path for path in context.project.workspace.root.rglob("*") if path.is_file()]
    assert [path for path in written if crm.password.encode() in path.read_bytes()] == []
    assert [path for path in written if path.stat().st_mode & 0o077] == []


def test_fast_errors_fail_and_what_cannot_be_removed_is_told(context, crm):
    account = store(context, "account", f"{PREFIX}kept:1", CUSTOMER)
    contact = store(context, "contact", "person", {"name": "虚构", "account": account, "legacy_no": "P-1"})
    crm.inject("account/batch", Fault.ERROR_BEFORE, times=ALWAYS)

    summary = run_loadtest(context)

    assert summary.verdict is verdicts(summary)["error_rate"] is Verdict.FAIL
    assert verdicts(summary)["mean_s"] is not Verdict.FAIL
    assert {error.kind for error in summary.figures.errors} == {"http_500"}
    assert findings(context, summary)["loadtest.not_removed"] == PREFIX
    assert "HTTP 500" in report(summary, "zh")
    code = people.add(context.journal, "boss")
    given = {"go": True, "override": True, "person": "boss", "code": code, "reason": "the new host comes on Monday"}
    assert decide(context, phase="loadtest", **given).reports == summary.reports
    assert "the new host comes on Monday" in report(summary, "zh")
    assert "HTTP 500" in report(summary, "zh")
    context.connector("crm").delete("contact", [contact])
    context.connector("crm").delete("account", [account])


def test_success_without_storing_fails(context, crm):
    crm.inject("account/batch", Fault.PRETEND, times=ALWAYS)

    summary = run_loadtest(context)

    assert summary.verdict is verdicts(summary)["stored_share"] is Verdict.FAIL
    assert summary.stored_share == 0
    assert "loadtest.not_stored" in findings(context, summary)


def test_fewer_users_than_the_gate_asks_fail_and_the_report_says_that_less_was_run(context):
    summary = run_loadtest(context, users=6)

    assert (summary.users_reached, summary.verdict) == (6, Verdict.FAIL)
    assert [metric for metric, verdict in verdicts(summary).items() if verdict is Verdict.FAIL] == ["users_reached"]
    assert findings(context, summary) == {"loadtest.reduced": "loadtest.users"}
    assert "less than asked" in report(summary, "en")
    assert "少于要求" in report(summary, "zh")


def test_a_shorter_hold_than_the_project_asks_never_passes(context):
    summary = run_loadtest(context, hold_s=1.5)

    assert summary.verdict is Verdict.INCONCLUSIVE
    assert summary.figures.complete
    assert all("hold_s 1.5 instead of 2" in result.detail for result in summary.gate.criteria)
    assert context.journal.latest_run("loadtest").summary["verdict"] == "INCONCLUSIVE"


def test_a_test_that_is_cut_short_decides_nothing_and_still_cleans_up(context):
    before = set(context.project.workspace.loadtests.glob("*.jsonl"))

    def end_locust() -> None:
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            for path in set(context.project.workspace.loadtests.glob("*.jsonl")) - before:
                if read_recording(path).mark("hold_began") is not None:
                    (locust,) = (child for child in psutil.Process().children() if "locust" in child.cmdline())
                    locust.kill()
                    return
            time.sleep(0.1)

    killer = threading.Thread(target=end_locust)
    killer.start()
    summary = run_loadtest(context, hold_s=60)
    killer.join()

    assert summary.verdict is Verdict.INCONCLUSIVE
    assert not summary.figures.complete
    assert summary.removed > 0
    assert "loadtest.ended_early" in findings(context, summary)
    assert left_behind(context) == 0


def test_a_host_that_the_project_does_not_list_is_refused_before_anything_happens(context):
    foreign = context.project.spec.loadtest.model_copy(update={"hosts": ("http://127.0.0.1:9",)})
    project = replace(context.project, spec=context.project.spec.model_copy(update={"loadtest": foreign}))
    before = context.journal.latest_run("loadtest")
    with pytest.raises(ConfigError, match="may not be put under load"):
        run_loadtest(replace(context, project=project))
    assert context.journal.latest_run("loadtest") == before


def test_one_load_test_at_a_time_and_none_during_a_load(context):
    for lease in ("loadtest", "load test"):
        with hold(context.journal, lease), pytest.raises(LeaseHeld):
            run_loadtest(context)


@pytest.mark.parametrize("override", [{"users": 0}, {"hold_s": 0.5}, {"ramp_s": -1.0}])
def test_figures_out_of_bounds_are_refused(context, override):
    with pytest.raises(ConfigError, match=next(iter(override))):
        run_loadtest(context, **override)


def test_a_project_without_a_load_test_says_what_to_add(context):
    project = replace(context.project, spec=context.project.spec.model_copy(update={"loadtest": None}))
    with pytest.raises(ConfigError, match="add a section `loadtest:`"):
        run_loadtest(replace(context, project=project))
