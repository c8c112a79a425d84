r"""What is odd about the characters of a cell, and its pattern class, as DuckDB SQL over one column.

Whether a value is valid is not decided here but by the mapping itself (`rollout.assess.judge`). Regular expressions are
RE2.
"""

from __future__ import annotations

from collections.abc import Iterable

WHITESPACE = " \t\r\n\u00a0\u3000"
"""Stripped from both ends of a cell before anything is judged."""

CONTROL = r"[\x00-\x1f\x7f-\x9f\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}\x{feff}\x{fffd}]"
"""Control, line-break and invisible characters, and the replacement character of a wrong decoding."""

FULL_WIDTH = r"[\x{ff10}-\x{ff19}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}]"
"""Full-width digits and letters; full-width punctuation belongs to Chinese text."""

ODD = rf"^[ \x{{a0}}\x{{3000}}]|[ \x{{a0}}\x{{3000}}]$|{CONTROL}|{FULL_WIDTH}"
"""What most cells are free of: only cells that match are stripped and looked at more closely."""

_CHINESE_DATE = r"\d+年\d+月(?:\d+日)?"
_MIXED_RUN = r"(?:\d+[A-Za-z]|[A-Za-z]+\d)[0-9A-Za-z]*"
_SIGNED_NUMBER = r"[+-][\d(][\d ().,/-]*%?"


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def one_of(column: str, values: Iterable[str]) -> str:
    """Whether a column's value is in a list; an empty list holds nothing."""
    listed = ", ".join(literal(value) for value in values)
    return f"{column} IN ({listed})" if listed else "false"


def matches(column: str, pattern: str) -> str:
    """Whether the whole value matches."""
    return f"regexp_full_match({column}, {literal(pattern)})"


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
