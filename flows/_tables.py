"""What people see of the rollout in the Prefect UI: where every row is, each phase's state, gates, findings. Masked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from flows._artifacts import publish
from rollout.journal.facts import overrides
from rollout.model.integration import Cell
from rollout.model.progress import Override
from rollout.model.verdict import GateResult, Verdict
from rollout.phases.context import PhaseContext
from rollout.phases.status import rollout_status
from rollout.project.spec import Language
from rollout.report import markdown


def publish_conservation(context: PhaseContext, wave: str | None = None) -> None:
    """Where every source row of a wave (None: of all) is, as the journal has it now."""
    table = context.journal.accounting(wave=wave)
    entities = context.project.spec.entities

    def render(language: Language) -> str:
        labels = {name: (spec.label_en or name) if language == "en" else spec.label for name, spec in entities.items()}
        return markdown.conservation_table(table, language, labels)

    publish(context, ("conservation",), f"守恒表 · Conservation: where every source row is ({wave or 'all'})", render)


def publish_status(context: PhaseContext) -> None:
    """Every phase: its state, its verdict, and who must do what next."""
    status = rollout_status(context)
    due = f"{status.next.label} · {status.next.label_en}" if status.next else "运行 · operation"
    publish(
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
        publish(context, ("gate", gate.gate, *shown), f"{told}: {gate.verdict.value}", render)


def publish_integration(context: PhaseContext, cells: Sequence[Cell]) -> None:
    """The matrix of scenarios and systems."""
    labels = {name: system.label or name for name, system in context.project.spec.systems.items()}
    passed = sum(cell.verdict is Verdict.PASS for cell in cells)
    publish(
        context,
        ("integration",),
        f"集成矩阵 · Integration matrix: {passed} / {len(cells)} PASS",
        lambda language: markdown.integration_matrix(cells, language, labels),
    )


def publish_syncs(context: PhaseContext, figures: Sequence[BaseModel]) -> None:
    """What each sync did."""
    rows = [line.model_dump() for line in figures]
    publish(context, ("sync",), "同步 · Syncs", lambda language: markdown.sync_table(rows, language))


def publish_findings(context: PhaseContext, phase: str) -> int:
    """What the phase's latest run found; answers how many."""
    run = context.journal.latest_run(phase)
    findings = context.journal.findings(run.run_id) if run else []
    publish(
        context,
        (phase, "findings"),
        f"发现 · Findings of {phase}: {len(findings)}",
        lambda language: markdown.findings_table(findings, language),
    )
    return len(findings)
