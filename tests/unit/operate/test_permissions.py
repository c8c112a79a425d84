from __future__ import annotations

from rollout.operate.permissions import PermissionChange, changes


def test_roles_comings_goings_and_deactivation_are_changes():
    before = {"a": "sales", "b": "sales", "c": "admin", "d": "manager"}
    after = {"a": "admin", "b": "sales", "c": "inactive", "e": "sales"}
    assert changes(before, after) == (
        PermissionChange(login="a", before="sales", after="admin"),
        PermissionChange(login="c", before="admin", after="inactive"),
        PermissionChange(login="d", before="manager", after="absent"),
        PermissionChange(login="e", before="absent", after="sales"),
    )
    assert changes(after, after) == ()
