"""Connectors that make the wrong thing of a failure, one defect each."""

# ruff: noqa: D102 - what the methods promise is said by the protocol; what they do wrong, by each class

from __future__ import annotations

from collections.abc import Sequence

from rollout.connectors.base import RowResult, WriteRow
from rollout.connectors.memory import MemoryConnector
from rollout.errors import OutcomeUnknown, Retryable


class ResendsAfterALostAnswer(MemoryConnector):
    """A lost answer is called retryable."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        try:
            return super().write(entity, rows)
        except OutcomeUnknown as error:
            raise Retryable("try again") from error


class StoresAndCallsItBusy(MemoryConnector):
    """Refuses after it has stored."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        try:
            return super().write(entity, rows)
        except OutcomeUnknown:
            raise
        except Retryable:
            super().write(entity, rows)
            raise


FAILING_MUTANTS: tuple[type[MemoryConnector], ...] = (ResendsAfterALostAnswer, StoresAndCallsItBusy)
"""Each breaks one law."""
