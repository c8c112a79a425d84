"""The load test on a real Prefect server, with real Locust and the real testbed CRM."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.xdist_group("flows")]

USERS = 5
GATE = {
    "criteria": [
        {"metric": "users_reached", "comparison": ">=", "threshold": USERS},
        {"metric": "error_rate", "comparison": "<=", "threshold": 0},
        {"metric": "stored_share", "comparison": "==", "threshold": 1},
    ]
}
SECTION = {
    "hosts": ["${env:ROLLOUT_TESTBED_URL}"],
    "username": "zhang.wei",
    "password": "${env:ROLLOUT_TESTBED_PASSWORD}",
    "users": USERS,
    "ramp_s": 1,
    "hold_s": 1,
    "think_s": [0.1, 0.3],
}


@pytest.fixture(scope="module")
def company(make_company):
    with make_company(
        accounts=200, without=("waves", "integration"), loadtest=SECTION, gates={"loadtest": GATE}
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def _environment(company, monkeypatch: pytest.MonkeyPatch, _clean_environment: None) -> None:
    for name, value in company.environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.attack
def test_the_gate_s_verdict_is_how_the_load_test_ends_and_its_figures_are_artifacts(company, artifacts):
    from flows.loadtest import LoadTestOptions, loadtest

    state = loadtest(LoadTestOptions(**company.options), return_state=True)

    assert (state.name, state.type.value) == ("GatesPassed", "COMPLETED"), state.message
    assert state.result().users_reached == USERS  # zero in the form is what the project asks
    seen = artifacts(state.state_details.flow_run_id)
    assert "同时在线用户数" in seen["hengtai-demo-gate-loadtest"]
    assert "loadtest.zh.html" in seen["hengtai-demo-report-loadtest-zh"]
    assert "hengtai-demo-report-loadtest-en" in seen

    fewer = loadtest(LoadTestOptions(**company.options, users=2), return_state=True)
    assert (fewer.name, fewer.type.value) == ("GateFailed-loadtest", "FAILED")
    assert "users_reached 2 (needs >= 5)" in fewer.message


def test_a_foreign_host_ends_the_flow_by_the_error_s_name(company):
    from flows.loadtest import LoadTestOptions, loadtest

    file = company.folder / "rollout.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("- ${env:ROLLOUT_TESTBED_URL}", "- http://127.0.0.1:9"), encoding="utf-8")
    try:
        state = loadtest(LoadTestOptions(**company.options), return_state=True)
    finally:
        file.write_text(text, encoding="utf-8")
    assert (state.name, state.type.value) == ("ConfigError", "FAILED")
    assert "may not be put under load" in state.message
