r"""What counts as a valid value while assessing, as DuckDB SQL over one column: every row is judged, none sampled.

These rules are quick and a little coarser than cleansing, whose normalisers (phonenumbers, stdnum, email-validator)
decide in the end; USCC check digits and calendar dates are exact here too. Regular expressions are RE2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import phonenumbers

from rollout.model.entity import FieldSpec, FieldType

WHITESPACE = " \t\r\n\u00a0\u3000"
"""Stripped from both ends of a cell before anything is judged."""

CONTROL = r"[\x00-\x1f\x7f-\x9f\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}\x{feff}\x{fffd}]"
"""Control, line-break and invisible characters, and the replacement character of a wrong decoding."""

FULL_WIDTH = r"[\x{ff10}-\x{ff19}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}]"
"""Full-width digits and letters; full-width punctuation belongs to Chinese text."""

WIDE, NARROW = (
    "".join(chr(first + place) for first, count in runs for place in range(count))
    for runs in (
        ((0xFF0B, 1), (0xFF0D, 14), (0xFF21, 26), (0xFF41, 26)),
        ((0x2B, 1), (0x2D, 14), (0x41, 26), (0x61, 26)),
    )
)
"""Full-width letters, digits and ``+ - . / :``, and what normalisers make of them before they judge."""

ODD = rf"^[ \x{{a0}}\x{{3000}}]|[ \x{{a0}}\x{{3000}}]$|{CONTROL}|{FULL_WIDTH}"
"""What most cells are free of: only cells that match are stripped and looked at more closely."""

_MOBILE = r"1[3-9]\d{9}"
_FIXED = r"[1-9]\d{1,2}[2-9]\d{6,7}"
_CHINA = rf"(?:(?:\+|00)?86)?(?:{_MOBILE}|0{_FIXED})|(?:\+|00)86{_FIXED}|(?:\+?86)?[48]00\d{{7}}"
_ABROAD = r"(?:\+|00)(?:[1-79]\d{6,13}|8[0-57-9]\d{5,12})"
_EXTENSION = r"(?:(?:转|分机|ext\.?|x|#|;ext=)\d{1,6})?"
_EMAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}"
_DAY = r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?"
_CHINESE_DATE = r"\d+年\d+月(?:\d+日)?"
_MIXED_RUN = r"(?:\d+[A-Za-z]|[A-Za-z]+\d)[0-9A-Za-z]*"
_INTEGER = r"[+-]?\d+(?:\.0*)?"
_DECIMAL = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_COMPACT_DAY = r"\d{8}"
_SERIAL_DAY = r"\d{5}(?:\.\d+)?"
_SIGNED_NUMBER = r"[+-][\d(][\d ().,/-]*%?"
_TIME = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_USCC = r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}"
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_TRUE_FALSE = ("true", "false", "yes", "no", "y", "n", "t", "f", "1", "0", "是", "否", "√", "×")


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def one_of(column: str, values: Iterable[str]) -> str:
    """Whether a column's value is in a list; an empty list holds nothing."""
    listed = ", ".join(literal(value) for value in values)
    return f"{column} IN ({listed})" if listed else "false"


def matches(column: str, pattern: str) -> str:
    """Whether the whole value matches."""
    return f"regexp_full_match({column}, {literal(pattern)})"


def validity(spec: FieldSpec, *, phone_region: str) -> Callable[[str], str] | None:
    """Tells whether filled values fit the field's type.

    Args:
        spec: The mapped field.
        phone_region: Region of numbers without country code; outside CN only the number of digits is judged, by what
            the region's numbering plan allows with an area code.

    Returns:
        A function from an SQL expression (the trimmed value) to a boolean SQL expression that is never false for
        null, or None for types without a rule of their own (text, references).
    """
    checks: dict[FieldType, Callable[[str], str]] = {
        FieldType.PHONE: lambda column: _phone(column, phone_region),
        FieldType.EMAIL: lambda column: matches(column, _EMAIL),
        FieldType.DATE: _date,
        FieldType.DATETIME: _date,
        FieldType.USCC: _uscc,
        FieldType.INTEGER: lambda column: matches(_digits_only(column), _INTEGER),
        FieldType.DECIMAL: lambda column: matches(_digits_only(column), _DECIMAL),
        FieldType.BOOLEAN: lambda column: one_of(f"lower({column})", _TRUE_FALSE),
        FieldType.PICKLIST: lambda column: one_of(column, spec.picklist),
    }
    return checks.get(spec.type)


