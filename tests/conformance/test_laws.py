"""The laws over every target, and over mutants: a law that catches none is no law, a mutant that passes all shows a gap."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.connectors.memory import MemoryConnector
from rollout.connectors.testing import LAWS, MUTANTS, Harness, Law, LawBrokenError, memory_harness


def _obeys(law: Law, harness: Harness) -> bool:
    try:
        law(harness)
    except LawBrokenError:
        return False
    return True


def _try(law: Law, harness: Harness) -> None:
    if reason := law.skipped_because(harness):
        pytest.skip(reason)
    law(harness)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_memory_obeys(law: Law) -> None:
    _try(law, memory_harness())


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_the_testbed_crm_obeys(law: Law, testbed_harness: Harness) -> None:
    _try(law, testbed_harness)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_each_law_catches_a_mutant(law: Law) -> None:
    assert [mutant for mutant in MUTANTS if not _obeys(law, memory_harness(mutant))]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_each_mutant_is_caught(mutant: type[MemoryConnector]) -> None:
    assert [law for law in LAWS if not _obeys(law, memory_harness(mutant))]


def test_no_law_is_skipped_over_a_full_harness_and_each_skip_has_a_reason() -> None:
    full = memory_harness()
    assert [law.skipped_because(full) for law in LAWS] == [None] * len(LAWS)
    bare = Harness(
        target=full.target, entity=full.entity, sample=full.sample, spoilt=full.spoilt, text_field=full.text_field
    )
    bare.target.capabilities = replace(
        full.target.capabilities, enforces_unique=False, conditional_update=False, can_delete=False
    )
    reasons = {law.name: reason for law in LAWS if (reason := law.skipped_because(bare))}
    assert len(reasons) == 22
    assert all(len(reason) > 10 for reason in reasons.values())
