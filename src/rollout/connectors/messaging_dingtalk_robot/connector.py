r"""Messages to a DingTalk group through its custom robot: one HTTP call each, answered with `errcode` and `errmsg`.

What DingTalk asks: ``timestamp`` (milliseconds, at most an hour off) and ``sign``, the HMAC-SHA256 of
``timestamp + "\n" + secret`` under the secret, in Base64; and no more than 20 messages a minute.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from pydantic import Field, SecretStr

from rollout.connectors.base import Capabilities, Message
from rollout.connectors.options import validated
from rollout.connectors.webcalls import trusted
from rollout.errors import Fatal, OutcomeUnknown, Retryable, UnsupportedOperation
from rollout.model.base import Frozen
from rollout.model.entity import TargetSchema
from rollout.model.finding import Finding, Level

MAX_TEXT_BYTES = 18_000
"""DingTalk takes bodies of 20,000 bytes."""
RATE_PAUSE_S = 60.0

_OK = 0
_TRY_AGAIN = {-1: 5.0, 130101: RATE_PAUSE_S, 410100: RATE_PAUSE_S}
"""Codes after which the same message may be sent again, with the pause in seconds: system busy, sent too fast."""
_HINTS = {
    310000: "compare secret, keywords and allowed addresses with the robot's security settings",
    300001: "copy the access_token from the robot's webhook address",
    400101: "copy the access_token from the robot's webhook address",
    400013: "the group was dissolved: make a robot in another one",
    400102: "switch the robot on in the group's settings",
}
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_TOO_MANY, _UNAVAILABLE, _ERRORS_FROM, _SERVER_ERRORS_FROM = 429, 503, 300, 500


class RobotOptions(Frozen):
    """Options of a system with ``connector: messaging_dingtalk_robot``."""

    base_url: str = Field(default="https://oapi.dingtalk.com", pattern=r"^https?://[^?#]+[^/?#]$")
    access_token: SecretStr = Field(min_length=1, description="Of the robot's webhook address, as ${env:NAME}.")
    secret: SecretStr = Field(min_length=1, description="The robot's signing secret (加签), as ${env:NAME}.")
    timeout_s: float = Field(default=10.0, gt=0, le=120)


def sign(timestamp_ms: int, secret: str) -> str:
    """The signature of a call, in Base64; as a query parameter it still has to be percent-encoded."""
    signed = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(signed.digest()).decode("ascii")


class DingTalkRobot:
    """Connector and Messenger.

    Args:
        name: The system's name in the project.
        options: See `RobotOptions`. Raises ConfigError when they are wrong.
        base_dir: Unused; all connectors are constructed alike.
        now_s: Seconds since 1970. DingTalk compares it with its own clock.
    """

    def __init__(
        self, *, name: str, options: Mapping[str, Any], base_dir: Path, now_s: Callable[[], float] = time.time
    ) -> None:
        del base_dir
        self._options = validated(RobotOptions, name, options)
        self.name = name
        self.capabilities = Capabilities(rate_per_s=20 / 60, call_timeout_s=self._options.timeout_s)
        self._now_s = now_s
        self._client = httpx.Client(timeout=self._options.timeout_s, trust_env=False, verify=trusted())

    def check(self) -> list[Finding]:
        """Whether DingTalk answers. Token and secret show only when a message is sent: there is no call to try them."""
        try:
            self._client.get(self._options.base_url)
        except httpx.HTTPError as error:
            return [
                Finding(
                    id="connector.unreachable",
                    level=Level.ERROR,
                    message=f"{self._options.base_url} does not answer ({type(error).__name__})",
                    where=f"systems.{self.name}",
                    hint="check base_url and the way out of this network",
                )
            ]
        return []

    def describe(self) -> TargetSchema:
        """A robot holds no records."""
        raise UnsupportedOperation(f"system '{self.name}' sends messages and cannot be a target")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, message: Message) -> None:
        """Send one text message; one that is too long is cut, and says so.

        Raises:
            Retryable: DingTalk cannot be reached, is busy, or was sent too much in a minute: nothing was delivered.
            Fatal: It refuses the signature, keyword or token.
            OutcomeUnknown: No usable answer; the message may have been delivered.
        """
        timestamp_ms = round(self._now_s() * 1000)
        query = {
            "access_token": self._options.access_token.get_secret_value(),
            "timestamp": str(timestamp_ms),
            "sign": sign(timestamp_ms, self._options.secret.get_secret_value()),
        }
        body = {"msgtype": "text", "text": {"content": _fitting(f"{message.title}\n{message.text}")}}
        try:
            answer = self._client.post(f"{self._options.base_url}/robot/send", params=query, json=body)
        except _NOTHING_SENT as error:
            raise Retryable(f"cannot connect to {self._options.base_url}: {error}", where=self.name) from error
        except httpx.HTTPError as error:  # its text may hold the address, and the address the token
            raise OutcomeUnknown(f"no answer to a message ({type(error).__name__})", where=self.name) from None
        self._judge(answer)

    def _judge(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in (_TOO_MANY, _UNAVAILABLE):
            raise Retryable(f"DingTalk answered {status}", where=self.name, retry_after_s=RATE_PAUSE_S)
        if status >= _SERVER_ERRORS_FROM:
            raise OutcomeUnknown(f"DingTalk answered {status}", where=self.name)
        if status >= _ERRORS_FROM:
            raise Fatal(f"DingTalk answered {status}", where=self.name, hint="check base_url")
        try:
            told = answer.json()
            code, text = int(told["errcode"]), str(told.get("errmsg", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OutcomeUnknown("the answer is not DingTalk's", where=self.name, hint="check base_url") from None
        if code == _OK:
            return
        told_of = f"DingTalk refused a message: {text} ({code})"
        if code in _TRY_AGAIN:
            raise Retryable(told_of, where=self.name, retry_after_s=_TRY_AGAIN[code])
        raise Fatal(told_of, where=self.name, hint=_HINTS.get(code, "look the code up in DingTalk's documentation"))


def _fitting(text: str) -> str:
    """The text within DingTalk's limit, cut between characters."""
    data = text.encode()
    if len(data) <= MAX_TEXT_BYTES:
        return text
    return data[:MAX_TEXT_BYTES].decode("utf-8", "ignore") + "\n… (cut)"
