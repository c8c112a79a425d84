"""Gates as data: which metrics can be judged, and what is asked of a phase that the project says nothing about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rollout.model.verdict import Comparison, Criterion
from rollout.project.spec import ProjectSpec
from rollout.project.spec_data import PeopleSample

CONTROL_TOTALS_OFF = "control_totals_off"
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
        "orphans": "references of any record in the target, whoever made it, that lead to no record",
        "people_wrong_bound": "upper bound of the share of wrong records, from what people checked; worst entity",
        "people_checked": "records that people called right or wrong ÷ records that were drawn for them",
        "gx_failed": "critical expectations that failed",
        CONTROL_TOTALS_OFF: "figures of the legacy system that what was loaded does not agree with",
        "cells_failed": "cells of the integration matrix that failed",
        "cells_open": "cells of the integration matrix that could not be judged",
        "drill_missing": "records that a fault drill lost",
        "drill_extra": "records that a fault drill doubled or made up",
        "users_reached": "users of the load test that worked at the same time",
        "mean_s": "mean seconds of a successful request while all users worked",
        "p95_s": "95th percentile of the seconds of a successful request while all users worked",
        "error_rate": "failed requests ÷ all requests while all users worked",
        "requests": "successful requests while all users worked",
        "stored_share": "records that the CRM shows after the load test ÷ records it said it had stored",
        "undo_hours": "hours that taking everything back takes, as rehearsed",
        "undo_left": "records that a rehearsed undo did not take back, or not wholly",
        "sync_missing": "records of a source system that the CRM lacks",
        "sync_extra": "records of the CRM that no source system has, or that are there twice",
        "sync_different": "records that differ between a source system and the CRM",
        "sync_late": "records that the CRM has not got although their time is over",
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
    "orphans",
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
        # What must be true of a layer before the next one may be loaded.
        "layer": (
            Criterion(metric="load_success", comparison=Comparison.AT_LEAST, threshold=0.99),
            *(
                Criterion(metric=metric, comparison=Comparison.EQUAL, threshold=0)
                for metric in ("open_rows", "count_difference", "reconcile_missing", "reconcile_duplicate")
            ),
        ),
        "integrate": tuple(
            Criterion(metric=metric, comparison=Comparison.EQUAL, threshold=0)
            for metric in ("cells_failed", "cells_open", "drill_missing", "drill_extra")
        ),
        # 100 users at once, 3 s in the mean: the acceptance rule of the method.
        "loadtest": (
            Criterion(metric="users_reached", comparison=Comparison.AT_LEAST, threshold=100),
            Criterion(metric="mean_s", comparison=Comparison.AT_MOST, threshold=3.0, min_evidence=100),
            Criterion(metric="p95_s", comparison=Comparison.AT_MOST, threshold=5.0, min_evidence=100),
            Criterion(metric="error_rate", comparison=Comparison.AT_MOST, threshold=0.01, min_evidence=100),
            Criterion(metric="requests", comparison=Comparison.AT_LEAST, threshold=500),
            Criterion(metric="stored_share", comparison=Comparison.EQUAL, threshold=1, min_evidence=20),
        ),
        "undo": (Criterion(metric="undo_left", comparison=Comparison.EQUAL, threshold=0),),
        "sync_check": tuple(
            Criterion(metric=metric, comparison=Comparison.EQUAL, threshold=0)
            for metric in ("sync_missing", "sync_extra", "sync_different", "sync_late")
        ),
    }
)
"""What a gate asks if the project file declares no criteria for it; `sample_wrong_bound` comes with `verify:`, and
`control_totals_off` with the control totals of `layers:`."""


def criteria(spec: ProjectSpec, gate: str, *, control_totals: int = 0, people: bool = False) -> tuple[Criterion, ...]:
    """A gate's criteria: the project's own, or the defaults as far as the project has something to judge by them.

    Args:
        spec: The project.
        gate: Its name.
        control_totals: How many of the legacy system's figures must be reached by now. They are judged even where the
            gate's own criteria do not name them: who declares a figure wants to hear of a difference.
        people: Whether people were asked to check records. What they found is shown beside the gate's own criteria,
            and stops nobody unless the project declares so.
    """
    asked = _declared(spec, gate)
    if gate in ("layer", "verify") and control_totals and CONTROL_TOTALS_OFF not in {one.metric for one in asked}:
        asked += (Criterion(metric=CONTROL_TOTALS_OFF, comparison=Comparison.EQUAL, threshold=0),)
    if gate != "verify" or not people:
        return asked
    share = spec.verify.people.max_wrong_share if spec.verify.people else PeopleSample().max_wrong_share
    shown = (
        Criterion(metric="people_checked", comparison=Comparison.AT_LEAST, threshold=1, blocking=False),
        Criterion(metric="people_wrong_bound", comparison=Comparison.AT_MOST, threshold=share, blocking=False),
    )
    named = {criterion.metric for criterion in asked}
    return (*asked, *(criterion for criterion in shown if criterion.metric not in named))


def _declared(spec: ProjectSpec, gate: str) -> tuple[Criterion, ...]:
    if gate in spec.gates:
        return spec.gates[gate].criteria
    asked = DEFAULT_CRITERIA[gate]
    if not any(entity.references for entity in spec.entities.values()):
        asked = tuple(criterion for criterion in asked if criterion.metric not in ("relations_broken", "orphans"))
    if gate == "sync_check" and not (spec.integration and spec.integration.syncs):
        asked = tuple(criterion for criterion in asked if criterion.metric != "sync_late")
    if gate == "verify":
        limit = spec.verify.max_wrong_share
        asked += (Criterion(metric="sample_wrong_bound", comparison=Comparison.AT_MOST, threshold=limit),)
    if gate == "undo":
        window_h = float(spec.retention.undo_window_h)
        asked += (Criterion(metric="undo_hours", comparison=Comparison.AT_MOST, threshold=window_h),)
    return asked
