"""`prepare`: whether the project, its systems and the people who decide are ready, recorded as evidence."""

from __future__ import annotations

from pydantic import Field

from rollout.journal import people
from rollout.model.base import Frozen
from rollout.model.finding import Finding, Level
from rollout.phases.context import PhaseContext
from rollout.project.online import check_systems

PHASE = "prepare"


class PrepareSummary(Frozen):
    """What was looked at, and what was found."""

    run_id: str
    systems: tuple[str, ...] = Field(description="Systems that were reached for.")
    people: int = Field(description="People who may decide.")
    errors: int
    warnings: int
    findings: tuple[Finding, ...]


def run_prepare(context: PhaseContext) -> PrepareSummary:
    """Check the project, reach every system, and count the people who may decide. Changes nothing outside.

    Raises:
        Retryable: The database is down; systems that are down are findings.
    """
    project = context.project
    with context.journal.running(PHASE) as run:
        findings = check_systems(project)  # the project file itself is in order, or it could not have been loaded
        context.journal.add_findings(run.run_id, findings)
        summary = PrepareSummary(
            run_id=run.run_id,
            systems=tuple(project.spec.systems),
            people=len(people.names(context.journal)),
            errors=sum(finding.level is Level.ERROR for finding in findings),
            warnings=sum(finding.level is Level.WARNING for finding in findings),
            findings=tuple(findings),
        )
        run.summary = summary.model_dump(mode="json")
    return summary
