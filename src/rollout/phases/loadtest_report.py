"""Writes the load test report from what the journal keeps of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout.journal.facts import judging_summary, overrides
from rollout.journal.store import DEFAULT_WAVE
from rollout.model.finding import Finding
from rollout.phases.context import PhaseContext
from rollout.report.files import write_document
from rollout.report.loadtest import LoadTestDocument, render_loadtest

GATE = "loadtest"

_TAKEN = (
    "target",
    "settings",
    "asked",
    "figures",
    "gate",
    "key_prefix",
    "removed",
    "not_removed",
    "leftovers_removed",
)


def write_report(
    context: PhaseContext, run_id: str, summary: Mapping[str, Any], findings: Sequence[Finding]
) -> tuple[str, ...]:
    """Write `loadtest.{language}.html`; answers the paths.

    Args:
        context: The phase's context.
        run_id: The run.
        summary: Its summary, as the journal keeps it.
        findings: Its findings.
    """
    spec = context.project.spec
    document = LoadTestDocument.model_validate(
        {
            "project": spec.project.name,
            "project_en": spec.project.name_en,
            "company": spec.report.company or spec.project.name,
            "company_en": spec.project.name_en,
            "run_id": run_id,
            "written_at": context.clock(),
            "time_zone": spec.project.time_zone,
            "findings": tuple(findings),
            "overrides": overrides(context.journal, GATE),
            **{name: summary[name] for name in _TAKEN},
        }
    )
    folder = context.project.workspace.reports
    return tuple(
        str(write_document(folder, f"loadtest.{language}.html", render_loadtest(document, language)))
        for language in spec.project.languages
    )


def print_loadtest(context: PhaseContext) -> tuple[str, ...]:
    """Write the report of the test that was judged last anew, with what was decided since; answers the paths."""
    summary = judging_summary(context.journal, GATE, DEFAULT_WAVE)
    if summary is None or not set(_TAKEN) <= set(summary):  # that run broke off after its gate: there is no report
        return ()
    run_id = str(summary["run_id"])
    return write_report(context, run_id, summary, context.journal.findings(run_id))
