"""The data asset assessment report (《现有数据资产评估报告》): one HTML file a language, from an `Assessment` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rollout.assess.findings import by_severity
from rollout.assess.model import Assessment, FieldProfile, Ratio
from rollout.model.finding import Finding, Level
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.html import render
from rollout.report.messages import Messages, messages

TOP_FINDINGS = 12
"""What a manager reads first; the rest follows in the appendix."""

HEALTH = ("completeness", "validity", "uniqueness", "readiness")
"""Ratios of `SourceProfile`, in the order in which they are printed."""


@dataclass(frozen=True)
class FindingRow:
    """A finding and the share of its source's rows that it concerns (None where that says nothing)."""

    finding: Finding
    share: float | None


def render_assessment(assessment: Assessment, language: Language) -> str:
    """The report as one self-contained HTML text.

    Args:
        assessment: Masked figures; the report prints nothing else.
        language: zh or en.
    """
    t = messages(language)
    ordered = by_severity(list(assessment.findings))
    urgent = [finding for finding in ordered if finding.level is not Level.INFO][:TOP_FINDINGS] or ordered[:3]
    rest = [finding for finding in ordered if finding not in urgent]
    rows = {source.name: source.rows for _, source in assessment.sources}
    return render(
        "assessment.html.jinja",
        language,
        company=t.label(assessment.company, assessment.company_en) or assessment.project,
        doc=assessment,
        summary=_summary(assessment, t),
        levels={level.value: 0 for level in Level} | Counter(f.level.value for f in assessment.findings),
        health=health(assessment),
        labels={entity.name: t.label(entity.label, entity.label_en) for entity in assessment.entities},
        top=_rows(urgent, rows),
        rest=_rows(rest, rows),
        shapes=_shapes,
        characters=_characters,
    )


def health(assessment: Assessment) -> list[tuple[str, Ratio]]:
    """The four health figures over all sources."""
    totals = []
    for name in HEALTH:
        total = Ratio(part=0, whole=0)
        for _, source in assessment.sources:
            total += getattr(source, name)
        totals.append((name, total))
    return totals


def _summary(assessment: Assessment, t: Messages) -> str:
    ready = dict(health(assessment))["readiness"]
    warnings = sum(1 for finding in assessment.findings if finding.level is not Level.INFO)
    return t(
        "assessment.summary",
        rows=figures.number(ready.whole),
        ready=figures.number(ready.part),
        share=figures.ratio(ready),
        warnings=warnings,
    )


def _rows(findings: Sequence[Finding], rows: dict[str, int]) -> list[FindingRow]:
    return [FindingRow(finding, _share(finding, rows.get(finding.where.split("/")[0]))) for finding in findings]


def _share(finding: Finding, rows: int | None) -> float | None:
    if not rows or finding.count is None or finding.id == "assess.mixed_formats" or finding.count > rows:
        return None
    return finding.count / rows


def _shapes(field: FieldProfile) -> Sequence[figures.Part]:
    listed = [(f"s{place}", shape.rows) for place, shape in enumerate(field.formats)]
    return figures.stacked([*listed, ("s8", field.sampled - sum(rows for _, rows in listed))])


def _characters(field: FieldProfile) -> list[tuple[str, int]]:
    found = (("control", field.control), ("full_width", field.full_width), ("formula", field.formula))
    return [(key, count) for key, count in found if count]
