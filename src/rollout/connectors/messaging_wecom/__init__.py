"""WeCom (企业微信): messages of 微信客服 as a stream that a sync reads, and application messages to staff."""

from __future__ import annotations

from rollout.connectors.messaging_wecom.connector import WeComConnector

__all__ = ["WeComConnector"]
