"""Made-up documents for tests: one acceptance with every kind of figure in it."""

from __future__ import annotations

from datetime import UTC, datetime

from rollout.model.finding import Finding, Level
from rollout.model.outcome import Accounting, Bucket
from rollout.model.verdict import Comparison, Criterion, Measurement, judge_gate
from rollout.report.documents import (
    Acceptance,
    Approval,
    EntityLabel,
    PlanFigures,
    ReasonCount,
    ReconcileFigures,
    SampleFigures,
)

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def acceptance(**changes: object) -> Acceptance:
    criteria = [
        Criterion(metric="load_success", comparison=Comparison.AT_LEAST, threshold=0.99),
        Criterion(metric="coverage", comparison=Comparison.AT_LEAST, threshold=0.95),
        Criterion(metric="accounted", comparison=Comparison.EQUAL, threshold=1),
    ]
    measured = [
        Measurement(metric="load_success", value=0.9953, evidence=5000),
        Measurement(metric="coverage", value=0.9612, evidence=5200),
        Measurement(metric="accounted", value=1, evidence=2),
    ]
    document = Acceptance(
        project="恒泰精工 CRM 上线（虚构示例）",
        project_en="Hengtai Precision CRM rollout (made up)",
        company="恒泰精工（虚构示例）",
        company_en="Hengtai Precision (made up)",
        target="crm",
        run_id="0123456789abcdef",
        written_at=AT,
        time_zone="Asia/Shanghai",
        labels={"account": EntityLabel(zh="客户", en="Account"), "contact": EntityLabel(zh="联系人", en="Contact")},
        accounting=(
            Accounting(
                entity="account",
                source=5312,
                created=4400,
                updated=210,
                unchanged=260,
                adopted=41,
                merged=270,
                rejected=18,
                quarantined=102,
                skipped=4,
                conflict=7,
            ),
            Accounting(entity="contact", source=8120, created=7801, merged=96, rejected=3, quarantined=220),
        ),
        gates=(judge_gate("load", criteria, measured), judge_gate("verify", criteria[2:], measured)),
        plan=PlanFigures(
            plan_id="p-0007",
            plan_hash="5f" * 32,
            created_at=AT,
            actions={"account": {"create": 4400, "update": 210, "unchanged": 260}, "contact": {"create": 7801}},
            approvals=(Approval(person="admin01", at=AT, reason="周会通过"),),
        ),
        reconciliation=(
            ReconcileFigures(entity="account", expected=4911, observed=4911, ok=4911),
            ReconcileFigures(entity="contact", expected=7801, observed=7801, ok=7801, relations=7801),
        ),
        samples=(
            SampleFigures(entity="account", population=4911, size=492, wrong=0, bound=0.0057, confidence=0.95),
            SampleFigures(entity="contact", population=7801, size=781, wrong=0, bound=0.0036, confidence=0.95),
        ),
        reasons=(
            ReasonCount(entity="account", bucket=Bucket.QUARANTINED, reason_code="uscc_check_digit", rows=61),
            ReasonCount(entity="account", bucket=Bucket.QUARANTINED, reason_code="owner_unknown", rows=41),
            ReasonCount(
                entity="account", bucket=Bucket.REJECTED, reason_code="too_long", rows=18, example="name: 121 > 120"
            ),
            ReasonCount(entity="contact", bucket=Bucket.QUARANTINED, reason_code="parent_missing", rows=220),
        ),
        findings=(
            Finding(id="match.key_too_common", level=Level.WARNING, message="3 values", where="account", count=3),
        ),
    )
    return document.model_copy(update=changes)
