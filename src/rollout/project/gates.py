"""Gates as data: which metrics can be judged, and what is asked of a phase that the project says nothing about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rollout.model.verdict import Comparison, Criterion
from rollout.project.spec import ProjectSpec

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "load_success": "(created + updated + unchanged + adopted) ÷ planned, of the worst entity; unknown is failure",
        "coverage": "(created + updated + unchanged + adopted) ÷ (source − merged − skipped), of the worst entity",
        "accounted": "1 if every source row is in exactly one bucket, else 0",
        "open_rows": "rows that are waiting or unknown, or that no load has reached",
        "count_difference": "records that the target counts and does not show, or shows and does not count",
        "reconcile_missing": "loaded records that the target lacks",
        "reconcile_extra": "migration keys in the target under which nothing was loaded",
        "reconcile_duplicate": "migration keys that more than one record of the target holds",
        "reconcile_different": "records of which a field or relation differs from what was loaded",
        "relations_broken": "references that lead to the wrong record, to none, or from where none was loaded",
        "sample_wrong_bound": "upper bound of the share of wrong records, from the acceptance sample; worst entity",
        "gx_failed": "critical expectations that failed",
    }
)
"""Metrics by name, with what they mean."""

_NONE_OF = (
    "count_difference",
    "reconcile_missing",
    "reconcile_extra",
    "reconcile_duplicate",
    "reconcile_different",
    "relations_broken",
    "gx_failed",
)

DEFAULT_CRITERIA: Mapping[str, tuple[Criterion, ...]] = MappingProxyType(
    {
        "load": (
            Criterion(metric="load_success", comparison=Comparison.AT_LEAST, threshold=0.99),
            Criterion(metric="coverage", comparison=Comparison.AT_LEAST, threshold=0.95),
            Criterion(metric="accounted", comparison=Comparison.EQUAL, threshold=1),
            Criterion(metric="open_rows", comparison=Comparison.EQUAL, threshold=0),
        ),
        "verify": (
            Criterion(metric="accounted", comparison=Comparison.EQUAL, threshold=1),
            *(Criterion(metric=metric, comparison=Comparison.EQUAL, threshold=0) for metric in _NONE_OF),
        ),
    }
)
"""What a gate asks if the project file declares no criteria for it; `sample_wrong_bound` comes with `verify:`."""


def criteria(spec: ProjectSpec, gate: str) -> tuple[Criterion, ...]:
    """A gate's criteria: the project's own, or the defaults as far as the project has something to judge by them."""
    if gate in spec.gates:
        return spec.gates[gate].criteria
    asked = DEFAULT_CRITERIA[gate]
    if not any(entity.references for entity in spec.entities.values()):
        asked = tuple(criterion for criterion in asked if criterion.metric != "relations_broken")
    if gate == "verify":
        limit = spec.verify.max_wrong_share
        asked += (Criterion(metric="sample_wrong_bound", comparison=Comparison.AT_MOST, threshold=limit),)
    return asked
