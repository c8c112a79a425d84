"""What training believes of what it learnt: little data counts little, and evidence upside down is refused."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from splink import DuckDBAPI, Linker
from splink.internals.exceptions import EMTrainingException

from rollout.match.layout import Layout
from rollout.match.model import LevelWeights, assumed, splink_settings
from rollout.match.spec import MatchModel
from rollout.match.training import _believed, _maximise, _prior, _without_matches

LAYOUT = Layout(MatchModel(comparisons={"phone": "phone", "name": "company_name"}), "account")


def told(**probabilities: dict[str, list[float | None]]) -> list[dict]:
    """As Splink tells a model: the level of missing values first; what it did not see has no number."""
    comparisons = []
    for name, (_, evidence) in LAYOUT.evidence.items():
        given = probabilities.get(name, {})
        levels = []
        for at in range(len(evidence.levels)):
            numbers = {f"{which}_probability": given[which][at] for which in given}
            levels.append({key: number for key, number in numbers.items() if number is not None})
        comparisons.append({"comparison_levels": [{"is_null_level": True}, *levels]})
    return comparisons


def phone_levels(learnt, pairs):
    levels, findings = _believed(LAYOUT, learnt, random_pairs=500_000, pairs=pairs)
    return levels["c0_phone"], findings


def test_much_data_is_believed_and_little_is_not():
    learnt = told(c0_phone={"m": [0.2, 0.1, 0.1, 0.6], "u": [1e-5, 1e-5, 1e-5, 0.99997]})
    many, _ = phone_levels(learnt, pairs=400_000)
    few, _ = phone_levels(learnt, pairs=100)
    assert many[0].m == pytest.approx(0.2, abs=0.01)
    assert few[0].m == pytest.approx(0.65, abs=0.12)


def test_what_was_never_seen_keeps_a_little_of_what_is_assumed():
    levels, findings = phone_levels(told(c0_phone={"m": [0.7, None, 0.1, 0.2], "u": [1e-5, None, None, 1.0]}), 400_000)
    assert all(0 < level.m < 1 and 0 < level.u <= 1 for level in levels)
    assert findings == []


def test_evidence_that_came_out_upside_down_is_not_believed_and_told():
    levels, findings = phone_levels(told(c0_phone={"m": [1e-9, 1e-9, 1e-9, 1.0], "u": [0.3, 0.1, 0.1, 0.5]}), 400_000)
    assert levels[0].m == pytest.approx(0.65)
    assert [finding.id for finding in findings] == ["match.not_trained"]
    assert "phone" in findings[0].message


def test_levels_that_would_teach_wrongly_are_not_learnt():
    evidence = LAYOUT.evidence["c1_brand"][1]
    even = [1 / len(evidence.levels)] * len(evidence.levels)
    levels, _ = _believed(LAYOUT, told(c1_brand={"m": even, "u": even}), 500_000, 400_000)
    assert levels["c1_brand"][-1].m == evidence.levels[-1].m
    assert sum(level.m for level in levels["c1_brand"]) == pytest.approx(1, abs=1e-4)


def test_an_address_at_another_domain_says_little_beside_the_name_that_it_is_made_of():
    layout = Layout(MatchModel(comparisons={"email": "email", "name": "person_name"}), "person")
    mail, name = (evidence for _, evidence in layout.evidence.values())
    seen = {"m_probability": 0.16, "u_probability": 4e-6}  # as in a list where anna.smith@… is of several Anna Smiths
    learnt = [{"comparison_levels": [dict(seen) for _ in evidence.levels]} for evidence in (mail, name)]
    for comparison in learnt:
        comparison["comparison_levels"][-1] = {"m_probability": 0.05, "u_probability": 0.9999}
    levels, _ = _believed(layout, learnt, random_pairs=500_000, pairs=400_000)
    at = [level.code for level in mail.levels].index("local")
    assert levels["c0_email"][at].u == pytest.approx(0.01, rel=0.01)
    assert levels["c0_email"][0].u < 1e-4


def test_random_pairs_that_are_the_same_are_taken_out_of_u():
    same, other = _without_matches((LevelWeights(m=0.8, u=1e-4), LevelWeights(m=0.2, u=0.9999)), prior=1e-4)
    assert same.u == pytest.approx(2e-5, rel=0.01)
    assert other.u == pytest.approx(0.9999, rel=0.001)


def test_the_prior_expects_as_many_matches_as_it_finds():
    weights = np.array([30.0] * 100 + [-10.0] * 900)
    prior = _prior(weights, rows=1_000, share=1.0)
    assert prior * 1_000 * 999 / 2 == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("refusal", [EMTrainingException("no pairs"), ValueError("m_probability value 0.0")])
def test_a_session_that_fails_leaves_every_comparison_in_the_model(monkeypatch, refusal):
    """Splink takes what a session cannot learn out of the model, and puts it back only where the session ends well."""
    columns = sorted({placed.column(part) for placed in LAYOUT.placed.values() for part in placed.kind.parts})
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT 1 AS row, {', '.join(f'NULL AS {name}' for name in columns)}")
        api = DuckDBAPI(connection)
        made = Linker(api.register("rows"), splink_settings(LAYOUT, assumed(LAYOUT, 10)), log_level=None)
        whole = [comparison.output_column_name for comparison in made._settings_obj.core_model_settings.comparisons]

        def fail(*_, **__):
            made._settings_obj.core_model_settings.comparisons.pop()
            raise refusal

        monkeypatch.setattr(made.training, "estimate_parameters_using_expectation_maximisation", fail)
        _maximise(made, LAYOUT.rules[0])
        found = [comparison.output_column_name for comparison in made._settings_obj.core_model_settings.comparisons]
    assert found == whole
