"""What a block of customers did: orders with their lines, opportunities, contracts, tickets, follow-ups.

Every customer was spoken to in 2026, but for those planted as dormant: with them nothing happened after 2022.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from rollout.testbed.demodata import vocabulary as words
from rollout.testbed.demodata.rows import Known

Cells = tuple[str | None, ...]
DORMANT, ORPHAN, OWNER_LEFT = "dormant", "account_missing", "owner_left"
_DORMANT_SHARE = 0.05
_TOLD_OF_LOST = 3
_RECENT, _RECENT_DAYS = date(2026, 1, 5), 280
_OLD, _OLD_DAYS = date(2019, 3, 1), 1_300
_SECOND_CODE_SHARE = 0.2
_ORDER_STATES = ("已下单", "生产中", "已发货", "已完成", "已完成", "已取消")
_STAGES = ("初步接触", "需求确认", "方案报价", "方案报价", "商务谈判", "赢单", "输单", "成交")
_TICKETS = (
    (1, "咨询{product}的安装尺寸"),
    (2, "{product}运行时有异响"),
    (2, "{product}精度超差,需上门检修"),
    (3, "{product}交货延期"),
)
_TALKS = (
    "电话沟通{product}的需求,下周回访",
    "拜访客户,确认{product}的技术参数",
    "微信发送{product}报价单",
    "客户反馈{product}使用良好",
)
_CHANNELS = ("电话", "拜访", "微信", "邮件")
_SPOILT_TALKS = (("=HYPERLINK(1)", "formula_like"), ("客户要求\x0b加急", "control_character"))


@dataclass(slots=True)
class Business:
    """Rows by table of `layout`, with the truth about what is wrong with them."""

    rows: dict[str, list[Cells]] = field(default_factory=dict)
    defects: list[tuple[str, str, str]] = field(default_factory=list)
    dormant: set[str] = field(default_factory=set)
    """Clusters of the customers with whom nothing happened any more."""

    def add(self, table: str, *cells: str | None) -> None:
        """Append a row."""
        self.rows.setdefault(table, []).append(cells)

    def is_hit(self, table: str, every: int) -> bool:
        """Whether the next row of a table is one of those that something is wrong with: every so many-th."""
        return len(self.rows.get(table, ())) % every == every // 2


def make_business(customers: Sequence[Known], first: int, *, seed: int) -> Business:
    """What a block's customers did.

    Args:
        customers: The block's rows.
        first: Number of the block's first row.
        seed: Of the whole data set.
    """
    rng = Random(f"{seed}/{first}/business")  # noqa: S311 - made-up data, no secrets
    done = Business()
    rows = Counter(customer.cluster for customer in customers)
    for number, customer in enumerate(customers, start=first + 1):
        # Of customers that stay behind, little is told: they take it with them into quarantine.
        acts = _Acts(done, customer, number, rng)
        if rows[customer.cluster] == 1 and not customer.lost and rng.random() < _DORMANT_SHARE:
            done.dormant.add(customer.cluster)
            done.defects.append((f"customers:{customer.key}", "", DORMANT))
            acts.follow_up(_OLD, _OLD_DAYS)
            continue
        if not customer.lost or number % _TOLD_OF_LOST == 0:
            acts.follow_up(_RECENT, _RECENT_DAYS)
        if not customer.lost:
            acts.all()
    return done


def order_lines(done: Business, table: str, order: str, rng: Random) -> Decimal:
    """Write an order's lines; answers their sum."""
    total = Decimal(0)
    for at in range(1, rng.choice((1, 1, 2, 2, 3)) + 1):
        cells, amount = order_line(f"{order}-{at}", rng)
        total += amount
        done.add(table, cells[0], order, *cells[1:])
    return total


def order_line(number: str, rng: Random) -> tuple[Cells, Decimal]:
    """A line: its number, product, quantity, price, amount; and the amount."""
    product, _, _, _, price, _ = rng.choice(PRODUCTS)
    quantity = rng.randint(1, 40)
    amount = Decimal(price) * quantity
    return (number, product, str(quantity), price, str(amount)), amount


