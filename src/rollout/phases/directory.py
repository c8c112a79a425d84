"""Who changes records in a target: we ourselves, or the people who work there."""

from __future__ import annotations

from rollout.connectors.base import Directory
from rollout.phases.context import PhaseContext


def own_login(context: PhaseContext, target_name: str) -> str | None:
    """The login that we work as in a target; None where the target does not tell its users."""
    directory = _directory(context, target_name)
    return directory.own_login if directory else None


def people(context: PhaseContext, target_name: str) -> frozenset[str]:
    """The logins of everybody else who can work there; empty where the target does not tell its users.

    Raises:
        Retryable: The target cannot be reached.
        Fatal: We may not list its users.
    """
    directory = _directory(context, target_name)
    if directory is None:
        return frozenset()
    return frozenset(user.login for user in directory.users()) - {directory.own_login}


def _directory(context: PhaseContext, target_name: str) -> Directory | None:
    spec = context.project.spec.targets.get(target_name)  # a plan may be of a target that the project named once
    connector = context.connector(spec.system) if spec else None
    return connector if isinstance(connector, Directory) else None
