"""What a named person's decision makes of a planned row. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.load.merge_base import Fingerprint, left_to_people
from rollout.load.plan import UNRESOLVED, Action, PlannedRow, Reference
from rollout.model.choice import Choice

SKIPPED = "skipped_by_person"
ABANDONED = "abandoned_by_person"


def skip_row(migration_key: str, golden_key: str, choice: Choice) -> PlannedRow:
    """A row that is not to be loaded."""
    code = ABANDONED if choice is Choice.ABANDON else SKIPPED
    return PlannedRow(migration_key, golden_key, Action.SKIP, reason_code=code, message="a named person decided so")


def settle_fields(
    row: PlannedRow,
    by_field: Mapping[str, Choice],
    *,
    parent_ids: Mapping[Reference, str],
    fingerprint: Fingerprint,
) -> PlannedRow:
    """Settle field by field whose value counts, in an update, or a conflict about fields that both sides changed.

    Args:
        row: As the comparison planned it: ``old`` holds every field in question.
        by_field: `Choice.KEEP_CRM` or `Choice.USE_LEGACY`. Fields that are no longer in question need no decision.
        parent_ids: Target ids of parents that are loaded.
        fingerprint: Of this record's values.
    """
    keep = {name for name in row.old if by_field.get(name) is Choice.KEEP_CRM}
    use = {name for name in row.clashing if by_field.get(name) is Choice.USE_LEGACY}
    parents = {name: parent_ids.get(ref, f"{UNRESOLVED}{ref.migration_key}") for name, ref in row.references.items()}
    ours: dict[str, str | None] = {**row.new, **parents}
    left = {name: left_to_people(name, ours[name], row.old[name], fingerprint) for name in keep if name in ours}
    clashing = tuple(name for name in row.clashing if name not in keep | use)
    settled = row._replace(
        new={name: value for name, value in row.new.items() if name not in keep},
        old={name: value for name, value in row.old.items() if name not in keep},
        references={name: reference for name, reference in row.references.items() if name not in keep},
        deferred={name: reference for name, reference in row.deferred.items() if name not in keep},
        base={name: entry for name, entry in row.base.items() if name not in keep},
        kept=tuple(sorted({*row.kept, *keep})),
        agreed={**row.agreed, **left},
        overwrites=tuple(sorted({*row.overwrites, *use} - keep)),
        clashing=clashing,
    )
    if clashing:
        return settled
    action = Action.UPDATE if settled.old else Action.UNCHANGED
    return settled._replace(action=action, reason_code=None, message="")
