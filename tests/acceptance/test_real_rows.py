"""3,337 messy rows that nobody here made, through the whole main job into the CRM."""

from __future__ import annotations

import pytest

PROJECT_OF_REAL_ROWS = "real"


@pytest.fixture
def real_rollout(make_rollout, request):
    tests = request.config.rootpath / "tests"
    data = request.config.rootpath.parent / "shared" / "data" / "real"
    if not (data / "childcare-sites.csv").exists():
        pytest.skip(f"real rows are missing: {data / 'childcare-sites.csv'}")
    rollout = make_rollout(tests / PROJECT_OF_REAL_ROWS)
    rollout.environ["ROLLOUT_REAL_DATA"] = str(data)
    return rollout


@pytest.mark.attack
def test_every_real_row_is_accounted_for_and_what_arrived_is_verified(real_rollout):
    assessed = real_rollout.run("assess")
    assert assessed
    real_rollout.plan()
    loaded = real_rollout.run("load")
    [account] = loaded["entities"].values()
    assert account["source"] == 3337
    assert loaded["accounted"]
    assert loaded["closed"]
    assert account["created"] + account["merged"] + account["quarantined"] == 3337
    assert account["created"] > 2000
    verified = real_rollout.run("verify")
    assert verified["verdict"] == "PASS", verified["criteria"]
    with real_rollout.crm.client() as client:
        assert client.get("/api/account/count").json()["count"] == account["created"]
    reports = {path.name for path in (real_rollout.root / ".rollout" / "reports").rglob("*.html")}
    assert {"assessment.zh.html", "assessment.en.html", "acceptance.zh.html", "acceptance.en.html"} <= reports
    again = real_rollout.run("load")
    assert again["entities"]["account"]["unchanged"] == account["created"]
