"""Connectors that make the wrong thing of a failure, one defect each."""

# ruff: noqa: D102 - what the methods promise is said by the protocol; what they do wrong, by each class

from __future__ import annotations

from collections.abc import Sequence

from rollout.connectors.base import RowResult, WriteRow
from rollout.connectors.memory import MemoryConnector
from rollout.errors import Fatal, OutcomeUnknown, Retryable
from rollout.model.finding import Finding


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


class ForgetsTheDelay(MemoryConnector):
    """Says "try again", and not when."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        try:
            return super().write(entity, rows)
        except OutcomeUnknown:
            raise
        except Retryable as error:
            raise Retryable(error.message, where=self.name) from error


class TellsThePassword(MemoryConnector):
    """An error shows what was sent."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        try:
            return super().write(entity, rows)
        except Fatal as error:
            raise Fatal(f"{error.message}: '{self.options.password.get_secret_value()}'", where=self.name) from error


class TriesBadCredentialsAgain(MemoryConnector):
    """A refusal for good is called retryable."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        try:
            return super().write(entity, rows)
        except Fatal as error:
            raise Retryable("not now", where=self.name) from error


class ChecksNothing(MemoryConnector):
    """Finds every target in order."""

    def check(self) -> list[Finding]:
        return []


FAILING_MUTANTS: tuple[type[MemoryConnector], ...] = (
    ResendsAfterALostAnswer,
    StoresAndCallsItBusy,
    ForgetsTheDelay,
    TellsThePassword,
    TriesBadCredentialsAgain,
    ChecksNothing,
)
"""Each breaks one law."""
