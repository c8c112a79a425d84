"""What WeCom's `sync_msg` tells, as records in canonical text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rollout.connectors.base import ChangedRecord

CHANNEL = "微信客服"

_ORIGINS = {3: "客户", 4: "系统", 5: "客服"}
"""Who sent it, by WeCom's number."""
_KINDS = {
    "image": "图片",
    "voice": "语音",
    "video": "视频",
    "file": "文件",
    "location": "位置",
    "link": "链接",
    "business_card": "名片",
    "miniprogram": "小程序",
    "msgmenu": "菜单消息",
    "channels_shop_product": "视频号商品",
    "channels_shop_order": "视频号订单",
    "merged_msg": "聊天记录",
    "meeting": "会议",
    "schedule": "日程",
    "event": "事件",
}
"""What a message is that is no text."""


def record(message: Mapping[str, Any]) -> ChangedRecord:
    """A message of `msg_list`. Raises ValueError, KeyError or TypeError for anything else."""
    kind = str(message["msgtype"])
    part = message.get(kind) or {}
    sent_at = datetime.fromtimestamp(int(message["send_time"]), UTC)
    origin = int(message["origin"])
    return ChangedRecord(
        str(message["msgid"]),
        sent_at,
        {
            "msgid": str(message["msgid"]),
            "open_kfid": message.get("open_kfid") or part.get("open_kfid"),
            # An event names the customer inside.
            "external_user": message.get("external_userid") or part.get("external_userid"),
            "text": _text(kind, part),
            "sent_at": f"{sent_at:%Y-%m-%dT%H:%M:%SZ}",
            "origin": _ORIGINS.get(origin, str(origin)),
            "channel": CHANNEL,
        },
    )


def _text(kind: str, part: Mapping[str, Any]) -> str | None:
    """The text, or in words what came instead of one."""
    if kind == "text":
        return part.get("content") or None
    told = part.get("title") or part.get("name") or part.get("event_type") or part.get("filename") or ""
    return f"[{_KINDS.get(kind, kind)}]{' ' + str(told) if told else ''}"
