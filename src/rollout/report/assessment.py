"""The data asset assessment report (《现有数据资产评估报告》): one HTML file a language, from an `Assessment` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollout.assess.findings import by_severity
from rollout.assess.model import Assessment, FieldProfile, Ratio
from rollout.assess.score import WEIGHTS, health_of, health_of_source, score
from rollout.model.finding import Finding, Level
from rollout.project.spec import Language
from rollout.report import assessment_charts, figures
from rollout.report.assessment_charts import EntityRow
from rollout.report.html import render
from rollout.report.messages import Messages, messages

TOP_FINDINGS = 12
"""What a manager reads first; the rest follows in the appendix."""

GOOD, FAIR = 90, 75
"""Scores from which on the data is called good, and fair."""


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
    health = health_of(assessment.entities)
    rows_of_entities = entity_rows(assessment, t)
    return render(
        "assessment.html.jinja",
        language,
        company=t.label(assessment.company, assessment.company_en) or assessment.project,
        doc=assessment,
        summary=_summary(assessment, health, t),
        levels={level.value: 0 for level in Level} | Counter(f.level.value for f in assessment.findings),
        health=health,
        weights=WEIGHTS,
        score=score(health),
        formula=score_formula(health, t),
        grade=grade,
        entities=rows_of_entities,
        weakest=min((one for one in rows_of_entities if one.score is not None), key=_score, default=None),
        labels={entity.name: t.label(entity.label, entity.label_en) for entity in assessment.entities},
        source_health=health_of_source,
        top=_rows(urgent, rows),
        rest=_rows(rest, rows),
        shapes=_shapes,
        characters=_characters,
        charts=assessment_charts,
    )


def entity_rows(assessment: Assessment, t: Messages) -> tuple[EntityRow, ...]:
    """Every entity with its health, in load order."""
    found = ((entity, health_of([entity])) for entity in assessment.entities)
    return tuple(
        EntityRow(entity, t.label(entity.label, entity.label_en), health, score(health)) for entity, health in found
    )


def _score(entity: EntityRow) -> float:
    return entity.score or 0.0


def score_formula(health: Mapping[str, Ratio], t: Messages) -> str:
    """The score as it was added up, with its figures."""
    counted = [(name, weight, health[name]) for name, weight in WEIGHTS.items() if health[name].whole]
    told = " + ".join(
        f"{weight} × {figures.ratio(ratio, 2)} ({t(f'health.{name}.name')})" for name, weight, ratio in counted
    )
    total = sum(weight for _, weight, _ in counted)
    result = score(health)
    return "–" if result is None else f"( {told} ) ÷ {total} = {result / 100:.2%}".replace("%", " %")


def grade(value: float | None) -> str:
    """How a score or a share in percent is coloured: good, open or bad."""
    if value is None:
        return ""
    return "good" if value >= GOOD else "open" if value >= FAIR else "bad"


def _summary(assessment: Assessment, health: Mapping[str, Ratio], t: Messages) -> str:
    ready = health["readiness"]
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
