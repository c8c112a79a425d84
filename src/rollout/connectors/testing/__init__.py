"""What a load relies on in a target, as laws any connector can be held to, and mutants that prove the laws bite.

A connector's own test is a `Harness` and a loop::

    @pytest.mark.parametrize("law", LAWS, ids=str)
    def test_my_crm_obeys(law, harness):
        if reason := law.skipped_because(harness):
            pytest.skip(reason)
        law(harness)
"""

from __future__ import annotations

from rollout.connectors.testing.harness import Harness, Law, LawBrokenError, Target
from rollout.connectors.testing.laws import LAWS
from rollout.connectors.testing.mutants import MUTANTS, memory_harness

__all__ = ["LAWS", "MUTANTS", "Harness", "Law", "LawBrokenError", "Target", "memory_harness"]
