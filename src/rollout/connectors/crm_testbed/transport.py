"""Calls to the CRM: one token for all threads, and what the end of a call means.

Nothing was sent, or the CRM says that it stored nothing → `Retryable`. It may have been stored → `OutcomeUnknown`.
Reads are tried again; a write is sent once, and the caller decides. A token may end in the middle of a batch, so what
a refused token's write has stored is unknown too; that is rare, as tokens are renewed before their end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from rollout.connectors.reasons import Reason
from rollout.connectors.webcalls import trusted
from rollout.errors import Fatal, OutcomeUnknown, Retryable, RowRejected

READ_ATTEMPTS = 5
MAX_WAIT_S = 10.0
LOGINS_A_READ = 4
"""So often a read's token may be taken away before it is given up: other calls' ends can end it too."""

# The CRM closes connections that were idle for 30 s. Closing them earlier ourselves keeps a write from being sent into
# a connection that is just being closed, which would end as an unknown outcome for nothing.
_KEEPALIVE_S = 15.0

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_TOO_MANY, _UNAVAILABLE, _UNAUTHORISED, _NOT_FOUND = 429, 503, 401, 404
_ERROR_CODE, _LONGEST_ERROR = b'"error_code"', 2000
_BUSY_CODES = frozenset({"system_busy", "too_many_requests"})
_REFUSED_FOR_CONTENT = (400, 413, 422)
"""Nothing of the call was done, because of what one row of it holds, or because it is too large."""
_ERRORS_FROM, _SERVER_ERRORS_FROM = 300, 500


class Transport:
    """Sends requests; safe to use from several threads.

    Args:
        name: The system's name, for messages.
        base_url: Without path.
        credentials: Username and password.
        timeout: Longest waits, seconds.
        sleep: Waits between attempts of a read, seconds.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        credentials: tuple[str, str],
        *,
        timeout: httpx.Timeout,
        sleep: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._username, self._password = credentials
        self._sleep = sleep
        self._clock = clock
        self._longest_call_s = timeout.read or 0.0
        self._client = httpx.Client(
            base_url=base_url,
            timeout=timeout,
            limits=httpx.Limits(keepalive_expiry=_KEEPALIVE_S),
            trust_env=False,
            verify=trusted(),
        )
        self._token: str | None = None
        self._renew_at = 0.0
        self._token_lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call that changes nothing, so it is tried again."""
        response: httpx.Response = self._retrying()(self.send, method, path, body, write=False)
        with self.understood(path):
            answer: dict[str, Any] = orjson.loads(response.content)
        return answer

    def delete(self, path: str) -> None:
        """Deleting twice is deleting once, so it is tried again, and what is not there is done."""
        self._retrying()(self.send, "DELETE", path, None, write=False, gone_is_done=True)

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(Retryable),
            stop=stop_after_attempt(READ_ATTEMPTS),
            wait=_wait_as_asked,
            sleep=self._sleep,
            reraise=True,
        )

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        write: bool,
        gone_is_done: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One call with a valid token; a read whose token is refused gets a new one."""
        token = self._valid_token(unlike=None)
        response = self._call(method, path, body, token=token, write=write, headers=headers)
        for _ in range(LOGINS_A_READ):
            if response.status_code != _UNAUTHORISED:
                break
            if write:
                self._forget(token)
                raise OutcomeUnknown(f"{path} refused the token, perhaps after a part was stored", where=self.name)
            token = self._valid_token(unlike=token)
            response = self._call(method, path, body, token=token, write=write, headers=headers)
        if not (gone_is_done and response.status_code == _NOT_FOUND):
            self._raise_for_status(response, path, write=write)
            self._raise_for_error_code(response, path, write=write)
        return response

    def _valid_token(self, *, unlike: str | None) -> str:
        """The token at hand, or a new one if there is none, it is about to end, or it was just refused."""
        with self._token_lock:
            if self._token is None or self._token == unlike or self._clock() >= self._renew_at:
                credentials = {
                    "username": self._username,
                    "password": self._password,
                }
                response = self._call("POST", "/api/token", credentials, token=None, write=False)
                self._raise_for_status(response, "/api/token", write=False)
                self._raise_for_error_code(response, "/api/token", write=False)
                with self.understood("/api/token"):
                    granted = response.json()
                    lifetime_s = float(granted["expires_in"])
                    self._token = str(granted["access_token"])
                self._renew_at = self._clock() + max(lifetime_s - self._longest_call_s, lifetime_s / 2)
            return self._token

    def _forget(self, token: str) -> None:
        with self._token_lock:
            if self._token == token:
                self._token = None

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        token: str | None,
        write: bool,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        content = orjson.dumps(body) if body is not None else None
        try:
            return self._client.request(method, path, content=content, headers=sent)
        except _NOTHING_SENT as error:
            raise Retryable(
                f"cannot connect to {self._base_url}: {error}",
                where=self.name,
                hint="start the CRM (the demo's: `make ui`), or correct base_url, then run the same command again",
            ) from error
        except httpx.HTTPError as error:
            message = f"no answer from {path}: {type(error).__name__} {error}"
            if write:
                raise OutcomeUnknown(message, where=self.name) from error
            raise Retryable(message, where=self.name) from error

    def _raise_for_status(self, response: httpx.Response, path: str, *, write: bool) -> None:
        status = response.status_code
        if status < _ERRORS_FROM:
            return
        message = f"{path} answered {status}: {_detail(response)}"
        if status in (_TOO_MANY, _UNAVAILABLE):
            raise Retryable(message, where=self.name, retry_after_s=_retry_after(response))
        if status >= _SERVER_ERRORS_FROM:
            raise (OutcomeUnknown if write else Retryable)(message, where=self.name)
        if write and status in _REFUSED_FOR_CONTENT:
            raise RowRejected(message, where=self.name, reason_code=Reason.REFUSED)
        hint = "check username and password" if status == _UNAUTHORISED else ""
        raise Fatal(message, where=self.name, hint=hint)

    def _raise_for_error_code(self, response: httpx.Response, path: str, *, write: bool) -> None:
        """Some errors come as 200. Busy means that nothing was stored; of another code nobody knows."""
        if len(response.content) > _LONGEST_ERROR or _ERROR_CODE not in response.content:
            return
        try:
            code = orjson.loads(response.content).get("error_code")
        except (ValueError, AttributeError):
            return
        if code in _BUSY_CODES or (code and not write):
            raise Retryable(f"{path} answered {code}", where=self.name)
        if code:
            raise OutcomeUnknown(f"{path} answered {code}", where=self.name)

    @contextmanager
    def understood(self, path: str) -> Iterator[None]:
        """Reading an answer: one that is not what the API promises means that something else answers there."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Fatal(
                f"{path} answered something that is not this API's: {type(error).__name__} {error}",
                where=self.name,
                hint="check base_url, and what lies between here and the CRM",
            ) from error


def _wait_as_asked(state: RetryCallState) -> float:
    """Seconds the CRM asked for, or a growing random wait; never more than `MAX_WAIT_S`."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Retryable) and error.retry_after_s is not None:
        return min(error.retry_after_s, MAX_WAIT_S)
    return wait_random_exponential(multiplier=0.2, max=MAX_WAIT_S)(state)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _detail(response: httpx.Response) -> str:
    """What the answer says went wrong, for a person."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return response.text[:200].strip() or response.reason_phrase
    if isinstance(detail, list):  # one entry a wrong part of the request; without the values, which may be personal
        return "; ".join(f"{'.'.join(map(str, part.get('loc', ())))}: {part.get('msg', '')}" for part in detail[:3])
    return str(detail.get("message", detail)) if isinstance(detail, dict) else str(detail)
