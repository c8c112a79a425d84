"""Look at the sample's rows one by one: a second way to the reconciliation's question, in other code. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollout.model.entity import FieldSpec, Values
from rollout.model.target import TargetRecord


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one record must look like."""

    migration_key: str
    golden_key: str
    values: Values
    """All fields but references."""
    parents: Mapping[str, str | None]
    """Reference fields and the target id that each must hold."""
    derived: Values | None = None
    """The same fields, worked out anew from the legacy row itself; None where several rows were merged."""
    kept: frozenset[str] = frozenset()
    """Fields that the approved plan leaves to people."""


def wrong_fields(
    expected: Expectation, records: Sequence[TargetRecord], fields: Mapping[str, FieldSpec]
) -> tuple[str, ...]:
    """Names of the fields of one row that are wrong; empty: the row is right.

    Args:
        expected: What was loaded.
        records: What the target holds under its key; none or several make the row wrong as a whole (``*``).
        fields: The entity's fields; those with ``verify: false`` are not looked at.
    """
    if len(records) != 1:
        return ("*",)
    (record,) = records
    wrong = []
    for name, spec in fields.items():
        if not spec.verify or name in expected.kept:
            continue
        held = record.values.get(name)
        if spec.references is not None:
            right = held == expected.parents.get(name)
        else:
            right = held == expected.values.get(name)
            if right and expected.derived is not None:
                right = held == expected.derived.get(name)
        if not right:
            wrong.append(name)
    return tuple(wrong)
