"""A company's name taken apart: place, brand, trade, legal form, branch. For matching only.

``杭州恒泰精密机械有限责任公司苏州分公司`` → place 杭州, brand 恒泰, trade 精密机械, form 有限公司, branch 苏州分公司.
Names in Latin letters have a brand, which is all words but the legal form.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from rollout.mapping.transforms_base import by_scalar, matches
from rollout.match.places import COUNTIES, PROVINCE_OF
from rollout.match.trades import TRADES

HAN = r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}"
_LEAST_BRAND = 2
_PLACE_STARTS, _TRADE_ENDS = frozenset(name[:2] for name in PROVINCE_OF), frozenset(word[-2:] for word in TRADES)
_LONGEST_TRADE, _LONGEST_PLACE = max(map(len, TRADES)), max(map(len, PROVINCE_OF))
_FORM = re.compile(
    r"(?:(?:集团)?(?:股份)?有限(?:责任)?公司|集团股份公司|股份公司|集团公司|总公司|公司|集团|合伙企业|个体工商户|总厂|工厂|厂|商行|"
    r"经营部|门市部|事务所|研究院|研究所|设计院|医院|学校|合作社|中心)$"
)
_BRANCHES = r"分公司|子公司|分厂|分店|分部|分院|分中心|办事处|营业部|经营部|门市部|项目部|销售部|支行|分行"
_OF_BRANCH = re.compile(rf"^(?P<head>.{{2,}}?(?:公司|集团|厂|院|所|中心))\(?(?P<branch>[^()]*?(?:{_BRANCHES}))\)?$")
_REMARK = re.compile(r"\(([^()]*)\)?")
_RANK = re.compile(r"特别行政区|自治区|[省市]")
_DISTRICT = re.compile(r"^(?:高新区|经济开发区|开发区|新区|[县区])")
_LATIN_FORM = re.compile(
    r"(?:\b(?:co|company|corp|corporation|inc|incorporated|ltd|limited|llc|llp|plc|gmbh|ag|sa|bv|pte|pty|kg|srl|spa|oy|ab)"
    r"\b[ .,&]*)+$"
)
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_SIGNS = re.compile(r"[\W_]+")


class NameParts(NamedTuple):
    """Parts of one name; None where it has no such part."""

    key: str | None
    """The whole name without punctuation, with one spelling of the legal form."""
    brand: str | None
    place: str | None
    """The most exact one: 浙江省杭州市 → 杭州."""
    province: str | None
    city: str | None
    """The place where it is a city of its own: neither a whole province nor a part of another city."""
    trade: str | None
    form: str | None
    branch: str | None


NO_PARTS = NameParts(*[None] * 8)


def split(names: Any) -> dict[str, Any]:
    """Take a column of names (Arrow text) apart: a column for each field of `NameParts`."""
    encoded = folded(names).dictionary_encode()
    parts = [NO_PARTS if name is None else split_one(name) for name in encoded.dictionary.to_pylist()]
    columns = zip(*parts, strict=True) if parts else ((),) * len(NameParts._fields)
    return {
        name: pa.array(column, pa.string()).take(encoded.indices)
        for name, column in zip(NameParts._fields, columns, strict=True)
    }


def split_one(name: str) -> NameParts:
    """Take one name apart that `folded` has been through."""
    if not _CHINESE.search(name):
        brand = _SIGNS.sub(" ", _LATIN_FORM.sub("", name)).strip()
        return NameParts(_SIGNS.sub("", name) or None, brand or None, None, None, None, None, None, None)
    name = name.replace("有限责任公司", "有限公司")
    key = _SIGNS.sub("", name)
    branch = None
    if found := _OF_BRANCH.match(name):
        name, branch = found["head"], found["branch"]
    inner = None
    if "(" in name:
        inner = next((place for remark in _REMARK.findall(name) if (place := _whole_place(remark))), None)
        name = _REMARK.sub("", name)
    name = _SIGNS.sub("", name)
    form = _FORM.search(name)
    stem = name[: form.start()] if form else name
    place, rest = strip_places(stem)
    brand, trade = _strip_trades(rest)
    if place and brand in TRADES:  # 永康机械厂: the place is all it is called by
        brand, trade, place = place, rest, None
    place = inner or place
    province = PROVINCE_OF.get(place or "")
    return NameParts(
        key=key,
        brand=brand or None,
        place=place,
        province=province,
        city=None if place == province or place in COUNTIES else place,
        trade=trade or None,
        form=form.group() if form else None,
        branch=branch,
    )


def _whole_place(text: str) -> str | None:
    plain = _RANK.sub("", text)
    return plain if plain in PROVINCE_OF else None


def strip_places(text: str) -> tuple[str | None, str]:
    """The last of the places that a name begins with, and what comes after; at least two characters are left."""
    place = None
    while (found := _leading_place(text)) is not None:
        rest = text[len(found) :]
        rank = _RANK.match(rest)
        rest = rest[rank.end() :] if rank else rest
        if len(rest) < _LEAST_BRAND:
            break
        place, text = found, rest
    district = _DISTRICT.match(text) if place else None
    return place, text[district.end() :] if district and len(text) - district.end() >= _LEAST_BRAND else text


def _leading_place(text: str) -> str | None:
    if text[:2] not in _PLACE_STARTS:
        return None
    return next((text[:size] for size in range(_LONGEST_PLACE, 1, -1) if text[:size] in PROVINCE_OF), None)


def _strip_trades(text: str) -> tuple[str, str]:
    """Brand, and the words of trade at the end; at least two characters are the brand."""
    end = len(text)
    while text[end - 2 : end] in _TRADE_ENDS:
        longest = min(_LONGEST_TRADE, end - _LEAST_BRAND)
        size = next((size for size in range(longest, 1, -1) if text[end - size : end] in TRADES), 0)
        if not size:
            break
        end -= size
    return text[:end], text[end:]


def folded(values: Any) -> Any:
    """Text in simplified characters, lower case and half-width brackets, without spaces between Chinese characters."""
    text = simplified(pc.utf8_lower(pc.utf8_normalize(values, "NFKC")))
    for pattern, new in ((r"[〔﹙【\[]", "("), (r"[〕﹚】\]]", ")"), (r"\s+", " ")):
        text = pc.replace_substring_regex(text, pattern, new)
    spaced = matches(text, f"[{HAN}] | [{HAN}]")
    tight = pc.replace_substring(text.filter(spaced), " ", "")
    return pc.replace_with_mask(text, spaced, tight)


def simplified(values: Any) -> Any:
    """Traditional characters as simplified ones. Only cells that hold some are touched."""
    return by_scalar(values, _simplify, matches(values, _traditional_pattern())).values


def sound(values: Any) -> Any:
    """Pinyin without tones of each character (its commonest reading), for cells of Chinese characters."""
    return by_scalar(
        values, lambda text: (" ".join(_sound_of(sign) for sign in text), None), matches(values, f"[{HAN}]")
    ).values


@cache
def _converter() -> Any:
    import opencc  # noqa: PLC0415 - heavy; only matching needs it

    return opencc.OpenCC("t2s")


def _simplify(text: str) -> tuple[str, None]:
    return _converter().convert(text), None


@cache
def _traditional_pattern() -> str:
    """A class of all characters that simplifying changes."""
    signs = [chr(code) for code in range(0x4E00, 0xA000)]
    return "[" + "".join(sign for sign in signs if _converter().convert(sign) != sign) + "]"


@cache
def _sound_of(sign: str) -> str:
    from pypinyin import lazy_pinyin  # noqa: PLC0415 - heavy; only matching needs it

    return str(lazy_pinyin(sign)[0])
