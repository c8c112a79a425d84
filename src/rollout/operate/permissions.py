"""Who may do what in the CRM, and what changed between two looks. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.model.base import Frozen

ABSENT, INACTIVE = "absent", "inactive"


class PermissionChange(Frozen):
    """One user's standing before and after: a role, `inactive`, or `absent`."""

    login: str
    before: str
    after: str


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[PermissionChange, ...]:
    """What differs between two snapshots (login → standing), by login."""
    return tuple(
        PermissionChange(login=login, before=before.get(login, ABSENT), after=after.get(login, ABSENT))
        for login in sorted({*before, *after})
        if before.get(login, ABSENT) != after.get(login, ABSENT)
    )
