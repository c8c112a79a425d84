"""Create or update records by migration key, once each, whatever answer is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from rollout.connectors.base import (
    Connector,
    Op,
    RowResult,
    RowStatus,
    TargetReader,
    TargetRecord,
    Writer,
    WriteRow,
)
from rollout.errors import LeaseHeld, OutcomeUnknown, Retryable
from rollout.model.entity import Values

ROUNDS = 3
"""Times a record is sent at most: whenever an answer is lost, the target is asked what it holds before the next."""
BUSY_ATTEMPTS = 3
PAUSE_S, MAX_PAUSE_S = 1.0, 10.0


class CrmTarget(Connector, TargetReader, Writer, Protocol):
    """A CRM that records are carried into."""


class Fate(StrEnum):
    """What became of a record."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """It may or may not be stored as wanted, and the target could not tell."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record as it should be: exactly these fields, others belong to the target."""

    migration_key: str
    values: Values


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a wanted record. ``before`` are its fields as they were; None: there was none."""

    migration_key: str
    fate: Fate
    target_id: str = ""
    reason_code: str = ""
    message: str = ""
    before: Values | None = None


class Upsert:
    """Upserts into one entity of a target.

    Args:
        target: The CRM.
        entity: Its entity.
        sleep: Waits, seconds: until the target takes calls again, or until absence proves something.
        before_call: Called before each write; raises when nobody may write any more.
    """

    def __init__(
        self, target: CrmTarget, entity: str, *, sleep: Callable[[float], None], before_call: Callable[[], None]
    ) -> None:
        self._target = target
        self._entity = entity
        self._sleep = sleep
        self._before_call = before_call

    def batches(self, wanted: Sequence[Wanted]) -> Iterator[list[Landed]]:
        """Carry out what is wanted, a batch at a time; keys must be distinct.

        Raises:
            Retryable: The target does not answer; the batch under way may be stored in part. Looking it up tells.
            Fatal: It refuses for good.
        """
        limits = self._target.capabilities
        size = min(limits.max_batch_rows, limits.max_read_keys)
        for start in range(0, len(wanted), size):
            yield self._batch(wanted[start : start + size])

    def _batch(self, wanted: Sequence[Wanted]) -> list[Landed]:
        pending = {row.migration_key: row for row in wanted}
        first = held = self._look_up(list(pending))
        done: dict[str, Landed] = {}
        lost: dict[str, RowResult] = {}
        for _ in range(ROUNDS):
            rows = self._decide(pending, held, first, done)
            if not rows:
                break
            lost = self._send(rows, first, done)
            for key in done:
                pending.pop(key, None)
            if not lost:
                break
            self._wait_for_absence(lost)
            held = self._look_up(list(lost))
        else:
            self._decide(pending, held, first, done)
            done |= {key: _given_up(result, _values(first, key)) for key, result in lost.items() if key not in done}
        return [done[row.migration_key] for row in wanted]

    def _look_up(self, keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        return self._target.read_by_keys(self._entity, keys)

    def _decide(
        self,
        pending: dict[str, Wanted],
        held: Mapping[str, Sequence[TargetRecord]],
        first: Mapping[str, Sequence[TargetRecord]],
        done: dict[str, Landed],
    ) -> list[WriteRow]:
        """What has to be sent; records that need nothing are done."""
        rows = []
        for key, row in list(pending.items()):
            records = held.get(key, ())
            if len(records) > 1:
                message = f"{len(records)} records hold the migration key"
                done[key] = Landed(key, Fate.REFUSED, reason_code="duplicate_in_target", message=message)
            elif not records:
                rows.append(WriteRow(key, Op.CREATE, row.values))
            elif changed := {n: v for n, v in row.values.items() if records[0].values.get(n) != v}:
                version = records[0].version if self._target.capabilities.conditional_update else None
                rows.append(WriteRow(key, Op.UPDATE, changed, records[0].target_id, version))
            else:
                fate = Fate.UNCHANGED
                if records is not first.get(key):  # sent before, the answer was lost, and here it is
                    fate = Fate.UPDATED if first.get(key) else Fate.CREATED
                done[key] = Landed(key, fate, records[0].target_id, before=_values(first, key))
            if key in done:
                del pending[key]
        return rows

    def _send(
        self, rows: Sequence[WriteRow], first: Mapping[str, Sequence[TargetRecord]], done: dict[str, Landed]
    ) -> dict[str, RowResult]:
        """Send; answers the rows of which it is not known whether they are stored as wanted."""
        self._before_call()
        try:
            answers = {result.migration_key: result for result in self._write(rows)}
        except OutcomeUnknown as error:
            answers = {row.migration_key: _unknown(row.migration_key, str(error)) for row in rows}
        lost = {}
        for row in rows:
            key = row.migration_key
            answer = answers.get(key) or _unknown(key, "the target said nothing of this record")
            if answer.status in (RowStatus.UNKNOWN, RowStatus.CONFLICT):
                lost[key] = answer
            elif answer.status is RowStatus.REJECTED:
                done[key] = _refused(answer, _values(first, key))
            else:
                # An update of a record that we created a moment ago is still the creation of one.
                fate = Fate.UPDATED if first.get(key) else Fate.CREATED
                done[key] = Landed(key, fate, answer.target_id or row.target_id or "", before=_values(first, key))
        return lost

    def _write(self, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        """Write; a target that asks to come again is asked again a few times."""
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Retryable) and not isinstance(error, LeaseHeld)),
            stop=stop_after_attempt(BUSY_ATTEMPTS),
            wait=_as_asked,
            sleep=self._sleep,
            reraise=True,
        )
        answers: Sequence[RowResult] = retrying(self._target.write, self._entity, rows)
        return answers

    def _wait_for_absence(self, lost: Mapping[str, RowResult]) -> None:
        """Until "not found" proves that a lost call did not land (at once where the target enforces the key)."""
        limits = self._target.capabilities
        if any(result.status is RowStatus.UNKNOWN for result in lost.values()):
            self._sleep(max(limits.absence_decides_after_s, limits.read_your_writes_delay_s))


def _as_asked(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, Retryable) else None
    return min(PAUSE_S if asked_s is None else asked_s, MAX_PAUSE_S)


def _values(records: Mapping[str, Sequence[TargetRecord]], key: str) -> Values | None:
    found = records.get(key)
    return found[0].values if found else None


def _unknown(key: str, message: str) -> RowResult:
    return RowResult(key, RowStatus.UNKNOWN, message=message)


def _refused(answer: RowResult, before: Values | None) -> Landed:
    reason = answer.reason_code or "refused"
    return Landed(answer.migration_key, Fate.REFUSED, reason_code=reason, message=answer.message, before=before)


def _given_up(answer: RowResult, before: Values | None) -> Landed:
    """After the last round: a conflict is the target's word, the rest nobody knows."""
    if answer.status is RowStatus.CONFLICT:
        return _refused(answer, before)
    return Landed(answer.migration_key, Fate.UNKNOWN, message=answer.message, before=before)
