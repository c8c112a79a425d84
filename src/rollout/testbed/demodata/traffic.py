"""What other systems tell the CRM of the made-up company: orders of its ERP, and what customers write by WeChat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

ORDER_DAYS = 30
"""Orders were placed within so many days before ``now``."""
MESSAGE_DAYS = 2
"""Messages were written within so many; WeCom hands out three days."""
PRODUCTS = (
    ("精密丝杠 XN-20", Decimal("860.00")),
    ("直线导轨 XN-35", Decimal("1240.50")),
    ("伺服主轴 XN-8000", Decimal("15800.00")),
    ("数控刀塔 XN-12", Decimal("23600.00")),
    ("液压卡盘 XN-10", Decimal("4280.00")),
    ("定制工装夹具", Decimal("6999.90")),
)
STATUSES = ("已下单", "生产中", "已发货", "已完成")
"""As an order grows older."""
CANCELLED, CANCELLED_SHARE = "已取消", 0.05
TEXTS = (
    "您好,{product}什么时候能发货?",
    "想咨询一下{product}的报价,数量 {quantity} 件。",
    "上周到的{product}有 {quantity} 件尺寸超差,请尽快处理。",
    "麻烦把{product}的合格证发一份电子版。",
    "{product}安装后有异响,需要工程师上门看看。",
    "年度框架协议到期了,{product}的价格还能再谈吗?",
    "发票抬头写错了,能重开吗?",
    "谢谢,问题已经解决。",
)


def erp_orders(customer_nos: Sequence[str], count: int, seed: int, now: datetime) -> list[dict[str, Any]]:
    """Orders as ``POST /erp/admin/orders`` takes them, the one changed longest ago first.

    Args:
        customer_nos: Numbers (客户编号) of the customers who order; at least one if ``count`` is not 0.
        count: How many.
        seed: The same arguments give the same orders; another seed other order numbers.
        now: Aware; no order is younger.
    """
    rng = Random(f"orders/{seed}")  # noqa: S311 - made-up data, no secrets
    orders = []
    for number in range(count):
        age = timedelta(seconds=rng.randrange(ORDER_DAYS * 86_400))
        product, price = rng.choice(PRODUCTS)
        quantity = rng.randint(1, 40)
        grown = min(int(age / timedelta(days=ORDER_DAYS) * len(STATUSES)), len(STATUSES) - 1)
        ordered_at = now - age
        orders.append(
            {
                "order_no": f"XN{seed}-{number + 1:06d}",
                "customer_no": rng.choice(customer_nos),
                "product": product,
                "quantity": str(quantity),
                "amount": str(price * quantity),
                "status": CANCELLED if rng.random() < CANCELLED_SHARE else STATUSES[grown],
                "ordered_on": ordered_at.date().isoformat(),
                "updated_at": (ordered_at + age * rng.random()).isoformat(),
            }
        )
    return sorted(orders, key=lambda order: datetime.fromisoformat(order["updated_at"]))


def wecom_messages(count: int, seed: int, now: datetime) -> list[dict[str, Any]]:
    """Customers' messages as ``POST /wecom/admin/messages`` takes them, the oldest first; arguments as above."""
    rng = Random(f"messages/{seed}")  # noqa: S311 - made-up data, no secrets
    ages_s = sorted((rng.randrange(MESSAGE_DAYS * 86_400) for _ in range(count)), reverse=True)
    return [
        {
            "msgid": f"xn-{seed}-{number + 1:06d}",
            "external_userid": f"wm_xn_{rng.randrange(max(count // 3, 1)):05d}",
            "content": rng.choice(TEXTS).format(product=rng.choice(PRODUCTS)[0], quantity=rng.randint(1, 40)),
            "send_time": int(now.timestamp()) - age_s,
        }
        for number, age_s in enumerate(ages_s)
    ]
