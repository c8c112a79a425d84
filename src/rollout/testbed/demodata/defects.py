"""What is planted, how often, and what it looks like.

A `Defect` changes one cell of one row. `lost` defects cost the row its place in the CRM (it ends in quarantine):
together they stay near 2 % of the customers, so that coverage holds. All others are put right or dropped by cleansing,
but for owners nobody knows: their customers wait until the owner map is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from random import Random

from rollout.testbed.demodata.codes import ALPHABET
from rollout.testbed.demodata.vocabulary import LEAVERS, UNKNOWN_OWNERS

Rng = Random
FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
"""Digits as Chinese input methods write them in full width."""
MIN_ROWS = 200
"""The smallest data set; below, as in a last block, a share may come to nothing."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of planted defect."""

    code: str
    field: str
    """Source column."""
    share: float
    """Of the rows."""
    spoil: Callable[[str, Rng], str | None]
    lost: bool = False
    """The row cannot be loaded."""
    region: str = ""
    """Only rows of this sales region."""


def planned(share: float, rows: int) -> int:
    """How many of ``rows`` rows are hit: the share, and at least one wherever there are enough rows to see it."""
    return max(floor(rows * share), 1 if rows >= MIN_ROWS else 0)


def _wrong_check_digit(code: str, rng: Rng) -> str:
    right = ALPHABET.index(code[-1])
    return code[:-1] + ALPHABET[(right + rng.randrange(1, 31)) % 31]


def _scientific(code: str, _: Rng) -> str:
    """What Excel makes of a code that happens to be all digits (the letters of ours are taken as such)."""
    digits = "".join(character if character.isdigit() else str(ord(character) % 10) for character in code)
    return f"{digits[0]}.{digits[1:6]}E+17"


def _nothing(_: str, __: Rng) -> None:
    return None


def _spaced(phone: str, _: Rng) -> str:
    if phone.startswith("0"):
        return f" {phone} "
    return f"{phone[:3]} {phone[3:7]} {phone[7:]}"


def _country_code(phone: str, rng: Rng) -> str:
    return rng.choice(("+86 ", "0086-", "86-")) + phone.replace("-", "").lstrip("0")


def _extension(phone: str, rng: Rng) -> str:
    return phone + rng.choice(("转", "-", " 分机 ")) + str(rng.randrange(100, 900))


def _control(name: str, rng: Rng) -> str:
    return name[:2] + rng.choice(("\x07", "\x1f")) + name[2:]


def _date(separator: str) -> Callable[[str, Rng], str]:
    def rewrite(day: str, _: Rng) -> str:
        year, month, date = day.split("-")
        if separator == "年":
            return f"{year}年{int(month)}月{int(date)}日"
        return f"{year}/{int(month)}/{int(date)}" if separator else f"{year}{month}{date}"

    return rewrite


ACCOUNT_DEFECTS = (
    Defect("uscc_check_digit", "统一社会信用代码", 0.006, _wrong_check_digit, lost=True),
    Defect("uscc_scientific", "统一社会信用代码", 0.004, _scientific, lost=True),
    Defect("required_missing", "客户名称", 0.003, _nothing, lost=True),
    Defect("owner_unknown", "业务员", 0.02, lambda _, rng: rng.choice(UNKNOWN_OWNERS), region="华东"),
    Defect("owner_left", "业务员", 0.02, lambda _, rng: rng.choice(LEAVERS)),
    Defect("full_width_digits", "统一社会信用代码", 0.01, lambda code, _: code.translate(FULL_WIDTH)),
    Defect("full_width_digits", "电话", 0.02, lambda phone, _: phone.translate(FULL_WIDTH)),
    Defect("country_code", "电话", 0.03, _country_code),
    Defect("spaces", "电话", 0.03, _spaced),
    Defect("extension", "电话", 0.03, _extension),
    Defect("phone_invalid", "电话", 0.005, lambda _, rng: rng.choice(("12345", "电话见名片", "000-0000"))),
    Defect("date_slashes", "成立日期", 0.10, _date("/")),
    Defect("date_chinese", "成立日期", 0.06, _date("年")),
    Defect("date_compact", "成立日期", 0.04, _date("")),
    Defect("padding", "客户名称", 0.02, lambda name, _: f"  {name}\u3000"),
    Defect(
        "control_character", "客户名称", 0.005, lambda name, rng: name[:2] + rng.choice(("\x07", "\x1f")) + name[2:]
    ),
    Defect("line_break", "地址", 0.015, lambda address, _: f"{address}\n(二期厂房)"),
    Defect("line_break", "备注", 0.01, lambda text, _: f"{text}\r\n见合同附件"),
    Defect("formula_like", "备注", 0.005, lambda _, rng: rng.choice(("=1+1", "+促销", "@王总", "-5%返点"))),
    Defect("placeholder", "网址", 0.03, lambda _, rng: rng.choice(("无", "-", "暂无", "N/A"))),
    Defect("placeholder", "电话", 0.01, lambda _, rng: rng.choice(("无", "--", "未知"))),
    Defect("thousands_separator", "年营业额", 0.03, lambda text, _: f"{float(text):,.2f}"),
)

CONTACT_DEFECTS = (
    Defect("account_missing", "所属客户编号", 0.007, lambda _, rng: f"HD9{rng.randrange(10**7):07d}", lost=True),
    Defect("required_missing", "姓名", 0.003, _nothing, lost=True),
    Defect("full_width_digits", "手机", 0.02, lambda phone, _: phone.translate(FULL_WIDTH)),
    Defect("country_code", "手机", 0.03, _country_code),
    Defect("spaces", "手机", 0.04, _spaced),
    Defect("phone_invalid", "手机", 0.005, lambda phone, _: phone[:8]),
    Defect("email_invalid", "邮箱", 0.005, lambda address, _: address.replace("@", "#")),
    Defect("placeholder", "邮箱", 0.02, lambda _, rng: rng.choice(("无", "/", "暂无"))),
    Defect("date_slashes", "生日", 0.08, _date("/")),
    Defect("date_chinese", "生日", 0.06, _date("年")),
    Defect("padding", "姓名", 0.01, lambda name, _: f" {name} "),
)
