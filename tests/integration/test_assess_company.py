"""The assessment of the made-up company against the truth about it: what was planted is found, and told as a figure."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rollout.assess.model import Assessment
from rollout.phases.assess import run_assess
from rollout.phases.context import open_context
from rollout.project.loader import load_project

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def assessed(tmp_path, pg_url, monkeypatch) -> Assessment:
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    monkeypatch.setenv("ROLLOUT_TESTBED_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ROLLOUT_TESTBED_PASSWORD", "x")
    for name in ("rollout.yaml", "mappings", "legacy"):
        (shutil.copytree if (DEMO / name).is_dir() else shutil.copy)(DEMO / name, tmp_path / name)
    with open_context(load_project(tmp_path / "rollout.yaml", env="first_try")) as context:
        run_assess(context)
        return Assessment.model_validate(context.journal.latest_run("assess").summary["assessment"])


@pytest.mark.attack
def test_what_was_planted_is_found(assessed):
    with (DEMO / "legacy" / "truth" / "defects.csv").open(encoding="utf-8-sig", newline="") as stream:
        planted = Counter(row["defect"] for row in csv.DictReader(stream))
    found: Counter[str] = Counter()
    for finding in assessed.findings:
        found[finding.id] += finding.count or 0
    for defect, ids in {
        "account_missing": ["assess.reference_unknown"],
        "phone_invalid": ["assess.invalid_phone"],
        "email_invalid": ["assess.invalid_email"],
        "required_missing": ["assess.required_missing"],
        "owner_unknown": ["assess.owner_unknown"],
        "ends_before_start": ["assess.invalid_date"],
    }.items():
        assert sum(found[id_] for id_ in ids) == planted[defect], defect
    assert found["assess.invalid_uscc"] == planted["uscc_check_digit"] + planted["uscc_scientific"]
    account = next(entity for entity in assessed.entities if entity.name == "account")
    # Copies that no exact key ties to the record that people dealt with look dormant, too, until they are merged.
    assert planted["dormant"] <= account.figures.dormancy.dormant <= planted["dormant"] + 5
    assert account.figures.duplicates.exact >= planted["duplicate_other_source"]
