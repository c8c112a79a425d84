"""Text: width, white space, control characters, placeholders; company names and the key they are matched by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from rollout.mapping.transforms_base import Coded, TransformContext, by_scalar, matches, pending
from rollout.model.base import Frozen

ArrayFunction = Callable[[Any], Any]

_KEPT_WIDE = set("！（），：；？")
"""Full-width punctuation that Chinese text is written with: no typing slip, so it stays."""


def _fold_table() -> dict[int, str | None]:
    """Code point → what it becomes. Only changes that nobody would call a change of the content.

    NFKC as a whole would turn ㎡ into m2 and ① into 1; here are its useful parts: full-width letters, digits and signs,
    half-width katakana and hangul, compatibility ideographs and radicals (as copied out of PDFs), and white space.
    """
    table: dict[int, str | None] = {}
    spans = ((0x2E80, 0x2FDF), (0xF900, 0xFAFF), (0xFF01, 0xFFEE), (0x2F800, 0x2FA1F))
    for first, last in spans:
        for code in range(first, last + 1):
            folded = unicodedata.normalize("NFKC", chr(code))
            if folded != chr(code) and chr(code) not in _KEPT_WIDE:
                table[code] = folded
    for code in (*range(0x20), *range(0x7F, 0xA0)):
        table[code] = None
    for code in (
        0xAD,
        0x200B,
        0x200E,
        0x200F,
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x206A),
        0xFEFF,
    ):
        table[code] = None
    for code in (0x09, 0x0B, 0x0C, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000):
        table[code] = " "
    for code in (0x0A, 0x0D, 0x85, 0x2028, 0x2029):
        table[code] = "\n"
    return table


_FOLD = _fold_table()
_TIDY = (
    r"[!-~¡-¬®-ſ\x{2010}-\x{2027}\x{2030}-\x{205E}\x{3001}-\x{3029}\x{3041}-\x{3096}\x{30A1}-\x{30FA}"
    r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{FF01}\x{FF08}\x{FF09}\x{FF0C}\x{FF1A}\x{FF1B}\x{FF1F}]"
)
TIDY_PATTERN = f"^(?:{_TIDY}+ )*{_TIDY}+$"
"""RE2: text that tidying leaves as it is. Characters outside are not wrong, they only take the slower way."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


@lru_cache(maxsize=65_536)
def tidy_one(text: str) -> tuple[str | None, str | None]:
    """Tidy one cell; line breaks between lines that hold something stay."""
    folded = unicodedata.normalize("NFC", text.translate(_FOLD))
    lines = (" ".join(line.split()) for line in folded.split("\n"))
    return "\n".join(line for line in lines if line) or None, "control_characters" if _CONTROL.search(text) else None


def tidy(values: Any, context: TransformContext) -> Coded:
    """The first step of every chain: width, white space, control characters; placeholders become null."""
    coded = by_scalar(values, tidy_one, pending(values, matches(values, TIDY_PATTERN)))
    if not context.placeholders:
        return coded
    empty = pc.is_in(coded.values, value_set=_placeholder_set(context.placeholders))
    tidied = pc.if_else(empty, pa.scalar(None, pa.string()), coded.values)
    # A cell of nothing but control characters or a placeholder is no value: nothing to report.
    codes = None if coded.codes is None else pc.if_else(pc.is_null(tidied), pa.scalar(None, pa.string()), coded.codes)
    return Coded(tidied, codes)


@lru_cache(maxsize=32)
def _placeholder_set(placeholders: tuple[str, ...]) -> Any:
    return pa.array(placeholder_spellings(placeholders), pa.string())


def placeholder_spellings(placeholders: tuple[str, ...]) -> list[str]:
    """The placeholders in the spellings people use: as declared, upper, lower and title case."""
    return sorted({spelling for text in placeholders for spelling in (text, text.upper(), text.lower(), text.title())})


def lookup_key(text: str) -> str:
    """How a cell is compared with the keys of a value map or owner map: tidied, one line, without regard to case."""
    tidied, _ = tidy_one(text)
    return (tidied or "").replace("\n", " ").casefold()


def one_line(values: Any) -> Any:
    """Line breaks become spaces."""
    if not pc.any(pc.match_substring(values, "\n")).as_py():
        return values
    return pc.replace_substring(values, "\n", " ")


class TextArgs(Frozen):
    """Arguments of `text`."""

    multiline: bool = Field(default=False, description="Keep line breaks.")


