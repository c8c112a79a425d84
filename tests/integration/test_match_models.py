"""Trained match models in the journal: kept by project, entity and settings; the first one stays."""

from __future__ import annotations

import pytest

from rollout.journal.crypto import KeyRing
from rollout.journal.match_models import JournalModels
from rollout.journal.store import Journal
from rollout.match.model import LevelWeights, TrainedModel

DIGEST = "d" * 64
MODEL = TrainedModel(
    prior=0.001,
    levels={"c0_phone": (LevelWeights(m=0.7, u=1e-6), LevelWeights(m=0.3, u=0.999999))},
    terms={"c0_number": {"": 0.0005, "0cc175b9c0f1b6a8": 0.01}},
    rows=2_000,
)


@pytest.fixture
def journal(pg_url):
    opened = Journal.open(pg_url, project_id="matching", keys=KeyRing.parse(KeyRing.generate()))
    yield opened
    opened.close()


def test_a_model_comes_back_as_it_was_kept(journal):
    models = JournalModels(journal, "account")
    assert models.load(DIGEST) is None
    models.save(DIGEST, MODEL)
    assert models.load(DIGEST) == MODEL
    assert JournalModels(journal, "contact").load(DIGEST) is None
    assert models.load("e" * 64) is None


def test_a_model_that_is_kept_stays(journal):
    models = JournalModels(journal, "account")
    models.save(DIGEST, MODEL)
    models.save(DIGEST, MODEL.model_copy(update={"prior": 0.5}))
    assert models.load(DIGEST) == MODEL
