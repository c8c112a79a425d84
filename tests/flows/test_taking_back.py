"""What goes wrong and what changes afterwards, from forms: preflight, rejects and retry, delta, undo, retention."""

from __future__ import annotations

import pytest

from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.phases.rejects import export_rejects
from rollout.phases.rejects_import import import_rejects
from tests.integration.load._sheet import Sheet

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.xdist_group("flows")]
UNKNOWN = "nobody.here"
TYPED = "typed by hand, and nobody else's business"


@pytest.fixture(scope="module")
def company(make_company):
    """A loaded company whose owner list names somebody that the CRM does not know: their customers are rejected."""
    with make_company(accounts=200, without=("waves", "integration", "loadtest")) as made:
        owners = made.folder / "mappings" / "owners_completed.csv"
        owners.write_text(owners.read_text("utf-8").replace("wu.gang", UNKNOWN), "utf-8")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.environ.items():
                patch.setenv(name, value)
            with made.context() as context:
                run_cleanse(context)
                plan_id = run_plan(context).plan_id
                approve(context, person=made.person, code=made.code, reason="as agreed", plan_id=plan_id)
                run_load(context)
        yield made


@pytest.fixture(autouse=True)
def _environment(company, monkeypatch: pytest.MonkeyPatch, _clean_environment: None) -> None:
    for name, value in company.environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def start(company, artifacts):
    """Starts a flow from its form; answers how it ended and what it published."""

    def run(flow, options, **form):
        state = flow(options(**company.options, **form), return_state=True)
        return state, artifacts(state.state_details.flow_run_id)

    return run


@pytest.fixture
def apply_approved(company, start):
    """Approves a plan from the form, without starting anything."""
    from flows.approve import ApproveOptions, approve_plan

    def approved(plan_id):
        who = {"person": company.person, "code": company.code, "reason": "as agreed", "go_on": False}
        state, _ = start(approve_plan, ApproveOptions, plan_id=plan_id, **who)
        assert state.name == "Approved", state.message

    return approved


def accounts(company) -> int:
    with company.testbed.client() as crm:
        return crm.get("/api/account/count").json()["count"]


def test_preflight_ends_by_what_the_crm_s_rules_would_do(start):
    from flows.preflight import PreflightOptions, preflight

    state, seen = start(preflight, PreflightOptions)
    assert (state.is_completed(), "hengtai-demo-preflight-findings" in seen) == (True, True), state.message


def test_a_retry_sends_what_was_decided_and_tells_what_still_waits(company, start, tmp_path):
    from flows.retry import RetryOptions, retry

    early, seen = start(retry, RetryOptions)
    assert (early.name, early.is_failed()) == ("ApprovalError", True)
    assert "rollout rejects import" in seen["error"]
    with company.context() as context:
        queue = export_rejects(context, tmp_path / "queue.xlsx")
        sheet = Sheet(tmp_path / "queue.xlsx")
        rejected = sorted({line["key"] for line in sheet.lines if line["field"] == "owner"})
        left, *repaired = rejected
        for key in repaired:
            sheet.fill(key, "owner", action="重试", new_value="zhang.wei")
        done = import_rejects(
            context, sheet.save(), person=company.person, code=company.code, reason="his customers went to Zhang Wei"
        )
    assert done.problems == ()
    assert repaired
    before = accounts(company)
    state, seen = start(retry, RetryOptions)
    assert accounts(company) == before + len(repaired)
    waits = sum(left in line for line in seen["hengtai-demo-rejects"].splitlines())
    assert waits == 2, "one line in each language"
    assert queue.rows > len(rejected), "their contacts wait for them"
    assert (state.name, "start the import again" in state.message) == ("RowsOpen", True), "its contacts wait"
    assert "客户" in seen["hengtai-demo-conservation"]
    assert UNKNOWN not in seen["hengtai-demo-rejects"]


def test_a_delta_plans_what_changed_in_the_sources(company, start, apply_approved):
    from flows.delta import DeltaOptions, delta
    from flows.load import LoadOptions, load

    nothing, _ = start(delta, DeltaOptions)
    assert nothing.is_completed(), nothing.message
    source = company.folder / "legacy" / "customers" / "客户_华东.csv"
    head, row, *rows = source.read_text("gb18030").splitlines()
    cells = row.split(",")
    cells[head.split(",").index("网址")] = "https://changed.example"
    source.write_text("\n".join([head, ",".join(cells), *rows]) + "\n", "gb18030", newline="\r\n")
    state, seen = start(delta, DeltaOptions)
    assert state.name == "AwaitingApproval", state.message
    (plan,) = state.result().plans
    assert (plan.kind, plan.entities["account"].update) == ("delta", 1)
    assert plan.plan_id in seen["hengtai-demo-plan-delta-all"]
    apply_approved(plan.plan_id)
    start(load, LoadOptions)
    with company.context() as context:
        held = [record.values["website"] for record in context.target("load")[2].read_all("account")]
    assert held.count("https://changed.example") == 1


