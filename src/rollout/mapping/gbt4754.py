"""Industry classes of GB/T 4754-2017: sections A to T, divisions 01 to 97; groups and classes by their shape."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from rollout.mapping.transforms_base import Coded, TransformContext, by_scalar
from rollout.model.base import Frozen

SECTIONS = {
    "A": ("农、林、牧、渔业", 1, 5),
    "B": ("采矿业", 6, 12),
    "C": ("制造业", 13, 43),
    "D": ("电力、热力、燃气及水生产和供应业", 44, 46),
    "E": ("建筑业", 47, 50),
    "F": ("批发和零售业", 51, 52),
    "G": ("交通运输、仓储和邮政业", 53, 60),
    "H": ("住宿和餐饮业", 61, 62),
    "I": ("信息传输、软件和信息技术服务业", 63, 65),
    "J": ("金融业", 66, 69),
    "K": ("房地产业", 70, 70),
    "L": ("租赁和商务服务业", 71, 72),
    "M": ("科学研究和技术服务业", 73, 75),
    "N": ("水利、环境和公共设施管理业", 76, 79),
    "O": ("居民服务、修理和其他服务业", 80, 82),
    "P": ("教育", 83, 83),
    "Q": ("卫生和社会工作", 84, 85),
    "R": ("文化、体育和娱乐业", 86, 90),
    "S": ("公共管理、社会保障和社会组织", 91, 96),
    "T": ("国际组织", 97, 97),
}
"""Section → its name, first and last division."""

MANUFACTURING = {
    13: "农副食品加工业",
    14: "食品制造业",
    15: "酒、饮料和精制茶制造业",
    16: "烟草制品业",
    17: "纺织业",
    18: "纺织服装、服饰业",
    19: "皮革、毛皮、羽毛及其制品和制鞋业",
    20: "木材加工和木、竹、藤、棕、草制品业",
    21: "家具制造业",
    22: "造纸和纸制品业",
    23: "印刷和记录媒介复制业",
    24: "文教、工美、体育和娱乐用品制造业",
    25: "石油、煤炭及其他燃料加工业",
    26: "化学原料和化学制品制造业",
    27: "医药制造业",
    28: "化学纤维制造业",
    29: "橡胶和塑料制品业",
    30: "非金属矿物制品业",
    31: "黑色金属冶炼和压延加工业",
    32: "有色金属冶炼和压延加工业",
    33: "金属制品业",
    34: "通用设备制造业",
    35: "专用设备制造业",
    36: "汽车制造业",
    37: "铁路、船舶、航空航天和其他运输设备制造业",
    38: "电气机械和器材制造业",
    39: "计算机、通信和其他电子设备制造业",
    40: "仪器仪表制造业",
    41: "其他制造业",
    42: "废弃资源综合利用业",
    43: "金属制品、机械和设备修理业",
}
"""Divisions of section C by name: what the customers of manufacturers are."""

_CODE = re.compile(r"([A-T])?(\d{2}|\d{3}|\d{4})|([A-T])", re.ASCII)
_NAMES = {name: section for section, (name, _, _) in SECTIONS.items()} | {
    name: f"C{division}" for division, name in MANUFACTURING.items()
}
_SECTION_OF = {
    division: section for section, (_, first, last) in SECTIONS.items() for division in range(first, last + 1)
}


class IndustryArgs(Frozen):
    """Arguments of `gbt4754`."""

    level: Literal["any", "section", "division"] = Field(
        default="any",
        description="section: C; division: C35; any: the code as deep as it was given. Deeper codes are cut to it.",
    )


def gbt4754(values: Any, args: IndustryArgs, _: TransformContext) -> Coded:
    """Class of GB/T 4754-2017 as section letter and digits (C35, C3511); names of sections and of section C's too.

    Sections and divisions are those of the standard; of groups and classes only the shape is checked.
    """
    return by_scalar(values, lambda cell: industry_one(cell, args.level))


@lru_cache(maxsize=8_192)
def industry_one(cell: str, level: str = "any") -> tuple[str | None, str | None]:
    """One class."""
    text = cell.replace("\n", " ").strip()
    found = _CODE.fullmatch(_NAMES.get(text, text).replace(" ", "").upper())
    if not found:
        return None, "industry_invalid"
    letter, digits = found[1] or found[3], found[2]
    if digits is None:
        return (letter, None) if level != "division" else (None, "industry_too_coarse")
    section = _SECTION_OF.get(int(digits[:2]))
    if section is None or letter not in (None, section):
        return None, "industry_invalid"
    return {"section": section, "division": section + digits[:2]}.get(level, section + digits), None