def text(values: Any, args: TextArgs, _: TransformContext) -> Coded:
    """Tidied text; cells that a spreadsheet would take for a formula are kept and remarked."""
    kept = values if args.multiline else one_line(values)
    # A signed number or a phone number is none; "-5%返点" is one to a spreadsheet.
    formula = matches(kept, r"^(?:[=@]|[+-].*[^0-9 .,()%/-])")
    if not pc.any(formula).as_py():
        return Coded(kept)
    return Coded(kept, pc.if_else(formula, pa.scalar("formula_like"), pa.scalar(None, pa.string())))


def upper(values: Any, _: Frozen, __: TransformContext) -> Coded:
    """Upper case."""
    return Coded(pc.utf8_upper(values))


_HAN = r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}"
# Brackets, spaces and trailing stops are what company names differ by; a name without any is in order.
_PLAIN_NAME = r"^[^()（）〔〕﹙﹚ \n。,，、;；]+$"
_TIGHT = rf"([{_HAN}（）]) ([{_HAN}（）])"


def company_name(values: Any, _: Frozen, __: TransformContext) -> Coded:
    """Company name: brackets （） in Chinese names, () in others, no spaces between Chinese characters.

    The wording is not touched: 有限责任公司 stays what it is.
    """
    todo = pending(values, matches(values, _PLAIN_NAME))
    names = pc.replace_substring_regex(one_line(values).filter(todo), r"[。，、；; ]+$", "")
    names = _apart(names, f"[{_HAN}]", _chinese_name, _other_name)
    blank = pc.equal(names, "")
    out = pc.replace_with_mask(values, todo, pc.if_else(blank, pa.scalar(None, pa.string()), names))
    if not pc.any(blank).as_py():
        return Coded(out)
    lost = pc.and_(pc.is_null(out), pc.is_valid(values))
    return Coded(out, pc.if_else(lost, pa.scalar("company_name_empty"), pa.scalar(None, pa.string())))


def _chinese_name(names: Any) -> Any:
    for bracket, wide in zip("(〔﹙)〕﹚", "（（（）））", strict=True):
        names = pc.replace_substring(names, bracket, wide)
    # Twice: of the spaces on both sides of one character a pass only sees the first.
    return _apart(
        names, " ", lambda spaced: _replaced(spaced, (_TIGHT, r"\1\2"), (_TIGHT, r"\1\2"), (r" ?([（）]) ?", r"\1"))
    )


def _other_name(names: Any) -> Any:
    return _replaced(names, (r"[（〔﹙]", "("), (r"[）〕﹚]", ")"), (r"\( ", "("), (r" \)", ")"))


def _replaced(values: Any, *replacements: tuple[str, str]) -> Any:
    for pattern, replacement in replacements:
        values = pc.replace_substring_regex(values, pattern, replacement)
    return values


def _apart(values: Any, pattern: str, matching: ArrayFunction, other: ArrayFunction | None = None) -> Any:
    """One function over the values that match (no nulls), another over those that do not."""
    found = matches(values, pattern)
    out = pc.replace_with_mask(values, found, matching(values.filter(found)))
    if other is None:
        return out
    rest = pc.invert(found)
    return pc.replace_with_mask(out, rest, other(values.filter(rest)))


_LEGAL_FORMS = (
    (r"有限责任公司", "有限公司"),
    (r"股份公司$", "股份有限公司"),
    (r"\b(?:company|co)\b[\s.,]*\b(?:limited|ltd)\b", "coltd"),
    (r"\blimited\b", "ltd"),
    (r"\bcorporation\b", "corp"),
    (r"\bincorporated\b", "inc"),
)
_BARE_FORM = r"^(?:股份|集团)?(?:有限公司|股份有限公司|公司|coltd|ltd|corp|inc)?$"


def company_match_key(values: Any, _: Frozen, __: TransformContext) -> Coded:
    """What two spellings of one company name have in common; for matching only, never loaded.

    Case, width, brackets, spaces and punctuation do not count, nor does the spelling of the legal form
    (有限责任公司 = 有限公司, Co., Ltd. = Company Limited). A bare legal form is no name and gives null.
    """
    # Lower case first, wide signs then: lower-casing never makes new ones.
    key = pc.utf8_lower(one_line(values))
    for pattern, form in _LEGAL_FORMS:
        key = pc.replace_substring_regex(key, pattern, form)
    key = pc.replace_substring_regex(key, r"[^\pL\pN]+", "")
    return Coded(pc.if_else(matches(key, _BARE_FORM), pa.scalar(None, pa.string()), key))
