"""The load and acceptance report: conservation table, gates, verification, approval; from an `Acceptance` alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rollout.assess.findings import by_severity
from rollout.assess.model import Ratio
from rollout.model.outcome import Accounting, Bucket
from rollout.model.verdict import Comparison, CriterionResult, GateResult
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.assessment import FindingRow
from rollout.report.documents import Acceptance, ReconcileFigures, SampleFigures
from rollout.report.html import render
from rollout.report.messages import Messages, messages
from rollout.report.status import override_text

BUCKETS = (*(bucket.value for bucket in Bucket), "not_loaded")
"""Where a row may be; `not_loaded` is one of them because a load that never ran must not look complete."""

ACTIONS = ("create", "update", "adopt", "unchanged", "skip", "conflict", "restore", "release", "delete", "keep")
"""A plan's actions in the order of its table; what else a plan names follows."""

RECONCILED = tuple(name for name in ReconcileFigures.model_fields if name != "entity")

_SHARES = frozenset(
    {"load_success", "coverage", "sample_wrong_bound", "people_wrong_bound", "people_checked", "error_rate"}
    | {"stored_share"}
)
_SIGNS = {Comparison.AT_LEAST: "≥", Comparison.AT_MOST: "≤", Comparison.EQUAL: "="}


def render_acceptance(doc: Acceptance, language: Language) -> str:
    """The document as one self-contained HTML text.

    Args:
        doc: Figures of the journal.
        language: zh or en.
    """
    t = messages(language)
    filled = [name for name in BUCKETS if any(getattr(entity, name) for entity in doc.accounting)]
    return render(
        "acceptance.html.jinja",
        language,
        company=t.label(doc.company, doc.company_en) or doc.project,
        doc=doc,
        accounted=bool(doc.accounting) and all(entity.accounted for entity in doc.accounting),
        loaded=Ratio(part=doc.loaded_rows, whole=doc.source_rows),
        proven=weakest_bound(doc.samples),
        filled=filled,
        empty=[name for name in BUCKETS if name not in filled],
        gates=[named_details(gate, doc, t) for gate in doc.gates],
        actions=planned_actions(doc),
        planned=planned_rows(doc),
        reconcile_names=RECONCILED,
        reasons=sorted(doc.reasons, key=lambda r: (-r.rows, r.entity, r.reason_code)),
        most=max((reason.rows for reason in doc.reasons), default=1),
        findings=[FindingRow(finding, None) for finding in by_severity(list(doc.findings))],
        name=lambda entity: entity_name(doc, entity, t),
        buckets=buckets,
        total=total,
        equation=lambda entity: equation(entity, t),
        observed=observed,
        threshold=threshold,
        override_text=lambda override: override_text(override, language, doc.time_zone),
    )


def entity_name(doc: Acceptance, entity: str, t: Messages) -> str:
    """An entity's label in the document's language."""
    label = doc.labels.get(entity)
    return t.label(label.zh, label.en) if label else entity


def named_details(gate: GateResult, doc: Acceptance, t: Messages) -> GateResult:
    """The gate with its criteria's details in the entities' labels instead of their names."""
    names = "|".join(re.escape(name) for name in sorted(doc.labels, key=len, reverse=True))
    if not names:
        return gate
    known = re.compile(rf"(?<![\w.])({names})(?=[ :,]|$)")
    told = [
        criterion.model_copy(update={"detail": known.sub(lambda hit: entity_name(doc, hit[1], t), criterion.detail)})
        for criterion in gate.criteria
    ]
    return gate.model_copy(update={"criteria": tuple(told)})


def planned_rows(doc: Acceptance) -> list[tuple[str, dict[str, int]]]:
    """Rows by action of each entity of the plan, in the conservation table's order."""
    order = [line.entity for line in doc.accounting]
    found = doc.plan.actions if doc.plan else {}
    return sorted(found.items(), key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0]))


def planned_actions(doc: Acceptance) -> list[str]:
    """Actions that the plan takes on any row, in the order of ACTIONS."""
    found = {action for _, rows in planned_rows(doc) for action, count in rows.items() if count}
    return [*(action for action in ACTIONS if action in found), *sorted(found.difference(ACTIONS))]


def buckets(entity: Accounting) -> list[tuple[str, int]]:
    """Every bucket with its rows, in the table's order."""
    return [(name, getattr(entity, name)) for name in BUCKETS]


def total(entity: Accounting) -> int:
    """Rows of all buckets, not_loaded left out: those rows have no outcome yet."""
    return sum(entity.bucket(bucket) for bucket in Bucket)


def equation(entity: Accounting, t: Messages) -> str:
    """The law of conservation with this entity's figures; empty buckets are left out of the text."""
    parts = [f"{t('bucket.' + name)} {figures.number(rows)}" for name, rows in buckets(entity) if rows]
    sign = "=" if entity.accounted else "≠"
    return f"{t('bucket.source')} {figures.number(entity.source)} {sign} {' + '.join(parts) or '0'}"


def observed(criterion: CriterionResult) -> str:
    """The observed value in the metric's unit."""
    return _value(criterion.metric, criterion.observed)


def threshold(criterion: CriterionResult) -> str:
    """The comparison and its threshold, such as ``≥ 99 %``."""
    return f"{_SIGNS[criterion.comparison]} {_value(criterion.metric, criterion.threshold)}"


def weakest_bound(samples: Sequence[SampleFigures]) -> SampleFigures | None:
    """The sample that proves least; None unless every sample proves something."""
    if not samples or any(sample.bound is None for sample in samples):
        return None
    return max(samples, key=lambda sample: sample.bound or 0.0)


def _value(metric: str, value: float | None) -> str:
    if metric in _SHARES:
        return figures.share(value, 2)
    return figures.seconds(value) if metric.endswith("_s") else figures.number(value)
