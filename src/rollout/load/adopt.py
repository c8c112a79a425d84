"""Adoption: a record that people created in the target is found to be one of ours, and becomes it. Pure.

It takes the migration key, and our values where it has none. What people typed stays; where ours is another value the
field is listed for review, and the merge base remembers both, so that no later plan takes theirs for outdated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from rollout.load.merge_base import Fingerprint, Ownership, left_to_people
from rollout.load.plan import Action, PlannedRow, Reference, deferred_references, with_parents
from rollout.model.entity import Values
from rollout.model.target import TargetRecord

AMBIGUOUS = "adoption_ambiguous"
"""Reason of records that could be several of the target's, or of which several could be one."""


@dataclass(frozen=True, slots=True)
class Adoptions:
    """Which golden records are found in the target, by golden key."""

    found: Mapping[str, str] = field(default_factory=dict)
    """The target id."""
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The target ids that it could be."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.found or self.ambiguous)


def pair(claims: Mapping[str, Collection[str]]) -> Adoptions:
    """Pair golden records with the target's, one to one.

    Args:
        claims: By golden key the ids of the records that it agrees with, one at least.
    """
    claimants: dict[str, int] = {}
    for ids in claims.values():
        for target_id in ids:
            claimants[target_id] = claimants.get(target_id, 0) + 1
    found: dict[str, str] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    for golden_key, ids in claims.items():
        only, *others = sorted(ids)
        if others or claimants[only] > 1:
            ambiguous[golden_key] = (only, *others)
        else:
            found[golden_key] = only
    return Adoptions(found, ambiguous)


def ambiguous_row(migration_key: str, golden_key: str, target_ids: Collection[str]) -> PlannedRow:
    """A conflict: a person says which record it is, or that it is none of them."""
    told = f"records that the target has could be this one, or it is one of several: {', '.join(sorted(target_ids))}"
    return PlannedRow(migration_key, golden_key, Action.CONFLICT, reason_code=AMBIGUOUS, message=told)


def adopt_row(  # noqa: PLR0913 - the record's two sides, and by which rules they are put together
    migration_key: str,
    golden_key: str,
    values: Values,
    references: Mapping[str, Reference],
    record: TargetRecord,
    *,
    parent_ids: Mapping[Reference, str],
    fingerprint: Fingerprint,
    ownership: Ownership,
    deferrable: Collection[str] = (),
) -> PlannedRow:
    """Plan the adoption of a record as the target holds it now. Arguments as of `rollout.load.plan.plan_row`."""
    ours = with_parents(values, references, parent_ids)
    setting: list[str] = []
    kept: list[str] = []
    overwrites: list[str] = []
    agreed: dict[str, str] = {}
    for name, value in ours.items():
        held, owner = record.values.get(name), ownership.get(name)
        if held == value:
            agreed[name] = fingerprint(name, value)
        elif held is None and owner != "crm":
            setting.append(name)
        elif owner == "source":
            setting.append(name)
            overwrites.append(name)
        else:
            agreed[name] = left_to_people(name, value, held, fingerprint)
            if value is not None and owner != "crm":
                kept.append(name)
    later = deferred_references(references, parent_ids, deferrable)
    return PlannedRow(
        migration_key,
        golden_key,
        Action.ADOPT,
        new={name: ours[name] for name in setting if name not in references},
        old={name: record.values.get(name) for name in setting},
        base=dict.fromkeys(setting),
        references={name: references[name] for name in setting if name in references and name not in later},
        deferred={name: reference for name, reference in later.items() if name in setting},
        target_id=record.target_id,
        kept=tuple(sorted(kept)),
        agreed=agreed,
        overwrites=tuple(sorted(overwrites)),
    )
