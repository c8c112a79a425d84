"""Gates: PASS, FAIL or INCONCLUSIVE. No gate is green on no evidence (promise 5)."""

from __future__ import annotations

import math
from enum import StrEnum

from pydantic import Field

from rollout.model.base import Frozen


class Verdict(StrEnum):
    """The outcome of a criterion or a gate. Only PASS promotes."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Comparison(StrEnum):
    """How the observed value relates to the threshold in a passing criterion."""

    AT_LEAST = ">="
    AT_MOST = "<="
    EQUAL = "=="


class Criterion(Frozen):
    """One criterion, as data in `rollout.yaml`."""

    metric: str
    comparison: Comparison
    threshold: float
    min_evidence: int = Field(default=1, ge=1, description="Fewer observations than this are INCONCLUSIVE.")
    blocking: bool = Field(default=True, description="False: observed only, shown but never stopping.")


class Measurement(Frozen):
    """What was measured for a metric: its value, and on how many observations it rests."""

    metric: str
    value: float | None
    evidence: int = Field(ge=0)
    detail: str = ""


class CriterionResult(Frozen):
    """A judged criterion."""

    metric: str
    observed: float | None
    comparison: Comparison
    threshold: float
    evidence: int
    min_evidence: int
    blocking: bool
    verdict: Verdict
    detail: str = ""


class GateResult(Frozen):
    """A judged gate."""

    gate: str
    verdict: Verdict
    criteria: tuple[CriterionResult, ...]


def judge(criterion: Criterion, measurement: Measurement | None) -> CriterionResult:
    """Judge one criterion. A missing, NaN or thin measurement is INCONCLUSIVE, never PASS."""
    value = measurement.value if measurement else None
    evidence = measurement.evidence if measurement else 0
    if value is None or not math.isfinite(value) or evidence < criterion.min_evidence:
        verdict = Verdict.INCONCLUSIVE
    elif {
        Comparison.AT_LEAST: value >= criterion.threshold,
        Comparison.AT_MOST: value <= criterion.threshold,
        Comparison.EQUAL: value == criterion.threshold,
    }[criterion.comparison]:
        verdict = Verdict.PASS
    else:
        verdict = Verdict.FAIL
    return CriterionResult(
        metric=criterion.metric,
        observed=value if value is None or math.isfinite(value) else None,
        comparison=criterion.comparison,
        threshold=criterion.threshold,
        evidence=evidence,
        min_evidence=criterion.min_evidence,
        blocking=criterion.blocking,
        verdict=verdict,
        detail=measurement.detail if measurement else "not measured",
    )


def judge_gate(gate: str, criteria: list[Criterion], measurements: list[Measurement]) -> GateResult:
    """Judge a gate: FAIL if any blocking criterion fails, else INCONCLUSIVE if any is so, else PASS.

    A gate without a blocking criterion has nothing to rest on and is INCONCLUSIVE.
    """
    by_metric = {measurement.metric: measurement for measurement in measurements}
    results = tuple(judge(criterion, by_metric.get(criterion.metric)) for criterion in criteria)
    blocking = [result.verdict for result in results if result.blocking]
    if Verdict.FAIL in blocking:
        verdict = Verdict.FAIL
    elif not blocking or Verdict.INCONCLUSIVE in blocking:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASS
    return GateResult(gate=gate, verdict=verdict, criteria=results)
