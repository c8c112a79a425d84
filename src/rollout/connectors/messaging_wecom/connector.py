"""The connector to WeCom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from rollout.connectors.base import Capabilities, ChangedRecord, ChangePage, Message
from rollout.connectors.messaging_wecom.records import CHANNEL, record
from rollout.connectors.messaging_wecom.transport import WeComCalls
from rollout.connectors.options import validated
from rollout.connectors.webcalls import WebCalls
from rollout.errors import ConfigError, Fatal, Retryable, RolloutError, UnsupportedOperation
from rollout.model.base import Frozen
from rollout.model.entity import FieldType, TargetField, TargetSchema
from rollout.model.finding import Finding, Level

MESSAGES = "messages"
MAX_PAGE_ROWS = 1000
"""Messages a call of `sync_msg`, by WeCom."""
MAX_TEXT_BYTES = 2048
"""Bytes of an application message, by WeCom; it cuts longer ones without a word."""
RATE_PER_S = 10.0
"""Far below WeCom's own limits, which grow with the company: 10,000 calls a minute and interface of a corporation."""

_FIELDS = ("msgid", "open_kfid", "external_user", "text", "sent_at", "origin", "channel")


class WeComOptions(Frozen):
    """Options of a system with ``connector: messaging_wecom``."""

    base_url: str = Field(default="https://qyapi.weixin.qq.com", pattern=r"^https?://[^?#]+[^/?#]$")
    corp_id: str = Field(min_length=1, description="企业 ID.")
    secret: SecretStr = Field(min_length=1, description="The application's secret, as ${env:NAME}.")
    open_kfid: str | None = Field(default=None, description="客服帐号 ID whose messages are read.")
    agent_id: int | None = Field(default=None, ge=1, description="AgentId of the application that messages come from.")
    to_user: str | None = Field(default=None, description="Members who are told, `|` between them; `@all` for all.")
    timeout_s: float = Field(default=15.0, gt=0, le=600, description="Longest wait for an answer.")
    simulated: bool = Field(default=False, description="base_url is the testbed's, which takes made-up messages.")


