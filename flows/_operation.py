"""What people see of a health check in the Prefect UI."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from flows._artifacts import key
from rollout.phases.context import PhaseContext
from rollout.phases.health import HealthSummary
from rollout.report.operation_markdown import probe_table


def publish_probes(context: PhaseContext, summary: HealthSummary) -> None:
    """The table of the probes, in the project's languages."""
    project = context.project.spec.project
    rows = [(item.name, item.ok, item.latency_s, item.detail) for item in summary.probes]
    create_markdown_artifact(
        "\n\n".join(probe_table(rows, summary.not_configured, language) for language in project.languages),
        key=key(project.id, "health"),
        description="健康检查 · Health check: " + ("✓" if summary.ok else "✗"),
    )