class _Acts:
    """What one customer did; each kind of act writes its rows."""

    def __init__(self, done: Business, customer: Known, number: int, rng: Random) -> None:
        self.done, self.customer, self.number, self.rng = done, customer, number, rng

    def all(self) -> None:
        """Everything but the follow-up that each customer has."""
        chance = self.rng.random
        if chance() < 0.55:  # noqa: PLR2004 - shares of the customers
            self._orders(1 if chance() < 0.9 else 2)  # noqa: PLR2004
        if chance() < 0.3:  # noqa: PLR2004
            self._opportunity()
        if chance() < 0.2:  # noqa: PLR2004
            self._contract()
        if chance() < 0.35:  # noqa: PLR2004
            self._ticket()

    def follow_up(self, first: date, days: int) -> None:
        """A talk with the customer."""
        talk, code = self.rng.choice(_TALKS).format(product=self._product()), ""
        if self.rng.random() < 0.02:  # noqa: PLR2004
            talk, code = self.rng.choice(_SPOILT_TALKS)
            self.done.defects.append((f"follow_ups:{self.number}", "content", code))
        self.done.add(
            "follow_ups",
            str(self.number),
            self.customer.number,
            self._person(f"follow_ups:{self.number}", "person"),
            self._day(first, days),
            self.rng.choice(_CHANNELS),
            talk,
        )

    def _orders(self, count: int) -> None:
        for at in range(1, count + 1):
            is_second = self.customer.company != words.COMPANIES[0]
            table, order = (
                ("orders_dq", f"DQ{self.number:07d}-{at}") if is_second else ("orders_jg", f"JG{self.number:07d}-{at}")
            )
            payer = self._codes(at) if is_second else self.customer.number
            if not is_second and self.done.is_hit(table, 60):
                payer = f"HD9{self.rng.randrange(10**7):07d}"
                self.done.defects.append((f"{table}:{order}", "客户编号", ORPHAN))
            amount = f"{order_lines(self.done, 'order_lines', order, self.rng):.2f}"
            if self.rng.random() < 0.03:  # noqa: PLR2004
                amount = f"{Decimal(amount):,.2f}"
                self.done.defects.append(
                    (f"{table}:{order}", "价税合计" if is_second else "订单金额", "thousands_separator")
                )
            day = self._day(_RECENT, _RECENT_DAYS)
            shown = day.replace("-", "/") if is_second else day
            self.done.add(table, order, payer, shown, amount, self.rng.choice(_ORDER_STATES))

    def _codes(self, order: int) -> str:
        """The customer's code at the second company; some have two."""
        code = f"D{self.number:07d}"
        if order == 1:
            self.done.add("customer_codes", words.COMPANIES[-1], code, self.customer.number)
        if self.rng.random() < _SECOND_CODE_SHARE:
            self.done.add("customer_codes", words.COMPANIES[-1], f"{code}{'AB'[order - 1]}", self.customer.number)
            return f"{code}{'AB'[order - 1]}"
        return code

    def _opportunity(self) -> None:
        key = f"SJ{self.number:07d}"
        product = self._product()
        self.done.add(
            "opportunities",
            key,
            f"{self.customer.name[:12]}{product}采购",
            self.customer.number,
            f"{self.rng.randrange(5, 400) * 1000}",
            self.rng.choice(_STAGES),
            self._person(f"opportunities:{key}", "负责人"),
            self._day(_RECENT, 2 * _RECENT_DAYS),
        )

    def _contract(self) -> None:
        key = f"HT{self.number:07d}"
        signed = date.fromisoformat(self._day(_RECENT, _RECENT_DAYS))
        starts, ends = signed + timedelta(days=7), signed + timedelta(days=372)
        if self.done.is_hit("contracts", 25):
            starts, ends = ends, starts
            self.done.defects.append((f"contracts:{key}", "到期日期", "ends_before_start"))
        self.done.add(
            "contracts",
            key,
            f"{self._product()}年度供货合同",
            self.customer.number,
            f"{self.rng.randrange(10, 900) * 1000:.2f}",
            f"{signed:%Y}年{signed.month}月{signed.day}日",
            starts.isoformat(),
            ends.isoformat(),
            self.rng.choice(("执行中", "执行中", "到期", "终止")),
            self._person(f"contracts:{key}", "经办人"),
        )

    def _ticket(self) -> None:
        key = f"GD{self.number:07d}"
        kind, subject = self.rng.choice(_TICKETS)
        opened = self._day(_RECENT, _RECENT_DAYS)
        closed = (date.fromisoformat(opened) + timedelta(days=self.rng.randrange(1, 20))).isoformat()
        is_open = self.rng.random() < 0.2  # noqa: PLR2004
        payer = self.customer.number
        if self.done.is_hit("tickets", 60):
            payer = f"HD9{self.rng.randrange(10**7):07d}"
            self.done.defects.append((f"tickets:{key}", "cust_no", ORPHAN))
        self.done.add(
            "tickets",
            key,
            payer,
            subject.format(product=self._product()),
            str(kind),
            "open" if is_open else "closed",
            f"{opened} {self.rng.randrange(8, 18):02d}:30:00",
            None if is_open else f"{closed} 17:00:00",
            "虚构示例工单",
        )

    def _product(self) -> str:
        return str(self.rng.choice(PRODUCTS)[1])

    def _day(self, first: date, days: int) -> str:
        return (first + timedelta(days=self.rng.randrange(days))).isoformat()

    def _person(self, key: str, column: str) -> str:
        if self.rng.random() < 0.03:  # noqa: PLR2004
            self.done.defects.append((key, column, OWNER_LEFT))
            return self.rng.choice(words.LEAVERS)
        return self.rng.choice(words.OWNERS)


