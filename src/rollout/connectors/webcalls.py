"""HTTP calls of connectors to JSON services: what the end of a call means, told without the secrets it carried.

Nothing was sent, or the service says that it did nothing → `Retryable`. It may have been done → `OutcomeUnknown`.
Reads are tried again; what changes something is sent once, and the caller decides.
"""

from __future__ import annotations

import functools
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from rollout.errors import Fatal, OutcomeUnknown, Retryable

READ_ATTEMPTS = 4
MAX_WAIT_S = 10.0

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_TOO_MANY, _UNAVAILABLE, _UNAUTHORISED, _FORBIDDEN = 429, 503, 401, 403
_ERRORS_FROM, _SERVER_ERRORS_FROM = 300, 500
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
"""May begin half a surrogate pair, written as an escape; only then is it worth looking closer."""


@functools.cache
def trusted() -> ssl.SSLContext:
    """Which authorities a client believes. One for all: reading their list takes as long as dozens of calls."""
    return httpx.create_ssl_context(trust_env=False)


class WebCalls:
    """Sends requests; safe to use from several threads.

    Args:
        name: The system's name, for messages.
        base_url: Begins every address; may have a path.
        timeout_s: Longest wait for an answer.
        sleep: Waits between attempts of a read, seconds.
        start_hint: What a person does when nothing listens there.
    """

    def __init__(
        self, name: str, base_url: str, *, timeout_s: float, sleep: Callable[[float], None], start_hint: str
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._sleep = sleep
        self._start_hint = start_hint
        self._client = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0)),
            trust_env=False,
            verify=trusted(),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """A call that changes nothing, so it is tried again. Arguments as `send`."""
        retrying = Retrying(
            retry=retry_if_exception_type(Retryable),
            stop=stop_after_attempt(READ_ATTEMPTS),
            wait=_wait_as_asked,
            sleep=self._sleep,
            reraise=True,
        )
        answer: dict[str, Any] = retrying(self.send, method, path, **given)
        return answer

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        write: bool = False,
    ) -> dict[str, Any]:
        """One call; answers the JSON object it was answered with ({} for an empty answer).

        Raises:
            Retryable: Nothing was done: no connection, or the service asks to come again.
            OutcomeUnknown: A ``write`` without usable answer.
            Fatal: The service refuses for good, or something else answers there.
        """
        try:
            response = self._client.request(method, path, params=params, json=body, headers=headers)
        except _NOTHING_SENT as error:
            raise Retryable(
                f"cannot connect to {self._base_url}: {type(error).__name__}", where=self.name, hint=self._start_hint
            ) from None
        except httpx.HTTPError as error:  # its text may hold the address, and the address a secret
            kind = OutcomeUnknown if write else Retryable
            raise kind(f"no answer from {path}: {type(error).__name__}", where=self.name) from None
        self._raise_for_status(response, path, write=write)
        if not response.content:
            return {}
        try:
            with self.understood(path):
                answer = _json(response.content)
                if not isinstance(answer, dict):
                    raise TypeError(f"a JSON {type(answer).__name__}")
        except Fatal as error:
            if write:  # somebody in between may have answered for a service that did it
                raise OutcomeUnknown(error.message, where=self.name, hint=error.hint) from error
            raise
        return answer

    def _raise_for_status(self, response: httpx.Response, path: str, *, write: bool) -> None:
        status = response.status_code
        if status < _ERRORS_FROM:
            return
        message = f"{path} answered {status} {response.reason_phrase}"
        if status in (_TOO_MANY, _UNAVAILABLE):
            after = response.headers.get("Retry-After", "")
            raise Retryable(message, where=self.name, retry_after_s=float(after) if after.isdecimal() else None)
        if status >= _SERVER_ERRORS_FROM:
            raise (OutcomeUnknown if write else Retryable)(message, where=self.name)
        hint = "check the credentials in its options" if status in (_UNAUTHORISED, _FORBIDDEN) else "check base_url"
        raise Fatal(message, where=self.name, hint=hint)

    @contextmanager
    def understood(self, path: str) -> Iterator[None]:
        """Reading an answer: one that is not what the API promises means that something else answers there."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise Fatal(
                f"{path} answered something that is not this API's: {type(error).__name__} {error}",
                where=self.name,
                hint="check base_url, and what lies between here and there",
            ) from error


def _json(content: bytes) -> Any:
    """The value. Half a surrogate pair, left where an emoji was cut, cannot be stored: it becomes U+FFFD."""
    answer = json.loads(content)
    if not _HALF_PAIR.search(content):
        return answer
    text = json.dumps(answer, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _wait_as_asked(state: RetryCallState) -> float:
    """Seconds the service asked for, or a growing random wait; never more than `MAX_WAIT_S`."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Retryable) and error.retry_after_s is not None:
        return min(error.retry_after_s, MAX_WAIT_S)
    return wait_random_exponential(multiplier=0.2, max=MAX_WAIT_S)(state)
