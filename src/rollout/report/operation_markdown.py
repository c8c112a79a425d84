"""The health check's probes as Markdown, for an artifact in the Prefect UI."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.project.spec import Language
from rollout.report.alerts import incident_name
from rollout.report.markdown import markdown_table
from rollout.report.messages import messages


def probe_table(
    probes: Sequence[tuple[str, bool, float | None, str]], not_configured: Sequence[str], language: Language
) -> str:
    """Name, whether it is fine, seconds, and what it found; then what the project has nothing for."""
    t = messages(language)
    lines = [
        [
            f"{'✓' if ok else '✗'} {t.word('probe', name.partition(':')[0])}"
            + (f" · {name.partition(':')[2]}" if ":" in name else ""),
            "–" if latency_s is None else f"{latency_s:.3f} s",
            detail if ok else f"{incident_name(t, f'health:{name}')}: {detail}",
        ]
        for name, ok, latency_s, detail in probes
    ]
    lines += [[t.word("probe", name), "–", t("operation.not_configured")] for name in not_configured]
    return markdown_table([t("column.probe"), t("column.took"), t("column.found")], lines)
