"""Gates as data: which metrics can be judged, and what is asked of a phase that the project says nothing about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rollout.model.verdict import Comparison, Criterion

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "load_success": "(created + updated + unchanged + adopted) ÷ planned; unknown counts as failure",
        "coverage": "(created + updated + unchanged + adopted) ÷ (source − merged − approved skips)",
        "accounted": "1 if every source row is in exactly one bucket, else 0",
        "reconcile_missing": "planned records that the target lacks",
        "reconcile_extra": "records with a migration key that nothing planned",
        "reconcile_different": "records of which a field or relation differs from the plan",
        "sample_wrong_bound": "upper bound of the share of wrong records, from the acceptance sample",
        "gx_failed": "expectations that failed or were not evaluated",
    }
)
"""Metrics by name, with what they mean."""

DEFAULT_CRITERIA = (
    Criterion(metric="load_success", comparison=Comparison.AT_LEAST, threshold=0.99),
    Criterion(metric="coverage", comparison=Comparison.AT_LEAST, threshold=0.95),
    Criterion(metric="accounted", comparison=Comparison.EQUAL, threshold=1),
)
"""What a gate asks if the project file declares no criteria for it."""
