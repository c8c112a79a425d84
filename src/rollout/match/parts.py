"""What values are compared by: each kind of field is made into a few columns of text (its parts). Column-wise.

Values are canonical text by then (`rollout.model.entity`); parts only go further where spellings may still differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rollout.mapping.transforms_base import by_scalar, matches
from rollout.match.company_name import HAN, folded, sound, split, strip_places

Parts = dict[str, Any]
"""Arrow columns by the part's name."""
PartsFunction = Callable[[Any], Parts]

_ROAD_WORDS = {
    "street": "st",
    "avenue": "ave",
    "av": "ave",
    "boulevard": "blvd",
    "road": "rd",
    "drive": "dr",
    "lane": "ln",
    "court": "ct",
    "place": "pl",
    "parkway": "pkwy",
    "highway": "hwy",
    "square": "sq",
    "terrace": "ter",
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "saint": "st",
    "floor": "fl",
    "suite": "ste",
    "crescent": "cres",
    "circuit": "cct",
}
_UNIT_WORDS = frozenset({"ste", "apt", "unit", "room", "rm", "fl", "no"})
_DISTRICT = re.compile("^[\u4e00-\u9fff]{1,4}?(?:自治县|新区|[区县旗])(?!间)")
_ROAD_SIGNS = frozenset("路街道巷里弄村镇乡桥")


def company_name_parts(values: Any) -> Parts:
    """Place, brand, trade, legal form and branch, and how the brand sounds."""
    parts = split(values)
    return {**parts, "sound": sound(parts["brand"])}


def person_name_parts(values: Any) -> Parts:
    """Letters alone, and how they sound."""
    key = _nothing(pc.replace_substring_regex(folded(values), r"[^\pL\pN]+", ""))
    return {"key": key, "sound": sound(key), "initial": pc.utf8_slice_codeunits(key, 0, 1)}


def phone_parts(values: Any) -> Parts:
    """Digits without extension, and the last seven of them, which stay when an area code is left out."""
    number = _nothing(pc.replace_substring_regex(pc.replace_substring_regex(values, ";ext=.*$", ""), "[^0-9]+", ""))
    return {"number": number, "tail": pc.utf8_slice_codeunits(number, -7)}


def email_parts(values: Any) -> Parts:
    """The address, and what stands before the @."""
    key = pc.utf8_lower(values)
    return {"key": key, "local": _nothing(pc.replace_substring_regex(key, "@.*$", ""))}


def code_parts(values: Any) -> Parts:
    """Letters and digits in upper case."""
    return {"key": _nothing(pc.replace_substring_regex(pc.utf8_upper(values), r"[^\pL\pN]+", ""))}


def date_parts(values: Any) -> Parts:
    """Year, month and day of `YYYY-MM-DD…`, or of `YYYYMMDD`."""
    key = pc.utf8_slice_codeunits(pc.replace_substring_regex(values, "[^0-9]+", ""), 0, 8)
    year, month, day = (pc.utf8_slice_codeunits(key, start, end) for start, end in ((0, 4), (4, 6), (6, 8)))
    return {"key": _nothing(key), "year": year, "month": month, "day": day}


def exact_parts(values: Any) -> Parts:
    """The value as it is."""
    return {"key": values}


def text_parts(values: Any) -> Parts:
    """Words in lower case; each Chinese character counts as one. Which are rare is known once all rows are there."""
    words = _words(values)
    tokens = pc.utf8_split_whitespace(words)
    return {"key": _nothing(words), "tokens": tokens, "rare": tokens}


def address_parts(values: Any) -> Parts:
    """House numbers and the rest apart; without province, city and district, which many leave out."""
    text = folded(values)
    chinese = matches(text, f"[{HAN}]")
    text = by_scalar(text, _local, chinese).values
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, r"[^\pL\pN]+", " "))
    words = by_scalar(words, _short_road_words, pc.and_(pc.is_valid(words), pc.invert(chinese))).values
    apart = pc.replace_substring_regex(words, "([0-9]+)", r" \1 ")
    numbers = _nothing(pc.utf8_trim_whitespace(pc.replace_substring_regex(apart, "[^0-9]+", " ")))
    street = _nothing(pc.replace_substring_regex(words, "[0-9 ]+", ""))
    first = pc.replace_substring_regex(numbers, " .*$", "")
    return {
        "key": _nothing(words),
        "numbers": numbers,
        "first": first,
        "street": street,
        "door": pc.binary_join_element_wise(first, pc.utf8_slice_codeunits(street, 0, 4), "|"),
    }


def _local(address: str) -> tuple[str, None]:
    """A Chinese address from the street on: people leave out what stands before it, or some of it."""
    place, rest = strip_places(address.removeprefix("中国"))
    if place is None or rest[0] in _ROAD_SIGNS:  # 南京路 is no place in 南京
        rest = address
    district = _DISTRICT.match(rest)
    return rest[district.end() :] if district and district.end() < len(rest) else rest, None


def _short_road_words(words: str) -> tuple[str, None]:
    """One spelling of directions and kinds of roads; words before a unit's number left out."""
    return " ".join(short for word in words.split() if (short := _ROAD_WORDS.get(word, word)) not in _UNIT_WORDS), None


def _words(values: Any) -> Any:
    spaced = pc.replace_substring_regex(folded(values), f"([{HAN}])", r" \1 ")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(spaced, r"[^\pL\pN]+", " "))


def _nothing(values: Any) -> Any:
    """Empty text is no value."""
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
