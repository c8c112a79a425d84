"""Customers as salespeople enter them, every one of them made up."""

from __future__ import annotations

import random
from typing import Any

from rollout.testbed.demodata import vocabulary as words

NOTES = (
    "电话沟通需求",
    "上门拜访",
    "发送报价单",
    "确认交货期",
    "讨论年度框架协议",
    "安排样品",
    "催收尾款",
    "邀请参加展会",
)


def account(rng: random.Random, key: str, owner: str) -> dict[str, Any]:
    """A customer's fields. Name and remark carry the key: whoever meets the record knows what it is."""
    place = rng.choice(words.PLACES)
    trade, industry = rng.choice(words.TRADES)
    brand = rng.choice(words.BRAND_FIRST) + rng.choice(words.BRAND_SECOND)
    number = key.rpartition(":")[2]
    return {
        "name": f"{place.name}{brand}{trade}{rng.choice(words.LEGAL_FORMS)}（压测 {number}）",
        "industry": industry,
        "region": place.region,
        "address": f"{place.full}{rng.choice(words.STREETS)}{rng.randrange(1, 2000)}号",
        "phone": f"+86{rng.choice(words.MOBILE_PREFIXES)}{rng.randrange(10**8):08d}",
        "level": rng.choice("ABC"),
        "owner": owner,
        "employees": rng.randrange(5, 3000),
        "annual_revenue": f"{rng.lognormvariate(7, 1.2):.2f}",
        "legacy_no": f"LT-{number}",
        "remark": f"{rng.choice(words.REMARKS)}；压力测试虚构数据 {key}",
    }


def followup(rng: random.Random, key: str, account_id: str, owner: str) -> dict[str, Any]:
    """A follow-up's fields."""
    return {
        "account": account_id,
        "text": f"{rng.choice(NOTES)}；压力测试虚构数据 {key}",
        "owner": owner,
        "followed_on": f"2026-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
    }