_MODELS = (
    ("精密丝杠", "功能部件", "根", "860.00"),
    ("直线导轨", "功能部件", "根", "1240.50"),
    ("伺服主轴", "功能部件", "台", "15800.00"),
    ("数控刀塔", "机床附件", "台", "23600.00"),
    ("液压卡盘", "机床附件", "只", "4280.00"),
    ("工装夹具", "工装夹具", "套", "6999.90"),
    ("伺服驱动器", "电气元件", "台", "3350.00"),
    ("上门检修", "服务", "次", "1200.00"),
)
_SIZES = ("XN-12", "XN-20", "XN-35")
_OUT_OF_SALE = {(0, 2), (3, 0), (6, 2)}
PRODUCTS: tuple[tuple[str, str, str, str, str, str], ...] = tuple(
    (
        f"CP{at * 3 + size + 1:03d}",
        f"{name} {model}",
        kind,
        unit,
        str(Decimal(price) * (size + 1)),
        "否" if (at, size) in _OUT_OF_SALE else "是",
    )
    for at, (name, kind, unit, price) in enumerate(_MODELS)
    for size, model in enumerate(_SIZES)
)
"""The product list: number, name, category, unit, price, whether it is on sale."""


def campaigns(accounts: int, seed: int) -> list[Cells]:
    """Campaigns with their cost; days as day/month/year."""
    rng = Random(f"{seed}/campaigns")  # noqa: S311 - made-up data, no secrets
    kinds = ("展会", "技术研讨会", "线上推广", "客户拜访日")
    rows: list[Cells] = []
    for at in range(1, 13 + accounts // 5_000):
        starts = date(2025, 1, 10) + timedelta(days=rng.randrange(500))
        ends = starts + timedelta(days=rng.randrange(1, 5))
        kind, region = rng.choice(kinds), rng.choice(words.REGIONS)
        cost = f"{rng.randrange(5, 200) * 1000:,.2f}"
        rows.append(
            (
                f"HD-M{at:04d}",
                f"{starts:%Y}{region}{kind}",
                kind,
                f"{region}区",
                f"{starts:%d/%m/%Y}",
                f"{ends:%d/%m/%Y}",
                cost,
            )
        )
    return rows
