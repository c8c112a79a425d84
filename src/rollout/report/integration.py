"""The integration test report (《系统集成测试报告》): matrix and drills; from an `IntegrationDocument` alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from rollout.assess.findings import by_severity
from rollout.model.base import Frozen
from rollout.model.finding import Finding
from rollout.model.integration import Cell, DrillEvent, DrillFigures
from rollout.model.progress import Override
from rollout.model.verdict import GateResult, Verdict
from rollout.project.spec import Language
from rollout.report.acceptance import observed, threshold
from rollout.report.assessment import FindingRow
from rollout.report.html import render
from rollout.report.messages import Messages, messages
from rollout.report.status import override_text

SCENARIOS = ("lead_won", "complaint_escalated", "order_arrives", "message_once", "erp_refuses", "answer_lost")
"""Scenarios that have a name and an expectation in the catalogue."""
OUTCOMES = (
    *("lead_linked", "complaint_told", "order_arrived", "message_once", "healed", "none_lost"),
    *("lead_silent", "complaint_early", "complaint_silent", "wrong_value", "wrong_count", "not_arrived"),
    *("not_reported", "not_healed", "drill_dirty"),
    *("no_sync", "by_hand", "no_customer", "no_entity", "crm_refused", "no_proxy", "no_answer_lost", "feed_differs"),
    "unavailable",
)
"""What a scenario can end with; each has a sentence in the catalogue."""
EVENTS = ("entered", "interrupted", "stopped", "answer_lost", "healed", "caught_up", "compared")
"""Moments of a drill."""


class IntegrationDocument(Frozen):
    """What the report prints. Every figure comes from the journal."""

    project: str
    project_en: str = ""
    company: str
    company_en: str = ""
    time_zone: str = "UTC"
    written_at: datetime = Field(description="Aware.")
    run_id: str
    target: str
    labels: dict[str, str] = Field(description="What people call each system, by its name.")
    verdict: Verdict
    cells: tuple[Cell, ...]
    drills: tuple[DrillFigures, ...] = ()
    events: tuple[DrillEvent, ...] = ()
    gates: tuple[GateResult, ...]
    findings: tuple[Finding, ...] = ()
    overrides: dict[str, tuple[Override, ...]] = Field(default_factory=dict, description="By gate: who went on anyway.")

    @property
    def systems(self) -> tuple[str, ...]:
        """Columns of the matrix, in the order in which scenarios name them."""
        return systems(self.cells)

    def count(self, verdict: str) -> int:
        """Cells of a verdict."""
        return sum(cell.verdict.value == verdict for cell in self.cells)

    def timeline(self, scenario: str) -> list[tuple[DrillEvent, float]]:
        """A drill's moments and where each stands, in percent of the drill's time."""
        events = [event for event in self.events if event.scenario == scenario]
        end_s = max((event.at_s for event in events), default=0.0) or 1.0
        return [(event, round(100 * event.at_s / end_s, 2)) for event in events]


def render_integration(doc: IntegrationDocument, language: Language) -> str:
    """The document as one self-contained HTML text."""
    t = messages(language)
    return render(
        "integration.html.jinja",
        language,
        company=t.label(doc.company, doc.company_en) or doc.project,
        doc=doc,
        told=lambda cell: cell_texts(cell, language),
        label=lambda name: doc.labels.get(name, name),
        event=lambda event: event_text(event, t),
        findings=[FindingRow(finding, None) for finding in by_severity(list(doc.findings))],
        observed=observed,
        threshold=threshold,
        override_text=lambda override: override_text(override, language, doc.time_zone),
    )


def systems(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Systems of all cells, in the order in which they are first named."""
    return tuple(dict.fromkeys(name for cell in cells for name in cell.systems))


def cell_texts(cell: Cell, language: Language) -> tuple[str, str]:
    """What should happen, and what did, in words."""
    t = messages(language)
    return t(f"scenario_expected.{cell.scenario}"), t(f"cell_outcome.{cell.outcome}", **cell.facts)


def event_text(event: DrillEvent, t: Messages) -> str:
    """A moment of a drill in words."""
    return t(f"drill_event.{event.event}", records="–" if event.records is None else event.records)
