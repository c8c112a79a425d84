"""The score is the weighted mean that is printed, and nothing that could not be judged counts as sound."""

from __future__ import annotations

import pytest

from rollout.assess.entity_model import Duplicates, EntityFigures, KeyDuplicates
from rollout.assess.model import EntityProfile, Ratio, RequiredField, SourceProfile
from rollout.assess.score import WEIGHTS, health_of, score

KEY = KeyDuplicates(name="k", records=10)


def entity(duplicates: Duplicates | None = None, *, missing: int = 0) -> EntityProfile:
    source = SourceProfile(
        name="s", rows=100, required=(RequiredField(field="name", columns=("n",), missing=missing),), ready=100
    )
    figures = EntityFigures(duplicates=duplicates) if duplicates else None
    return EntityProfile(name="e", label="E", sources=(source,), figures=figures)


def test_the_weights_are_of_a_hundred():
    assert sum(WEIGHTS.values()) == 100


def test_what_cannot_be_judged_does_not_count():
    health = health_of([entity(missing=20)])
    assert health["completeness"] == Ratio(part=80, whole=100)
    assert all(health[name].share is None for name in ("validity", "distinctness", "integrity", "freshness"))
    assert score(health) == pytest.approx(80)
    assert score(health_of([])) is None


def test_records_without_keys_are_not_called_distinct():
    assert health_of([entity(Duplicates(records=100, exact=0))])["distinctness"].share is None
    judged = Duplicates(records=100, exact=10, keys=(KEY,), likely=5, method="name")
    health = health_of([entity(judged), entity(Duplicates(records=900, exact=0))])
    assert health["distinctness"] == Ratio(part=85, whole=100)
    assert score(health) == pytest.approx((25 * 100 + 20 * 85) / 45)
