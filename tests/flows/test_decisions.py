"""The rollout from phase to phase, over decisions of people, on a real Prefect server, journal and CRM."""

from __future__ import annotations

import pytest

from rollout.phases.status import rollout_status

# One story from test to test, and so in one piece among the long ones.
pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.xdist_group("flows"), pytest.mark.attack]
WAVES = [{"name": "east", "label": "华东", "where": {"account": {"region": ["华东"]}}}, {"name": "rest"}]


@pytest.fixture(scope="module")
def company(make_company):
    with make_company(accounts=400, without=("integration", "loadtest"), waves=WAVES) as made:
        yield made


@pytest.fixture(autouse=True)
def _environment(company, monkeypatch: pytest.MonkeyPatch, _clean_environment: None) -> None:
    for name, value in company.environ.items():
        monkeypatch.setenv(name, value)


def go_on(company):
    from flows.whole_rollout import RolloutOptions, rollout

    return rollout(RolloutOptions(**company.options), return_state=True)


def approve(company) -> None:
    from flows.approve import ApproveOptions, approve_plan

    waiting = go_on(company)
    assert waiting.name == "AwaitingApproval", waiting.message
    form = {"plan_id": waiting.result(), "person": company.person, "code": company.code, "reason": "as agreed"}
    state = approve_plan(ApproveOptions(**company.options, **form, go_on=False), return_state=True)
    assert state.name == "Approved", state.message


def form(company, **values) -> dict:
    shared = {"person": company.person, "code": company.code, "reason": "as agreed", "go_on": False, "decision": "go"}
    return {**company.options, **shared, **values}


def decide(company, **values):
    from flows.go_no_go import GoNoGoOptions, go_no_go

    return go_no_go(GoNoGoOptions(**form(company, **values)), return_state=True)


def runs(company) -> list[tuple[str, str]]:
    with company.context() as context, context.journal.transaction() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT phase, wave FROM run ORDER BY seq")]


def test_it_walks_from_decision_to_decision_and_runs_nothing_twice(company, artifacts, run_as_deployed):
    from flows.go_no_go import go_no_go
    from flows.plan import PlanOptions, plan

    approve(company)
    waiting = go_on(company)
    assert (waiting.name, waiting.type.value) == ("AwaitingDecision", "COMPLETED"), waiting.message
    assert "rollout decide pilot" in waiting.message
    walked = runs(company)
    assert walked == [
        ("prepare", "all"), ("assess", "all"), ("cleanse", "all"), ("plan", "east"), ("load", "east"), ("verify", "east"),
    ]  # fmt: skip
    assert go_on(company).name == "AwaitingDecision"
    assert runs(company) == walked

    refused = plan(PlanOptions(**company.options, wave="rest"), return_state=True)
    assert (refused.name, refused.is_failed()) == ("ApprovalError", True)
    wrong, _, after = run_as_deployed(go_no_go, form(company, phase="pilot", code="not-the-code"))
    assert wrong.name == "ApprovalError"
    assert "not-the-code" not in str(after.parameters)
    assert decide(company, phase="pilot", decision="no-go", reason="no training yet").name == "NoGo"
    blocked = go_on(company)
    assert blocked.name == "AwaitingDecision"
    assert "no training yet" in blocked.message

    gone = decide(company, phase="pilot", go_on=True)
    assert gone.name == "Go", gone.message
    assert "start the flow rollout by hand" in gone.message, "nobody deployed it here, and the decision stands"
    shown = artifacts(gone.state_details.flow_run_id)
    assert company.person in shown["hengtai-demo-status"]
    assert shown.keys() >= {"hengtai-demo-gate-verify-east", "hengtai-demo-gate-load-east"}

    approve(company)
    waiting = go_on(company)
    assert waiting.name == "AwaitingDecision", waiting.message
    assert "rollout decide golive" in waiting.message
    assert runs(company) == [*walked, ("plan", "rest"), ("load", "rest"), ("verify", "rest")]
    assert decide(company, phase="golive").name == "Go"
    assert go_on(company).name == "Live"
    assert len(runs(company)) == len(walked) + 3
    with company.context() as context:
        golive = next(phase for phase in rollout_status(context).phases if phase.phase == "golive")
    assert (golive.state, golive.verdict, golive.decided_by) == ("done", "PASS", company.person)
    assert any("Load test" in remark for remark in golive.remarks), "that nobody measured it must be said"


def test_a_repaired_gate_goes_on_and_an_override_stays_visible(company, artifacts):
    from flows.verify import VerifyOptions, verify

    with company.testbed.client("zhang.wei") as crm:
        record = crm.get("/api/account", params={"limit": 1}).raise_for_status().json()["records"][0]
        right = record["fields"]["address"]
        crm.patch(f"/api/account/{record['id']}", json={"fields": {"address": "elsewhere"}}).raise_for_status()
    wave = "east" if record["fields"]["region"] == "华东" else "rest"
    failed = verify(VerifyOptions(**company.options, wave=wave), return_state=True)
    assert (failed.name, failed.is_failed()) == ("GateFailed-verify", True)
    assert go_on(company).name == "GateFailed-verify"  # the go-live decision does not outlive it

    overridden = decide(company, phase="verify", wave=wave, override=True, reason="one address is known to be wrong")
    assert overridden.name == "Go", overridden.message
    shown = artifacts(overridden.state_details.flow_run_id)
    assert "one address is known to be wrong" in shown[f"hengtai-demo-gate-verify-{wave}"]
    assert "one address is known to be wrong" in shown["hengtai-demo-status"]
    report = company.folder / ".rollout" / "reports" / f"acceptance-{wave}.zh.html"
    assert "one address is known to be wrong" in report.read_text(encoding="utf-8")

    with company.testbed.client("zhang.wei") as crm:
        crm.patch(f"/api/account/{record['id']}", json={"fields": {"address": right}}).raise_for_status()
    again = verify(VerifyOptions(**company.options, wave=wave), return_state=True)
    assert again.name == "GatesPassed", again.message


def test_a_lost_prefect_database_loses_nothing(company):
    from prefect.client.orchestration import get_client

    before = runs(company)
    with get_client(sync_client=True) as client:
        for flow_run in client.read_flow_runs(limit=200):
            client.delete_flow_run(flow_run.id)
        assert client.read_flow_runs() == []
    waiting = go_on(company)
    assert waiting.name == "AwaitingDecision", waiting.message
    assert runs(company) == before


def test_a_go_starts_the_deployed_rollout_again_without_the_code(company):
    from prefect.client.orchestration import get_client

    from flows.whole_rollout import rollout

    deployment = rollout.to_deployment("rollout").apply()
    gone = decide(company, phase="golive", go_on=True, override=True)
    assert "going on as" in gone.message
    with get_client(sync_client=True) as client:
        (started,) = (run for run in client.read_flow_runs() if run.deployment_id == deployment)
    assert started.name in gone.message
    assert started.parameters == {"options": {"project": company.options["project"], "environment": ""}}
