"""Names of the faults that can be injected; apart, so that naming one does not load the server."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Ways to go wrong. ``seconds`` are those that the fault was planned with."""

    # Nothing is done, and the answer says so.
    ERROR_BEFORE = "error_before"
    """500, and nothing is stored."""
    BAD_GATEWAY = "bad_gateway"
    """502 of somebody in between, and nothing is stored."""
    UNAVAILABLE = "unavailable"
    """503, and nothing is stored; WeCom and DingTalk: 200 with errcode -1."""
    TOO_MANY_REQUESTS = "too_many_requests"
    """429 with Retry-After, and nothing is stored; WeCom and DingTalk: 200 with their errcode for it."""
    TOO_MANY_WITHOUT_DELAY = "too_many_without_delay"
    """429 that does not say when to come again, and nothing is stored."""
    ERROR_IN_OK = "error_in_ok"
    """HTTP 200 with an error code in place of the answer, and nothing is stored."""

    # The answer does not come, or does not tell.
    TIMEOUT_BEFORE = "timeout_before"
    """Nothing is stored, no answer comes for ``seconds``, then the connection drops."""
    TIMEOUT_AFTER = "timeout_after"
    """The call is committed, no answer comes for ``seconds``, then the connection drops."""
    LATE_COMMIT = "late_commit"
    """The connection drops at once; the call is carried out ``seconds`` later."""
    LOST_ANSWER = "lost_answer"
    """The call is carried out and committed, then the connection drops before the answer."""
    CONNECTION_RESET = "connection_reset"
    """The connection is reset (RST) before anything is stored."""
    TRUNCATED_BODY = "truncated_body"
    """The call is committed, and the connection drops in the middle of its answer."""
    ERROR_AFTER = "error_after"
    """500, although everything was committed."""
    NO_JSON = "no_json"
    """The call is carried out, the answer is a proxy's HTML page with status 200."""
    DELAY_BEFORE = "delay_before"
    """Wait, then carry out the call."""
    DELAY_AFTER = "delay_after"
    """Carry out the call and commit, then wait before the answer."""

    # A batch is not done as a whole, or not answered as it was asked.
    PARTLY_FAILED = "partly_failed"
    """Every second row is stored, the others are answered as ``failed``."""
    SHUFFLED = "shuffled"
    """Outcomes come in another order than the rows."""
    TOKEN_EXPIRES = "token_expires"  # noqa: S105 - a fault, not a token
    """The caller's token ends when half of the rows are stored, and the answer is 401."""

    # What is stored, or found, is not what was asked.
    PRETEND = "pretend"
    """The call is answered as if it had been carried out, and nothing is stored."""
    DROPPED_UPDATE = "dropped_update"
    """Updates are answered as done and are not stored; an answer with records shows what is stored."""
    TRUNCATED_FIELD = "truncated_field"
    """Of each row the longest free text is stored cut to half; an answer with records shows it."""
    LOST_FIELDS = "lost_fields"
    """New records are stored without their custom fields; an answer with records shows it."""
    PERMITS_DUPLICATES = "permits_duplicates"
    """A second record with a migration key that is taken is created."""
    LAGGING_SEARCH = "lagging_search"
    """Records created within the last ``seconds`` are found neither by key nor by a search."""


OF_BATCHES = frozenset(
    {
        Fault.PARTLY_FAILED,
        Fault.SHUFFLED,
        Fault.TOKEN_EXPIRES,
        Fault.DROPPED_UPDATE,
        Fault.TRUNCATED_FIELD,
        Fault.LOST_FIELDS,
        Fault.PERMITS_DUPLICATES,
    }
)
"""Only calls that write a batch can suffer these."""
