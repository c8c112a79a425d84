"""`rollout check`: everything that is wrong with a project, at once."""

from __future__ import annotations

import click

from rollout.cli.verb import Invocation, verb
from rollout.errors import ConfigError, Fatal
from rollout.model.finding import Finding, Level, has_errors
from rollout.project.loader import check_project
from rollout.project.online import UNAVAILABLE, check_systems

_MARKS = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "info"}


@verb
@click.option("--online", is_flag=True, help="Reach every system, and compare the entities with the target's schema.")
def command(invocation: Invocation, *, online: bool) -> int:
    """Check the project file and its mappings; change nothing.

    Lists every finding with file and line. Exit 2 if one is an error, 3 if a system cannot be reached.
    """
    findings = check_project(invocation.path, env=invocation.env)
    if online and not has_errors(findings):
        findings += check_systems(invocation.project)
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    invocation.emit(
        {
            "project": invocation.path,
            "errors": len(errors),
            "warnings": sum(finding.level is Level.WARNING for finding in findings),
            "findings": findings,
        },
        text=_listed(findings, online=online),
    )
    if not errors:
        return 0
    return Fatal.exit_code if all(error.id == UNAVAILABLE for error in errors) else ConfigError.exit_code


def _listed(findings: list[Finding], *, online: bool) -> str:
    lines = []
    for finding in findings:
        hint = f"\n    → {finding.hint}" if finding.hint else ""
        lines.append(f"{finding.where}: {_MARKS[finding.level]}: {finding.message} [{finding.id}]{hint}")
    errors = sum(finding.level is Level.ERROR for finding in findings)
    scope = "project, mappings and systems" if online else "project and mappings"
    lines.append(f"{errors} errors, {len(findings) - errors} other findings" if findings else f"{scope} are in order")
    return "\n".join(lines)
