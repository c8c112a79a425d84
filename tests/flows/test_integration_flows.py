"""The flows `sync` and `integrate` on a Prefect server: how they end, and what they publish."""

from __future__ import annotations

import pytest

from rollout.phases.sync import SyncSummary

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.xdist_group("flows"), pytest.mark.attack]


@pytest.fixture(scope="module")
def company(make_company):
    with make_company(accounts=200, without=("waves",)) as made:
        yield made


@pytest.fixture(autouse=True)
def _environment(company, monkeypatch: pytest.MonkeyPatch, _clean_environment: None) -> None:
    for name, value in company.environ.items():
        monkeypatch.setenv(name, value)


def test_a_sync_ends_by_what_it_did_and_publishes_its_figures(company, artifacts):
    from flows.sync import SyncOptions, sync

    state = sync(SyncOptions(**company.options), return_state=True)
    assert state.is_completed(), state.message
    summary = state.result()
    assert isinstance(summary, SyncSummary)
    assert summary.complete
    (table,) = (data for key, data in artifacts(state.state_details.flow_run_id).items() if key.endswith("-sync"))
    assert "orders" in table


def test_without_a_loaded_customer_the_integration_awaits_a_decision_and_shows_the_matrix(company, artifacts):
    from flows.integrate import IntegrateOptions, integrate

    state = integrate(IntegrateOptions(**company.options), return_state=True)
    assert state.name == "AwaitingDecision", state.message
    published = artifacts(state.state_details.flow_run_id)
    matrix = next(data for key, data in published.items() if key.endswith("-integration"))
    assert "线索成交联动" in matrix
    assert "A lead is won" in matrix
    assert any("gate-integrate" in key for key in published)
    assert any("report-integration" in key for key in published)


def test_a_system_that_is_down_ends_the_sync_by_its_name(make_company, monkeypatch):
    from flows.sync import SyncOptions, sync

    with make_company(accounts=200, without=("waves",)) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        made.testbed.kill()
        state = sync(SyncOptions(**made.options, names=("messages",)), return_state=True)
    assert state.is_failed()
    assert state.name == "SyncStopped"
    assert "cannot connect" in state.message
