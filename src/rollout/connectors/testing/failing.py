"""Laws about calls that fail."""

from __future__ import annotations

from rollout.connectors.base import RowStatus
from rollout.connectors.testing.harness import Harness, LawBrokenError, expect
from rollout.connectors.testing.law import law, needs
from rollout.errors import OutcomeUnknown, Retryable

_STORED = (RowStatus.CREATED, RowStatus.UPDATED, RowStatus.UNCHANGED)


@law(needs("lose_next_answer"))
def a_lost_answer_is_unknown_not_retryable(harness: Harness) -> None:
    """Retryable would have the row sent again although it is stored."""
    row = harness.create(1)
    if harness.lose_next_answer:
        harness.lose_next_answer()
    try:
        results = harness.target.write(harness.entity, [row])
    except OutcomeUnknown:
        pass
    except Retryable as error:
        raise LawBrokenError("a lost answer was called retryable") from error
    else:
        statuses = [result.status for result in results]
        expect(statuses == [RowStatus.UNKNOWN], f"a lost answer was answered as {statuses}")
    expect(len(harness.found(row.migration_key)) == 1, "the harness lost the call, not the answer")


@law(needs("refuse_next_call"))
def a_busy_target_is_retryable_and_stores_nothing(harness: Harness) -> None:
    """The same call made again then succeeds."""
    row = harness.create(1)
    if harness.refuse_next_call:
        harness.refuse_next_call()
    try:
        harness.target.write(harness.entity, [row])
    except Retryable:
        pass
    except OutcomeUnknown as error:
        raise LawBrokenError("a refused call was called unknown") from error
    else:
        raise LawBrokenError("a refused call was answered")
    expect(not harness.found(row.migration_key), "a call called retryable was stored")
    expect(harness.write(row)[row.migration_key].status in _STORED, "the same call did not succeed later")


@law(needs("limit_next_call"))
def a_rate_limit_is_retryable_with_its_delay(harness: Harness) -> None:
    """Who comes back earlier is refused again, and in the end locked out."""
    row = harness.create(1)
    assert harness.limit_next_call
    harness.limit_next_call(7)
    try:
        harness.target.write(harness.entity, [row])
    except Retryable as error:
        expect(error.retry_after_s == 7, f"asked to wait 7 s, the error says {error.retry_after_s}")  # noqa: PLR2004
    else:
        raise LawBrokenError("a call beyond the limit was answered")
    expect(not harness.found(row.migration_key), "a call beyond the limit was stored")
