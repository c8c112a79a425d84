"""Assess: read every source once, profile it, list what is wrong, write the data asset assessment report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import duckdb
from pydantic import Field

from rollout.assess.findings import by_severity, findings_of
from rollout.assess.model import Assessment, EntityProfile
from rollout.assess.profile import SourceInput, profile_source
from rollout.assess.score import health_of, score
from rollout.model.base import Frozen
from rollout.model.finding import Finding, Level
from rollout.phases.assess_advice import advice
from rollout.phases.assess_entities import entity_figures
from rollout.phases.assess_mapped import MappedEntity, map_entity
from rollout.phases.context import PhaseContext, shown
from rollout.phases.raw import RawStage, read_source, referable_rows
from rollout.phases.stages import StageStore, engine
from rollout.report.assessment import render_assessment
from rollout.report.assessment_workbook import write_assessment_workbook
from rollout.report.files import write_document

PHASE = "assess"

_PROFILED = frozenset({"source.key_repeated", "source.key_blank"})
"""Findings of the reader that the profile states itself, with shares."""


class AssessSummary(Frozen):
    """What an assessment found, for the command line and artifacts."""

    run_id: str
    rows: dict[str, int] = Field(description="Rows read, by entity.")
    unreadable: dict[str, int] = Field(description="Rows that could not be read as rows, by entity.")
    health: dict[str, float | None] = Field(description="Shares of rows, values or records that are sound; 0 to 1.")
    score: float | None = Field(default=None, description="Weighted mean of the shares, 0 to 100.")
    findings: dict[str, int] = Field(description="Findings by level.")
    top: tuple[Finding, ...] = Field(description="Errors and warnings, worst first.")
    reports: tuple[str, ...] = Field(description="Paths of the documents.")


def run_assess(context: PhaseContext) -> AssessSummary:
    """Assess all entities of the project.

    Args:
        context: The project, its journal and connectors.

    Returns:
        The summary; the whole assessment (masked) lies in the run's summary in the journal.

    Raises:
        ConfigError: A source matches nothing or lacks its row key.
        Retryable: The database or a source system is down.
    """
    with context.journal.running(PHASE) as run:
        stages = _read(context)
        assessment = assess(context, stages, run_id=run.run_id)
        assessment = assessment.model_copy(update={"advice": advice(context, assessment, stages)})
        context.journal.add_findings(run.run_id, list(assessment.findings))
        reports = _write(context, assessment)
        summary = _summary(assessment, reports)
        run.summary = {"assessment": assessment.model_dump(mode="json"), **summary.model_dump(mode="json")}
    return summary


def assess(context: PhaseContext, stages: Mapping[str, list[RawStage]], *, run_id: str) -> Assessment:
    """Profile raw stages, entity by entity in load order, and each entity as a whole; reads nothing but them."""
    spec = context.project.spec
    root = context.project.workspace.stages
    sources = sum(len(found) for found in stages.values())
    at = context.clock()
    today = at.astimezone(ZoneInfo(spec.project.time_zone)).date()
    with (
        TemporaryDirectory(prefix=".assess-", dir=root) as folder,  # personal data: gone when the assessment is
        engine(root) as connection,
        shown(context.progress, "profiling", sources, "sources") as progress,
    ):
        mapped = {name: map_entity(context, name, found, Path(folder)) for name, found in stages.items()}
        entities = []
        for name, found in stages.items():
            profile = _profile(context, connection, name, stages, mapped[name])
            figures = entity_figures(context, connection, name, found, mapped, today=today)
            entities.append(profile.model_copy(update={"figures": figures}))
            progress.advance(len(found))
    read = [finding for found in stages.values() for stage in found for finding in stage.findings]
    profiled = [finding for entity in entities for finding in findings_of(entity)]
    return Assessment(
        project=spec.project.name,
        project_en=spec.project.name_en,
        company=spec.report.company or spec.project.name,
        company_en=spec.project.name_en,
        run_id=run_id,
        assessed_at=at,
        time_zone=spec.project.time_zone,
        entities=tuple(entities),
        findings=tuple(by_severity([*profiled, *(item for item in read if item.id not in _PROFILED)])),
    )


def _read(context: PhaseContext) -> dict[str, list[RawStage]]:
    """The raw stages of all entities, parents first; taken from the workspace where nothing changed."""
    spec = context.project.spec
    return {
        name: [read_source(context, name, source) for source in spec.entities[name].sources] for name in spec.load_order
    }


def _profile(
    context: PhaseContext,
    connection: duckdb.DuckDBPyConnection,
    name: str,
    stages: Mapping[str, list[RawStage]],
    mapped: MappedEntity,
) -> EntityProfile:
    spec = context.project.spec
    entity = spec.entities[name]
    store = StageStore(context.project.workspace.stages)
    parents = {other: referable_rows(store.root, theirs) for other, theirs in stages.items()}
    declared = {source.name: source for source in entity.sources}
    profiles = [
        profile_source(
            connection,
            SourceInput(
                spec=declared[stage.source],
                mapping=context.project.mappings[name, stage.source],
                fields=entity.fields,
                path=_path(store, stage),
                encodings=_encodings(stage.findings),
                mapped=mapped.path,
                parents=parents,
                judgement=mapped.judgements[stage.source],
                lacking=stage.lacking(context.project.mappings[name, stage.source]),
                unreadable=stage.unreadable,
                repeated_keys=0 if declared[stage.source].repeats == "same" else stage.repeated_keys,
                blank_keys=stage.blank_keys,
            ),
            spec.cleanse.placeholders,
        )
        for stage in stages[name]
    ]
    return EntityProfile(name=name, label=entity.label, label_en=entity.label_en, sources=tuple(profiles))


def _path(store: StageStore, stage: RawStage) -> Path:
    return store.root / stage.file


def _encodings(findings: Iterable[Finding]) -> dict[str, str]:
    """Encoding by file, as the reader stated it."""
    return {item.where: str(item.detail["encoding"]) for item in findings if "encoding" in item.detail}


def _write(context: PhaseContext, assessment: Assessment) -> tuple[str, ...]:
    """A document and a workbook a language; answers their paths, documents first."""
    folder, languages = context.project.workspace.reports, context.project.spec.project.languages
    documents = [
        write_document(folder, f"assessment.{language}.html", render_assessment(assessment, language))
        for language in languages
    ]
    books = [
        write_assessment_workbook(folder, f"assessment.{language}.xlsx", assessment, language) for language in languages
    ]
    return tuple(str(path) for path in (*documents, *books))


def _summary(assessment: Assessment, reports: tuple[str, ...]) -> AssessSummary:
    levels = Counter(finding.level for finding in assessment.findings)
    health = health_of(assessment.entities)
    return AssessSummary(
        run_id=assessment.run_id,
        rows={entity.name: entity.rows for entity in assessment.entities},
        unreadable={entity.name: sum(source.unreadable for source in entity.sources) for entity in assessment.entities},
        health={name: ratio.share for name, ratio in health.items()},
        score=score(health),
        findings={level.value: levels[level] for level in Level},
        top=tuple(finding for finding in assessment.findings if finding.level is not Level.INFO),
        reports=reports,
    )