class WeComConnector:
    """Connector, ChangeFeed of the stream ``messages``, Messenger, and Scripted where ``simulated``.

    Args:
        name: The system's name in the project.
        options: See `WeComOptions`. Raises ConfigError when they are wrong.
        base_dir: Unused; all connectors are constructed alike.
        sleep: Waits between attempts of a read, seconds.
        monotonic_s: Seconds of a clock that never goes back; tokens run out by it.
    """

    def __init__(
        self,
        *,
        name: str,
        options: Mapping[str, Any],
        base_dir: Path,
        sleep: Callable[[float], None] = time.sleep,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        del base_dir
        self._options = validated(WeComOptions, name, options)
        self.name = name
        self.capabilities = Capabilities(rate_per_s=RATE_PER_S, call_timeout_s=self._options.timeout_s)
        self._web = WebCalls(
            name,
            self._options.base_url,
            timeout_s=self._options.timeout_s,
            sleep=sleep,
            start_hint="check base_url and the way out of this network",
        )
        self._calls = WeComCalls(
            self._web,
            corp_id=self._options.corp_id,
            secret=self._options.secret.get_secret_value(),
            monotonic_s=monotonic_s,
        )

    def check(self) -> list[Finding]:
        """Get a token: unreachable and refused each give a finding."""
        where = f"systems.{self.name}"
        try:
            self._calls.token(unlike=None)
        except Retryable as error:
            return [
                Finding(
                    id="connector.unreachable", level=Level.ERROR, message=error.message, where=where, hint=error.hint
                )
            ]
        except RolloutError as error:
            return [
                Finding(id="connector.refused", level=Level.ERROR, message=error.message, where=where, hint=error.hint)
            ]
        return []

    def describe(self) -> TargetSchema:
        """The fields of a message, as this connector tells them; WeCom has no call for it."""
        kinds = {"sent_at": FieldType.DATETIME}
        fields = {name: TargetField(name=name, type=kinds.get(name, FieldType.TEXT)) for name in _FIELDS}
        return TargetSchema(entities={MESSAGES: fields})

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    # --- ChangeFeed ---

    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        """Messages of the last three days after the cursor; WeCom keeps no older ones.

        The cursor is a position in WeCom's log, so that ``overlap_s`` does not matter: nothing turns up before it.

        Raises:
            ConfigError: There is no such stream, or no `open_kfid`.
            Retryable: WeCom does not answer, or was called too often.
            Fatal: It refuses, or something else answers there.
        """
        del overlap_s
        self._known(stream)
        if self._options.open_kfid is None:
            raise ConfigError("no open_kfid", where=f"systems.{self.name}.options", hint="name the 客服帐号 to read")
        path = "/cgi-bin/kf/sync_msg"
        body = {
            "cursor": cursor or "",
            "limit": min(limit, MAX_PAGE_ROWS),
            "open_kfid": self._options.open_kfid,
            "voice_format": 0,
        }
        answer = self._calls.call(path, body)
        with self._web.understood(path):
            records = [record(message) for message in answer["msg_list"]]
            # An empty page may have more behind it, and a page without cursor leaves us where we were.
            return ChangePage(records, str(answer.get("next_cursor") or cursor or ""), bool(answer["has_more"]))

    # --- Messenger ---

    def send(self, message: Message) -> None:
        """Send an application message to the members of `to_user`; one that is too long is cut, and says so.

        Raises:
            ConfigError: No `agent_id` or `to_user`.
            Retryable: Not sent: WeCom does not answer, is busy, or was called too often.
            Fatal: It refuses, or knows none of the members.
            OutcomeUnknown: No usable answer. Sending it again within half an hour does no harm: WeCom drops repeats.
        """
        if self._options.agent_id is None or not self._options.to_user:
            raise ConfigError(
                "no agent_id or no to_user", where=f"systems.{self.name}.options", hint="say who is told by which app"
            )
        path = "/cgi-bin/message/send"
        body = {
            "touser": self._options.to_user,
            "msgtype": "text",
            "agentid": self._options.agent_id,
            "text": {"content": _fitting(f"{message.title}\n{message.text}")},
            "enable_duplicate_check": 1,
        }
        answer = self._calls.call(path, body, write=True)
        if unknown := answer.get("invaliduser"):
            raise Fatal(f"WeCom did not tell {unknown}", where=self.name, hint="check to_user")

    # --- Scripted ---

    def example(self, stream: str, source_id: str, *, reference: str | None) -> ChangedRecord:
        """A made-up customer's message; it belongs to no legacy customer."""
        del reference
        self._scripted(stream)
        now = datetime.now(UTC).replace(microsecond=0)
        values = {
            "msgid": source_id,
            "open_kfid": self._options.open_kfid,
            "external_user": f"wm_{source_id}"[:64],
            "text": f"虚构测试消息 {source_id}",
            "sent_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "origin": "客户",
            "channel": CHANNEL,
        }
        return ChangedRecord(source_id, now, values)

    def put(self, stream: str, records: Sequence[ChangedRecord]) -> None:
        """Let customers write; a message that is there already stays as it is."""
        self._scripted(stream)
        body = [
            {
                "msgid": record.source_id,
                "external_userid": record.values["external_user"],
                "content": record.values["text"],
                "send_time": int(record.changed_at.timestamp()),
            }
            for record in records
        ]
        self._web.send("POST", "/admin/messages", body=body, headers=self._operator())

    def withdraw(self, stream: str, source_ids: Sequence[str]) -> None:
        """Take made-up messages out of the log."""
        self._scripted(stream)
        for source_id in source_ids:
            self._web.send("DELETE", f"/admin/messages/{quote(source_id, safe='')}", headers=self._operator())

    def _operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._options.secret.get_secret_value()}"}

    def _scripted(self, stream: str) -> None:
        self._known(stream)
        if not self._options.simulated:
            raise UnsupportedOperation(f"'{self.name}' is the real WeCom: people write there, not tests")

    def _known(self, stream: str) -> None:
        if stream != MESSAGES:
            raise ConfigError(f"'{self.name}' has no stream '{stream}'", hint=f"it has: {MESSAGES}")


def _fitting(text: str) -> str:
    """Cut to what WeCom takes, at a character's end."""
    if len(text.encode()) <= MAX_TEXT_BYTES:
        return text
    mark = "…（已截断 · cut）"
    return text.encode()[: MAX_TEXT_BYTES - len(mark.encode())].decode(errors="ignore") + mark
