"""Calls to WeCom: an access token for all threads, and what its error codes ask the caller to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rollout.connectors.webcalls import WebCalls
from rollout.errors import Fatal, Retryable

_OK = 0
_TOKEN_OVER = frozenset({40014, 42001})
"""The token is invalid or expired: get a new one and call again, once."""
_TRY_AGAIN = {-1: 5.0, 45009: 60.0, 45033: 5.0, 45011: 60.0, 50002: 60.0}
"""The same call may succeed later, with the pause in seconds: system busy, called too often, too many calls at once."""
_HINTS = {
    40001: "check the application's secret",
    40013: "check corp_id",
    40003: "check to_user: WeCom knows no such member",
    60020: "have WeCom's administrator add this machine's address to the application's trusted addresses (可信IP)",
    60011: "have WeCom's administrator give the application the permission",
    48002: "have WeCom's administrator give the application the permission to this interface",
    81013: "check to_user: nobody of them is visible to the application",
    95000: "check open_kfid: the customer service account is not the application's",
}
_MARGIN_S = 60.0
"""A token is renewed this long before it runs out."""


class WeComCalls:
    """Calls with a valid token; safe to use from several threads.

    Args:
        calls: Sends them.
        corp_id: The company's id.
        secret: The application's secret.
        monotonic_s: Seconds of a clock that never goes back.
    """

    def __init__(
        self, calls: WebCalls, *, corp_id: str, secret: str, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls = calls
        self._corp_id = corp_id
        self._secret = secret
        self._monotonic_s = monotonic_s
        self._token = ""
        self._valid_until_s = float("-inf")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def call(self, path: str, body: Mapping[str, Any], *, write: bool = False) -> dict[str, Any]:
        """POST with a token; a token that is refused is renewed once.

        Raises:
            Retryable: Nothing was done; WeCom is busy, or was called too often.
            OutcomeUnknown: A ``write`` without usable answer.
            Fatal: WeCom refuses.
        """
        token = self.token(unlike=None)
        answer = self._post(path, body, token, write=write)
        if self._code(path, answer) in _TOKEN_OVER:
            token = self.token(unlike=token)
            answer = self._post(path, body, token, write=write)
        self._raise_for_code(path, answer)
        return answer

    def token(self, *, unlike: str | None) -> str:
        """The token at hand while it holds, or a new one; never the one that was just refused."""
        with self._lock:
            if self._monotonic_s() >= self._valid_until_s or self._token == unlike:
                asked_s = self._monotonic_s()
                path = "/cgi-bin/gettoken"
                answer = self._calls.read("GET", path, params={"corpid": self._corp_id, "corpsecret": self._secret})
                self._raise_for_code(path, answer)
                with self._calls.understood(path):
                    self._token = str(answer["access_token"])
                    self._valid_until_s = asked_s + max(float(answer["expires_in"]) - _MARGIN_S, 0.0)
            return self._token

    def _post(self, path: str, body: Mapping[str, Any], token: str, *, write: bool) -> dict[str, Any]:
        given = {"params": {"access_token": token}, "body": dict(body)}
        return self._calls.send("POST", path, write=True, **given) if write else self._calls.read("POST", path, **given)

    def _code(self, path: str, answer: Mapping[str, Any]) -> int:
        with self._calls.understood(path):
            return int(answer["errcode"])

    def _raise_for_code(self, path: str, answer: Mapping[str, Any]) -> None:
        code = self._code(path, answer)
        if code == _OK:
            return
        # WeCom's own message names the caller's address and the request's hint, never the secret.
        message = f"{path} answered errcode {code}: {str(answer.get('errmsg', ''))[:200]}".replace(self._secret, "***")
        if code in _TRY_AGAIN:
            raise Retryable(message, where=self._calls.name, retry_after_s=_TRY_AGAIN[code])
        raise Fatal(message, where=self._calls.name, hint=_HINTS.get(code, "look the code up in WeCom's documentation"))
