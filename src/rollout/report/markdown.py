"""The rollout's status, the conservation table, gates and findings as Markdown, for artifacts in the Prefect UI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rollout.assess.findings import by_severity
from rollout.model.finding import Finding
from rollout.model.integration import Cell
from rollout.model.outcome import Accounting
from rollout.model.progress import Override
from rollout.model.verdict import GateResult, Verdict
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.acceptance import BUCKETS, observed, threshold, total
from rollout.report.html import moment
from rollout.report.integration import cell_texts, systems
from rollout.report.messages import messages
from rollout.report.status import PhaseStatus, RolloutStatus, overridden, override_text

_MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~&])")


def conservation_table(
    accounting: Sequence[Accounting], language: Language, labels: Mapping[str, str] | None = None
) -> str:
    """One line an entity, one column a bucket that has rows, whether it adds up, and which buckets are empty."""
    t = messages(language)
    filled = [name for name in BUCKETS if any(getattr(entity, name) for entity in accounting)]
    lines = [
        [
            (labels or {}).get(entity.entity, entity.entity),
            figures.number(entity.source),
            *(figures.number(getattr(entity, name)) for name in filled),
            f"{figures.number(total(entity))} {'✓' if entity.accounted else '✗'}",
        ]
        for entity in accounting
    ]
    head = [t("column.entity"), *(t(f"bucket.{name}") for name in ("source", *filled, "sum"))]
    empty = " · ".join(t(f"bucket.{name}") for name in BUCKETS if name not in filled)
    return _table(head, lines, numbers_from=1) + (f"\n0 {t('unit.rows')}: {empty}\n" if empty else "")


def gate_table(
    gate: GateResult, language: Language, *, overrides: Sequence[Override] = (), time_zone: str = "UTC"
) -> str:
    """A gate's verdict as a heading, its criteria, and who went on in spite of it."""
    t = messages(language)
    head = [t("column.criterion"), t("column.observed"), t("column.threshold"), t("column.evidence")]
    lines = [
        [
            t.word("metric", criterion.metric),
            observed(criterion),
            threshold(criterion),
            figures.number(criterion.evidence),
            t("kind.blocking") if criterion.blocking else t("kind.observed"),
            _verdict(criterion.verdict, language),
        ]
        for criterion in gate.criteria
    ]
    title = f"### {_text(t.word('gate', gate.gate))}: {_verdict(gate.verdict, language)}"
    notes = "".join(f"\n- {override_text(override, language, time_zone, quoted=_text)}\n" for override in overrides)
    return f"{title}\n\n{_table([*head, t('column.kind'), t('column.verdict')], lines, numbers_from=99)}{notes}"


def status_table(status: RolloutStatus, language: Language) -> str:
    """A line a phase, then every override of a gate by name."""
    t = messages(language)
    names = ("phase", "state", "verdict", "waiting_for", "since", "decided_by")
    lines = [
        [
            phase.label_en if language == "en" else phase.label,
            t(f"state.{phase.state}"),
            _verdict(phase.verdict, language) if phase.verdict else "–",
            " ".join(_sentences(phase, language)) or "–",
            moment(phase.since, status.time_zone) if phase.since else "–",
            f"{phase.decided_by or '–'}{t('override.mark') if phase.is_override else ''}",
        ]
        for phase in status.phases
    ]
    notes = [
        f"- {_text(t.word('gate', gate.name))}{f' · {gate.wave}' if gate.wave else ''}: "
        f"{override_text(override, language, status.time_zone, quoted=_text)}"
        for gate, override in overridden(status)
    ]
    grid = _table([t(f"column.{name}") for name in names], lines, numbers_from=99)
    notes += [f"- {_text(found.told if language == 'en' else found.told_zh)}" for found in status.handouts]
    return "\n".join([f"### {t('status.title')}\n", grid, *notes]) + "\n"


def _sentences(phase: PhaseStatus, language: Language) -> Sequence[str]:
    first = phase.waiting_for if language == "en" else phase.waiting_for_zh
    return [*([first] if first else []), *(phase.remarks if language == "en" else phase.remarks_zh)]


def integration_matrix(cells: Sequence[Cell], language: Language, labels: Mapping[str, str]) -> str:
    """A row a scenario, a column a system that takes part, and what was seen."""
    t = messages(language)
    names = systems(cells)
    lines = [
        [
            t(f"scenario.{cell.scenario}"),
            *(_verdict(cell.verdict, language) if name in cell.systems else "·" for name in names),
            cell_texts(cell, language)[1],
        ]
        for cell in cells
    ]
    head = [t("integration.scenario"), *(labels.get(name, name) for name in names), t("integration.observed")]
    return f"### {t('integration.matrix')}\n\n{_table(head, lines, numbers_from=99)}"


SYNC_FIGURES = ("read", "created", "updated", "unchanged", "overwrote", "stale", "late", "dead", "resolved", "unknown")
"""Columns of the table of syncs."""


def sync_table(done: Sequence[Mapping[str, Any]], language: Language) -> str:
    """A row a sync: its counts, and why it stopped if it did."""
    t = messages(language)
    lines = [
        [line["sync"], *(figures.number(line[name]) for name in SYNC_FIGURES), line["stopped"] or "–"] for line in done
    ]
    head = [t("sync_figure.sync"), *(t(f"sync_figure.{name}") for name in SYNC_FIGURES), t("sync_figure.stopped")]
    return _table(head, lines, numbers_from=99)


def findings_table(findings: Sequence[Finding], language: Language, *, limit: int = 50) -> str:
    """Findings, worst first; says how many more there are."""
    t = messages(language)
    if not findings:
        return t("assessment.no_findings") + "\n"
    ordered = by_severity(list(findings))
    lines = [
        [
            t(f"level.{finding.level.value}"),
            t.finding_title(finding),
            finding.where or "–",
            figures.number(finding.count),
            t.finding_advice(finding),
        ]
        for finding in ordered[:limit]
    ]
    head = [t("column.level"), t("column.finding"), t("column.where"), t("column.rows"), t("column.advice")]
    more = "\n" + t("markdown.more", count=len(ordered) - limit) + "\n" if len(ordered) > limit else ""
    return _table(head, lines, numbers_from=99) + more


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of text; data in its cells stays text."""
    return _table(head, lines, numbers_from=len(head))


def _verdict(verdict: Verdict, language: Language) -> str:
    return f"{_MARKS[verdict]} {messages(language)('verdict.' + verdict.value)}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], *, numbers_from: int) -> str:
    rule = ["---:" if place >= numbers_from else "---" for place in range(len(head))]
    rows = [[_text(cell) for cell in head], rule, *([_text(cell) for cell in line] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _text(cell: str) -> str:
    """Data stays text: nothing in a cell becomes markup, a link, HTML or a new column."""
    return _SPECIAL.sub(r"\\\1", " ".join(cell.split()))
