"""What people see of a run in the Prefect UI: tables, links to reports, errors. In the project's languages, masked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from pydantic import BaseModel

from rollout.errors import RolloutError
from rollout.journal.facts import overrides
from rollout.model.integration import Cell
from rollout.model.progress import Override
from rollout.model.verdict import GateResult, Verdict
from rollout.phases.context import PhaseContext
from rollout.phases.status import rollout_status
from rollout.project.spec import Language
from rollout.report import markdown

REPORTS_URL = "ROLLOUT_REPORTS_URL"
"""Environment variable: where the workspace's reports folder is served, without a final slash."""


def key(*words: str) -> str:
    """An artifact key of lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def publish_conservation(context: PhaseContext, wave: str | None = None) -> None:
    """Where every source row of a wave (None: of all) is, as the journal has it now."""
    table = context.journal.accounting(wave=wave)
    entities = context.project.spec.entities

    def render(language: Language) -> str:
        labels = {name: (spec.label_en or name) if language == "en" else spec.label for name, spec in entities.items()}
        return markdown.conservation_table(table, language, labels)

    _publish(context, ("conservation",), "守恒表 · Conservation: where every source row is", render)


def publish_status(context: PhaseContext) -> None:
    """Every phase: its state, its verdict, and who must do what next."""
    status = rollout_status(context)
    due = f"{status.next.label} · {status.next.label_en}" if status.next else "运行 · operation"
    _publish(
        context,
        ("status",),
        f"上线进度 · Where the rollout is: {due}",
        lambda language: markdown.status_table(status, language),
    )


def publish_gates(context: PhaseContext, gates: Iterable[GateResult], wave: str | None = None) -> None:
    """Each gate's verdict and criteria, and who went on in spite of it. `wave`: which one was judged, if any."""
    spec = context.project.spec
    shown = [wave] if wave and len(spec.waves) > 1 else []
    for gate in gates:
        found = overrides(context.journal, gate.gate, wave)

        def render(language: Language, gate: GateResult = gate, found: tuple[Override, ...] = found) -> str:
            return markdown.gate_table(gate, language, overrides=found, time_zone=spec.project.time_zone)

        told = " · ".join([f"门禁 · Gate {gate.gate}", *shown])
        _publish(context, ("gate", gate.gate, *shown), f"{told}: {gate.verdict.value}", render)


def publish_integration(context: PhaseContext, cells: Sequence[Cell]) -> None:
    """The matrix of scenarios and systems."""
    labels = {name: system.label or name for name, system in context.project.spec.systems.items()}
    passed = sum(cell.verdict is Verdict.PASS for cell in cells)
    _publish(
        context,
        ("integration",),
        f"集成矩阵 · Integration matrix: {passed} / {len(cells)} PASS",
        lambda language: markdown.integration_matrix(cells, language, labels),
    )


def publish_syncs(context: PhaseContext, figures: Sequence[BaseModel]) -> None:
    """What each sync did."""
    rows = [line.model_dump() for line in figures]
    _publish(context, ("sync",), "同步 · Syncs", lambda language: markdown.sync_table(rows, language))


def publish_findings(context: PhaseContext, phase: str) -> int:
    """What the phase's latest run found; answers how many."""
    run = context.journal.latest_run(phase)
    findings = context.journal.findings(run.run_id) if run else []
    _publish(
        context,
        (phase, "findings"),
        f"发现 · Findings of {phase}: {len(findings)}",
        lambda language: markdown.findings_table(findings, language),
    )
    return len(findings)


def publish_reports(context: PhaseContext, files: Iterable[str]) -> None:
    """Links to a phase's documents; a workbook beside a document of its name has a link of its own."""
    for file in map(Path, files):
        kind = () if file.suffix == ".html" else (file.suffix.removeprefix("."),)
        publish_link(context, ("report", file.stem, *kind), str(file))


def publish_link(context: PhaseContext, words: tuple[str, ...], file: str) -> None:
    """A link that opens a file in the browser: over HTTP where reports are served, else the file itself.

    Args:
        context: The phase's context.
        words: Of the artifact's key; the same from run to run, so that the UI shows them as versions of one thing.
        file: Path, absolute or relative to the workspace.
    """
    workspace = context.project.workspace
    path = workspace.root / file
    served = os.environ.get(REPORTS_URL)
    create_link_artifact(
        link=f"{served}/{quote(path.relative_to(workspace.reports).as_posix())}" if served else path.as_uri(),
        link_text=path.name,
        key=key(context.project.spec.project.id, *words),
        description=f"报告 · Report {path.name}",
    )


def publish_error(error: RolloutError) -> None:
    """What went wrong, where, and what to do next."""
    create_markdown_artifact(
        f"## {type(error).__name__}\n\n{error.message}\n\n"
        f"- 位置 · where: `{error.where or '–'}`\n- 下一步 · next: {error.hint or '–'}\n",
        key="error",
        description=error.message,
    )


def _publish(
    context: PhaseContext, words: tuple[str, ...], description: str, render: Callable[[Language], str]
) -> None:
    project = context.project.spec.project
    create_markdown_artifact(
        "\n\n".join(render(language) for language in project.languages),
        key=key(project.id, *words),
        description=description,
    )
