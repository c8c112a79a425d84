"""Findings on a terminal: what was found and where, and the next step where there is one."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.model.finding import Finding


def told(findings: Iterable[Finding]) -> list[str]:
    """A paragraph a finding."""
    return [
        f"{finding.level.value}: {finding.where}: {finding.message} [{finding.id}]"
        + (f"\n    → {finding.hint}" if finding.hint else "")
        for finding in findings
    ]
