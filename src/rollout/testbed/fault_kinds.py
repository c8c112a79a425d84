"""Names of the faults that can be injected; apart, so that naming one does not load the server."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Ways to go wrong."""

    ERROR_BEFORE = "error_before"
    """500, and nothing is stored."""
    LOST_ANSWER = "lost_answer"
    """The call is carried out and committed, then the connection drops before the answer."""
    TOO_MANY_REQUESTS = "too_many_requests"
    """429 with Retry-After, and nothing is stored; WeCom and DingTalk: 200 with their errcode for it."""
    UNAVAILABLE = "unavailable"
    """503, and nothing is stored; WeCom and DingTalk: 200 with errcode -1."""
    NO_JSON = "no_json"
    """The call is carried out, the answer is a proxy's HTML page with status 200."""
    DELAY_BEFORE = "delay_before"
    """Wait, then carry out the call."""
    DELAY_AFTER = "delay_after"
    """Carry out the call and commit, then wait before the answer."""
    PRETEND = "pretend"
    """The call is answered as if it had been carried out, and nothing is stored."""