def formula(column: str) -> str:
    """Whether a spreadsheet would run the cell: it starts with ``= + - @`` and is not just a signed number or phone."""
    number = matches(column, _SIGNED_NUMBER)
    return f"(CASE WHEN left({column}, 1) IN ('=', '+', '-', '@') THEN NOT {number} ELSE false END)"


def pattern(column: str) -> str:
    """The pattern class of a value, as SQL text.

    Values with Chinese letters or an ``@`` are reduced to runs (``中``, ``9…``, ``a…``); a single run of mixed letters
    and digits becomes ``X{length}``; everything else keeps its digits one by one, so that lengths show.
    """
    digits = f"translate({column}, '012345678０１２３４５６７８', '999999999９９９９９９９９９')"
    shape = f"regexp_replace({digits}, '[A-Za-z]', 'A', 'g')"
    letters = f"regexp_replace({shape}, 'A+', 'a…', 'g')"
    runs = f"regexp_replace(regexp_replace({letters}, '9+', '9…', 'g'), '\\p{{Han}}+', '中', 'g')"
    return (
        f"CASE WHEN contains({column}, '@') THEN regexp_replace({column}, '[^@.]+', 'a…', 'g') "
        f"WHEN {matches(column, _CHINESE_DATE)} THEN {shape} "
        f"WHEN {matches(column, _MIXED_RUN)} "
        f"THEN 'X{{' || length({column}) || '}}' "
        f"WHEN regexp_matches({column}, '\\p{{Han}}') THEN {runs} "
        f"ELSE {letters} END"
    )


def _digits_only(column: str) -> str:
    return f"translate({column}, ',， ¥￥$', '')"


def _phone(column: str, region: str) -> str:
    bare = f"lower(translate({column}, ' -()（）.　', ''))"
    national = _CHINA if region == "CN" else _national(region)
    return matches(bare, f"(?:{national}|{_ABROAD}){_EXTENSION}")


def _national(region: str) -> str:
    """Numbers of a region that can be dialled from anywhere in it, with or without country code or trunk prefix."""
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return r"\d{7,15}"
    lengths = "|".join(rf"\d{{{length}}}" for length in metadata.general_desc.possible_length)
    trunk = f"(?:{re.escape(metadata.national_prefix)})?" if metadata.national_prefix else ""
    own = rf"(?:(?:\+|00)?{metadata.country_code})?{trunk}(?:{lengths})"
    return rf"{own}|(?:\+|00)86(?:{_MOBILE}|{_FIXED})"


def _date(column: str) -> str:
    day = f"regexp_extract({column}, {literal('^' + _DAY)})"
    return (
        f"(CASE WHEN {matches(column, _COMPACT_DAY)} THEN try_strptime({column}, '%Y%m%d') IS NOT NULL "
        # A spreadsheet's serial: 10000 is 1927-05-18, 73050 is 2099-12-31.
        f"WHEN {matches(column, _SERIAL_DAY)} THEN TRY_CAST({column} AS DOUBLE) BETWEEN 10000 AND 73050 "
        f"WHEN {matches(column, _DAY + _TIME)} THEN TRY_CAST(translate({day}, '年月/.日', '----') AS DATE) IS NOT NULL "
        f"ELSE {column} IS NULL END)"
    )


def _uscc(column: str) -> str:
    code = f"upper(translate({column}, ' -', ''))"
    weighted = [
        f"{pow(3, place, 31)} * (instr({literal(_USCC_ALPHABET)}, {code}[{place + 1}]) - 1)" for place in range(17)
    ]
    check = f"instr({literal(_USCC_ALPHABET)}, {code}[18]) - 1"
    return (
        f"(CASE WHEN {matches(code, _USCC)} THEN ({' + '.join(weighted)} + {check}) % 31 = 0 ELSE {column} IS NULL END)"
    )
