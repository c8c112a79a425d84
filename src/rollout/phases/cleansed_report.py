"""The data cleansing report, written at the end of every cleansing."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from rollout.match.parquet import scan
from rollout.phases.cleansed import EntityCleansing
from rollout.phases.context import PhaseContext
from rollout.phases.raw import RawStage
from rollout.phases.stages import StageStore, engine
from rollout.report.cleansing import (
    CleansingReport,
    DormantFigures,
    EntityFigures,
    FieldFigures,
    render_cleansing,
)
from rollout.report.documents import EntityLabel
from rollout.report.files import write_document


def write_cleansing_reports(
    context: PhaseContext, store: StageStore, done: Mapping[str, EntityCleansing], *, run_id: str
) -> tuple[str, ...]:
    """Write the report in every language of the project; answers the paths.

    Args:
        context: The phase's context.
        store: Where stages lie.
        done: By entity what cleansing made of it.
        run_id: The run's.
    """
    report = cleansing_report(context, store, done, run_id=run_id)
    folder = context.project.workspace.reports
    return tuple(
        str(write_document(folder, f"cleansing.{language}.html", render_cleansing(report, language)))
        for language in context.project.spec.project.languages
    )


def cleansing_report(
    context: PhaseContext, store: StageStore, done: Mapping[str, EntityCleansing], *, run_id: str
) -> CleansingReport:
    """The report's figures."""
    spec = context.project.spec
    with engine(store.root) as connection:
        entities = tuple(_entity(context, connection, store, result) for result in done.values())
    return CleansingReport(
        project=spec.project.name,
        project_en=spec.project.name_en,
        company=spec.report.company or spec.project.name,
        run_id=run_id,
        cleansed_at=context.clock(),
        time_zone=spec.project.time_zone,
        labels={name: EntityLabel(zh=entity.label, en=entity.label_en) for name, entity in spec.entities.items()},
        entities=entities,
    )


def _entity(
    context: PhaseContext, connection: duckdb.DuckDBPyConnection, store: StageStore, done: EntityCleansing
) -> EntityFigures:
    fields = context.project.spec.entities[done.entity].fields
    raws = [
        RawStage.model_validate_json((store.root / file).with_suffix(".json").read_bytes()) for file in done.raw_files
    ]
    return EntityFigures(
        name=done.entity,
        source=done.source,
        golden=done.golden,
        merged=done.merged,
        quarantined=done.quarantined,
        skipped=done.skipped,
        by_source={raw.source: raw.source_rows for raw in raws},
        skipped_by=_counted(connection, store, done.skipped_file, "reason_code"),
        merged_by=_counted(connection, store, done.merges_file, "rule"),
        waves=done.waves,
        repaired=done.repaired,
        left_out=done.left_out,
        dormant=_dormant(context, done),
        fields=tuple(
            FieldFigures(name=name, label=spec.label, **done.volumes[name].model_dump())
            for name, spec in fields.items()
            if name in done.volumes
        ),
        findings=tuple(finding for finding in done.findings if finding.id.startswith("cleanse.") and finding.count),
    )


def _counted(connection: duckdb.DuckDBPyConnection, store: StageStore, file: str, column: str) -> dict[str, int]:
    query = f"SELECT {column}, count(*) FROM {scan(store.root / file)} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608
    return dict(connection.execute(query).fetchall())


def _dormant(context: PhaseContext, done: EntityCleansing) -> DormantFigures | None:
    if done.dormant is None:
        return None
    found = done.dormant
    return DormantFigures(
        as_of=found.as_of,
        after_years=context.project.spec.dormant[done.entity].after_years,
        found=found.found,
        choices={**found.choices, "undecided": found.undecided},
        left_out_rows=found.left_out_rows,
    )
