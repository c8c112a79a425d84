"""Decisions about records that people made in the target and that become ours. Pure.

They take our migration key, and values in fields that were empty when the plan was made and still are.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.load.machine import Decision, RowState
from rollout.model.entity import Values
from rollout.model.target import TargetRecord


def look(key: str, new: Values, old: Values, record: TargetRecord | None) -> Decision:
    """Decide with the record as it is now, whether or not we have called before.

    Args:
        key: Our migration key.
        new: The values for fields that the plan saw empty.
        old: What the plan saw in them.
        record: The record as it is now; None: gone.
    """
    misfit = _misfit(key, record)
    if misfit is not None or record is None:
        return misfit or _gone()
    held = record.values
    if record.migration_key == key:
        # One call writes the key and the values: what is not there was changed since, or never fitted.
        return _adopted(record, frozenset(name for name, value in new.items() if held.get(name) == value), new)
    free = {name: value for name, value in new.items() if held.get(name) == old.get(name) != value}
    return Decision(None, record.target_id, values=free)


def after(key: str, new: Values, sent: Values, record: TargetRecord | None) -> Decision:
    """Decide with the record read back after the target said that it stored the key and the fields ``sent``."""
    misfit = _misfit(key, record)
    if misfit is not None or record is None:
        return misfit or _gone()
    if record.migration_key is None:
        told = "updated, says the target, but the record did not take the migration key"
        return Decision(RowState.CONFLICT, record.target_id, "key_not_stored", told)
    settled = frozenset(name for name, value in new.items() if name in sent or record.values.get(name) == value)
    differing = sorted(name for name in sent if record.values.get(name) != new[name])
    decision = _adopted(record, settled, new)
    if not differing:
        return decision
    told = f"the target stored another value: {', '.join(differing)}"
    return decision._replace(reason_code="stored_differently", message=told)


def taken(records: Sequence[TargetRecord]) -> Decision:
    """Another record than the one to be adopted carries our migration key."""
    ids = ", ".join(sorted(record.target_id for record in records))
    return Decision(RowState.CONFLICT, None, "key_exists", f"another record carries the migration key: {ids}")


def _adopted(record: TargetRecord, settled: frozenset[str], new: Values) -> Decision:
    left = sorted(new.keys() - settled)
    if not left:
        return Decision(RowState.ADOPTED, record.target_id)
    told = f"filled in the CRM since the plan, and left alone: {', '.join(left)}"
    return Decision(RowState.ADOPTED, record.target_id, "filled_meanwhile", told, settled=settled)


def _misfit(key: str, record: TargetRecord | None) -> Decision | None:
    if record is None:
        return _gone()
    if record.migration_key in (None, key):
        return None
    told = "the record has another migration key by now"
    return Decision(RowState.CONFLICT, record.target_id, "record_replaced", told)


def _gone() -> Decision:
    return Decision(RowState.CONFLICT, reason_code="record_gone", message="the record was deleted since the plan")
