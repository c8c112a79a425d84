"""The flows on a real Prefect server, a real journal and the real testbed CRM."""

from __future__ import annotations

from collections import Counter

import pytest

from rollout.model.verdict import Comparison, Criterion, GateResult, Measurement, Verdict, judge_gate
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.report import markdown

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.xdist_group("flows")]


@pytest.fixture(scope="module")
def company(make_company):
    with make_company(accounts=400, without=("waves", "integration", "loadtest")) as made:
        yield made


@pytest.fixture(autouse=True)
def _environment(company, monkeypatch: pytest.MonkeyPatch, _clean_environment: None) -> None:
    for name, value in company.environ.items():
        monkeypatch.setenv(name, value)


def all_artifacts() -> list[str]:
    """What every run of this module has published so far."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return [str(artifact.data) for artifact in client.read_artifacts(limit=200)]


def test_the_rollout_stops_for_a_person_goes_on_when_approved_and_changes_nothing_again(company, run_as_deployed):
    from flows.approve import ApproveOptions, approve_plan
    from flows.load import LoadOptions, load
    from flows.whole_rollout import RolloutOptions, rollout

    waiting = rollout(RolloutOptions(**company.options), return_state=True)
    assert (waiting.name, waiting.type.value) == ("AwaitingApproval", "COMPLETED"), waiting.message
    plan_id = waiting.result()
    assert plan_id in waiting.message

    unapproved = rollout(RolloutOptions(**company.options), return_state=True)
    assert (unapproved.name, unapproved.result()) == ("AwaitingApproval", plan_id)  # and no second plan

    form = {
        **company.options,
        "plan_id": plan_id,
        "person": company.person,
        "reason": "checked by the test",
        "go_on": False,
    }
    refused, before, after = run_as_deployed(approve_plan, {**form, "code": "not-the-code"})
    assert refused.name == "ApprovalError"
    assert before["options"]["code"] == "not-the-code"  # what Prefect holds until the flow begins
    assert "not-the-code" not in str(after.parameters)
    assert after.parameters["options"]["reason"] == "checked by the test"

    approved = approve_plan(ApproveOptions(**form, code=company.code), return_state=True)
    assert approved.name == "Approved", approved.message

    done = rollout(RolloutOptions(**company.options), return_state=True)
    assert done.name == "AwaitingDecision", done.message
    assert "rollout decide golive" in done.message
    with company.context() as context:
        assert context.journal.latest_gate("verify").verdict is Verdict.PASS

    again = load(LoadOptions(**company.options), return_state=True)
    assert again.is_completed(), again.message
    for line in again.result().entities.values():
        assert line.accounted
        assert line.created == line.updated == 0
        assert line.unchanged > 0


def test_artifacts_show_rows_findings_plan_gates_and_reports(company, artifacts):
    from flows.assess import AssessOptions, assess
    from flows.cleanse import CleanseOptions, cleanse
    from flows.load import LoadOptions, load
    from flows.plan import PlanOptions, plan
    from flows.verify import VerifyOptions, verify

    seen: dict[str, str] = {}
    for flow, options in (
        (assess, AssessOptions),
        (cleanse, CleanseOptions),
        (plan, PlanOptions),
        (load, LoadOptions),
        (verify, VerifyOptions),
    ):
        state = flow(options(**company.options), return_state=True)
        assert state.is_completed(), state.message
        seen |= artifacts(state.state_details.flow_run_id)
    assert seen.keys() >= {
        f"hengtai-demo-{name}"
        for name in (
            "assess-findings",
            "report-assessment-zh",
            "cleanse-findings",
            "conservation",
            "plan",
            "plan-file",
            "gate-load",
            "gate-verify",
            "status",
            "report-acceptance-en",
        )
    }
    assert "客户" in seen["hengtai-demo-conservation"]
    assert "Account" in seen["hengtai-demo-conservation"]
    assert "approve-plan" in seen["hengtai-demo-plan"]
    assert "](file://" in seen["hengtai-demo-report-acceptance-en"]


def test_a_report_link_leads_to_where_reports_are_served(company, monkeypatch, artifacts):
    from flows.assess import AssessOptions, assess

    monkeypatch.setenv("ROLLOUT_REPORTS_URL", "http://127.0.0.1:8060/token")
    state = assess(AssessOptions(**company.options), return_state=True)
    found = artifacts(state.state_details.flow_run_id)
    assert "](http://127.0.0.1:8060/token/assessment.zh.html)" in found["hengtai-demo-report-assessment-zh"]


def test_run_names_say_phase_entities_and_wave(company):
    from prefect.client.orchestration import get_client

    from flows.load import LoadOptions, load

    state = load(LoadOptions(**company.options, entities=("account",), wave="all"), return_state=True)
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name == "load · account · wave all"


def test_forms_ask_for_the_wave_and_run_names_say_it():
    from flows.load import LoadOptions
    from flows.plan import PlanOptions
    from flows.verify import VerifyOptions

    for options, in_turn in (
        (PlanOptions, "next wave"),
        (LoadOptions, "wave approved last"),
        (VerifyOptions, "wave loaded last"),
    ):
        assert (options(wave="pilot").label, options().label) == (
            "all entities · wave pilot",
            f"all entities · {in_turn}",
        )
        field = options.model_json_schema()["properties"]["wave"]
        assert ("批次" in field["title"], "Wave" in field["title"], field["maxLength"]) == (True, True, 64)


def test_a_wave_that_is_not_there_ends_a_run_with_the_known_ones(company):
    from flows.plan import PlanOptions, plan

    state = plan(PlanOptions(**company.options, wave="pilots"), return_state=True)
    assert (state.name, state.type.value) == ("ConfigError", "FAILED")
    assert "known, in order: all" in state.message


def test_an_error_ends_a_run_by_its_name_with_the_next_step_and_no_traceback(tmp_path, caplog, artifacts):
    from flows.assess import AssessOptions, assess

    state = assess(AssessOptions(project=str(tmp_path)), return_state=True)
    assert (state.name, state.type.value) == ("ConfigError", "FAILED")
    assert "→" in state.message
    assert "Traceback" not in caplog.text
    assert "rollout init" in artifacts(state.state_details.flow_run_id)["error"]


def gate(name: str, *, value: float | None, evidence: int = 10) -> GateResult:
    criterion = Criterion(metric="load_success", comparison=Comparison.AT_LEAST, threshold=0.99)
    return judge_gate(name, [criterion], [Measurement(metric="load_success", value=value, evidence=evidence)])


@pytest.mark.parametrize(
    ("gates", "name", "failed"),
    [
        ([gate("load", value=1.0)], "GatesPassed", False),
        ([gate("load", value=1.0), gate("verify", value=0.5)], "GateFailed-verify", True),
        ([gate("load", value=None), gate("verify", value=0.5)], "GateFailed-verify", True),
        ([gate("load", value=1.0, evidence=0)], "AwaitingDecision", False),
        ([], "AwaitingDecision", False),
    ],
)
def test_only_gates_that_all_pass_end_in_plain_success(gates, name, failed):
    from flows._states import gate_state

    state = gate_state(gates)
    assert state.name == name
    assert state.is_failed() is failed
    if name.startswith("GateFailed"):
        assert "load_success 0.5 (needs >= 0.99)" in state.message


def test_defects_in_the_crm_fail_the_rollout_each_by_its_name_and_no_artifact_shows_a_person(company):
    from flows.whole_rollout import RolloutOptions, rollout

    with company.context() as context:
        run_cleanse(context)
        plan_id = run_plan(context).plan_id
        approve(context, person=company.person, code=company.code, reason="checked by the test", plan_id=plan_id)
        run_load(context)
    with company.testbed.client("zhang.wei") as crm:

        def records(entity):
            return crm.get(f"/api/{entity}", params={"limit": 100}).raise_for_status().json()["records"]

        def change(entity, record, **values):
            crm.patch(f"/api/{entity}/{record['id']}", json={"fields": values}).raise_for_status()

        people, firms = records("contact"), [firm for firm in records("account") if firm["fields"]["address"]]
        blanked, swapped, truncated = (firm["fields"] for firm in firms[:3])
        change("account", firms[0], phone=None, website=None)
        change("account", firms[1], name=swapped["address"], address=swapped["name"])
        change("account", firms[2], address=truncated["address"][:-1])
        moved, dropped, twin = people[:3]
        other_firm = next(firm["id"] for firm in firms if firm["id"] != moved["fields"]["account"])
        change("contact", moved, account=other_firm)
        crm.delete(f"/api/contact/{dropped['id']}").raise_for_status()
        made = {"op": "create", "migration_key": "never-made-by-us", "fields": twin["fields"]}
        crm.post("/api/contact/batch", json={"rows": [made]}).raise_for_status()

    state = rollout(RolloutOptions(**company.options), return_state=True)
    assert (state.name, state.is_failed()) == ("GateFailed-verify", True), state.message
    with company.context() as context:
        found = context.journal.latest_run("verify").summary["entities"]
        gate_shown = markdown.gate_table(context.journal.latest_gate("verify"), "zh")
    account, contact = (found[name]["reconciliation"] for name in ("account", "contact"))
    blanks = {name: 1 for name in ("phone", "website") if blanked[name] is not None}
    assert Counter(account["wrong_fields"]) == Counter(blanks) + Counter({"name": 1, "address": 2})
    assert contact["wrong_fields"] == {"account": 1}
    assert (contact["missing"], contact["extra"], contact["relations_broken"]) == (1, 1, 1)
    assert found["contact"]["counted"] == contact["observed"]

    seen = " ".join(all_artifacts())
    assert gate_shown in seen
    shown = [name for person in people for name in (person["fields"]["mobile"], person["fields"]["email"]) if name]
    assert [value for value in shown if value in seen] == []


def test_progress_ends_at_what_was_reached_and_is_not_written_for_every_row(company, artifacts):
    from prefect import flow

    from flows import _progress

    written: Counter[str] = Counter()

    class Counted(_progress.ArtifactProgress):
        def _write(self, *, over):
            written["writes"] += 1
            super()._write(over=over)

    @flow
    def work() -> None:
        progress = Counted("hengtai-demo")
        progress.start("load account", 1_000, "rows")
        for _ in range(500):
            progress.advance(1)
        progress.finish()
        progress.start("plan contact", None, "rows")
        progress.advance(3)
        progress.finish()

    state = work(return_state=True)
    found = artifacts(state.state_details.flow_run_id)
    assert float(found["hengtai-demo-progress-load-account"]) == 50.0
    assert float(found["hengtai-demo-progress-plan-contact"]) == 100.0
    assert written["writes"] < 20