def test_an_undo_is_planned_approved_and_applied_from_forms_and_keeps_what_people_typed(company, start, apply_approved):
    from flows.undo import UndoOptions, undo
    from flows.undo_plan import UndoPlanOptions, undo_plan

    with company.testbed.client("zhang.wei") as crm:
        edited = crm.get("/api/account", params={"limit": 1}).raise_for_status().json()["records"][0]
        crm.patch(f"/api/account/{edited['id']}", json={"fields": {"remark": TYPED}}).raise_for_status()
    both, _ = start(undo_plan, UndoPlanOptions)
    assert (both.name, "either --wave or --run" in both.message) == ("ConfigError", True)
    early, seen = start(undo, UndoOptions)
    assert (early.name, early.is_failed()) == ("ApprovalError", True)

    before = accounts(company)
    state, seen = start(undo_plan, UndoPlanOptions, wave="all")
    assert state.name == "AwaitingApproval", state.message
    plan = state.result()
    shown = seen["hengtai-demo-undo-plan"]
    assert (plan.kept, plan.plan_id in shown, "approve-plan" in shown) == (1, True, True)
    assert "edited\\_since" in shown
    assert accounts(company) == before, "planning changes nothing"

    apply_approved(plan.plan_id)
    state, seen = start(undo, UndoOptions, plan_id=plan.plan_id)
    assert state.is_completed(), state.message
    assert (state.result().kept, state.result().deleted) == (1, plan.deleted)
    assert accounts(company) == 1
    with company.testbed.client() as crm:
        stays = crm.get(f"/api/account/{edited['id']}").raise_for_status().json()
    assert stays["fields"]["remark"] == TYPED
    assert "remark" in seen["hengtai-demo-undo"]
    assert TYPED not in " ".join(seen.values())
    assert "客户" in seen["hengtai-demo-conservation"]


def test_approving_an_undo_starts_the_deployed_undo(company, start):
    from prefect.client.orchestration import get_client

    from flows.approve import ApproveOptions, approve_plan
    from flows.undo import undo
    from flows.undo_plan import UndoPlanOptions, undo_plan

    deployment = undo.to_deployment("undo").apply()
    planned, _ = start(undo_plan, UndoPlanOptions, wave="all")
    plan_id = planned.result().plan_id
    who = {"person": company.person, "code": company.code, "reason": "as agreed"}
    state, _ = start(approve_plan, ApproveOptions, plan_id=plan_id, **who)
    assert "going on as" in state.message
    with get_client(sync_client=True) as client:
        (started,) = (run for run in client.read_flow_runs() if run.deployment_id == deployment)
    assert started.parameters == {
        "options": {"project": company.options["project"], "environment": "", "plan_id": plan_id}
    }


def test_nothing_is_destroyed_before_users_are_let_in(start):
    from flows.retention import RetentionOptions, retention

    state, seen = start(retention, RetentionOptions)
    assert state.is_completed(), state.message
    assert "0 plans destroyed" in state.message
    assert "before_go" in state.message
    assert "hengtai-demo-retention" not in seen


def test_a_layer_that_does_not_agree_and_rules_that_acted_are_how_an_import_ends(company):
    from flows.load import load_state
    from rollout.model.verdict import Comparison, Criterion, Measurement, judge_gate
    from rollout.phases.layers import LayerResult
    from rollout.phases.load import LoadSummary
    from rollout.phases.quiet import QuietProof

    with company.context() as context:
        summary = context.journal.latest_run("load").summary
    closed = {
        name: {**line, "waiting": 0, "unknown": 0, "not_loaded": 0, "source": line["source"] - line["waiting"]}
        for name, line in summary["entities"].items()
    }
    done = LoadSummary.model_validate(summary | {"entities": closed, "closed": True, "layers": ()})
    acted = QuietProof(before={}, after={}, difference={"notifications": 3}, quiet=False, rules_on=())
    assert "rules acted meanwhile: +3 notifications" in load_state(done.model_copy(update={"quiet": acted})).message
    criterion = Criterion(metric="control_totals_off", comparison=Comparison.EQUAL, threshold=0)
    gate = judge_gate("layer", [criterion], [Measurement(metric="control_totals_off", value=1, evidence=1)])
    layer = LayerResult(layer="master", gate=gate, control_totals=())
    held_up = load_state(done.model_copy(update={"layers": (layer,)}))
    assert (held_up.name, held_up.is_failed()) == ("GateFailed-layer", True)
