"""Phone numbers, e-mail addresses and unified social credit codes (USCC, GB 32100-2015)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from email_validator import EmailNotValidError, validate_email
from pydantic import Field
from stdnum.cn import uscc as stdnum_uscc

from rollout.mapping.transforms_base import Coded, TransformContext, by_scalar, matches, nulls, pending
from rollout.model.base import Frozen

SCIENTIFIC = re.compile(r"^\d(?:\.\d+)?E\+?\d{1,3}$", re.IGNORECASE)
"""What a spreadsheet makes of a long number: digits are lost for good."""


# --- phone -----------------------------------------------------------------------------------------------------------


class PhoneArgs(Frozen):
    """Arguments of `phone`."""

    region: str | None = Field(default=None, pattern="^[A-Z]{2}$", description="Of numbers without country code.")
    area_code: str | None = Field(
        default=None, pattern=r"^\d{2,5}$", description="Put before local numbers, such as 021; without: a problem."
    )


def _fixed_line_cn() -> str:
    """The library's own pattern of Chinese land lines, so that fast and slow way agree."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region("CN")
    assert metadata is not None
    assert metadata.fixed_line is not None
    return str(metadata.fixed_line.national_number_pattern)


# New mobile ranges open faster than any library follows: 11 digits from 13 to 19 are a mobile number.
_CANONICAL_CN = rf"^\+86(?:1[3-9]\d{{9}}|{_fixed_line_cn()})(?:;ext=\d{{1,6}})?$"
_PREFIX_CN = r"(?:(?:\+|00)?86[- ]?)?"
_MOBILE_CN = rf"^{_PREFIX_CN}0?(1[3-9]\d)[- ]?(\d{{4}})[- ]?(\d{{4}})(?:\.0)?$"
_LANDLINE_CN = r"^(?:(?:\+|00)?86[- ]?\(?0?|\(?0)(10|2[0-57-9]|[3-9]\d{2})\)?[- ]?([2-8]\d{3})[- ]?(\d{3,4})$"
_EXTENSION_CN = (
    r"^(?:(?:\+|00)?86[- ]?\(?0?|\(?0)(10|2[0-57-9]|[3-9]\d{2})\)?[- ]?([2-8]\d{3})[- ]?(\d{3,4})"
    r" ?(?:-|转|分机|ext\.?|x|#) ?(\d{1,6})$"
)
_MOBILE_E164 = re.compile(r"\+861[3-9]\d{9}")
_SEPARATORS = re.compile(r"[/;；、,，|\n]|或| (?=(?:\+|0|1[3-9]\d{9}))")
_DIGIT = re.compile(r"\d")
_MIN_DIGITS = 5
"""Fewer digits are an extension, a country code or a remark, no number of their own."""
_LOCAL_CN = re.compile(r"^[2-8]\d{6,7}$")
_SHORT_EXTENSION = re.compile(r"^\d{1,6}$")


def phone(values: Any, args: PhoneArgs, context: TransformContext) -> Coded:
    """E.164, extension after ``;ext=``. Of several numbers in a cell the first valid one is taken, with a remark."""
    region = args.region or context.phone_region
    area_code = args.area_code or ""
    if region != "CN":
        return by_scalar(values, lambda cell: phone_one(cell, region, area_code))
    values = pc.replace_substring_regex(values, _MOBILE_CN, r"+86\1\2\3")
    todo = pending(values, matches(values, r"^\+861[3-9]\d{9}$"))
    rest = pc.replace_substring_regex(values.filter(todo), _LANDLINE_CN, r"+86\1\2\3")
    rest = pc.replace_substring_regex(rest, _EXTENSION_CN, r"+86\1\2\3;ext=\4")
    odd = pending(rest, matches(rest, _CANONICAL_CN))
    coded = by_scalar(rest, lambda cell: phone_one(cell, region, area_code), odd)
    out = pc.replace_with_mask(values, todo, coded.values)
    return Coded(out, None if coded.codes is None else pc.replace_with_mask(nulls(len(values)), todo, coded.codes))


@lru_cache(maxsize=65_536)
def phone_one(cell: str, region: str, area_code: str = "") -> tuple[str | None, str | None]:
    """One cell that may hold one number, several, or none."""
    if SCIENTIFIC.match(cell.replace(" ", "")):
        return None, "phone_scientific"
    parts = [part.strip() for part in _SEPARATORS.split(cell) if part and len(_DIGIT.findall(part)) >= _MIN_DIGITS]
    if len(parts) <= 1:
        return _number(cell, region, area_code)
    numbers = (_number(part, region, area_code)[0] for part in parts)
    first = next((number for number in numbers if number), None)
    return (first, "phone_several") if first else (None, "phone_invalid")


def _number(text: str, region: str, area_code: str) -> tuple[str | None, str | None]:
    digits = re.sub(r"[ ()（）.\-]", "", re.sub(r"\.0$", "", text))
    if _local_only(digits, region):
        if not area_code:
            return None, "phone_no_area_code"
        text = digits = area_code + digits
    for reading in (text.replace("转", " ext ").replace("分机", " ext "), digits):
        try:
            number = phonenumbers.parse(reading, region)
        except phonenumbers.NumberParseException:
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if phonenumbers.is_valid_number(number) or _MOBILE_E164.fullmatch(e164):
            extension = number.extension if number.extension and _SHORT_EXTENSION.match(number.extension) else ""
            return f"{e164};ext={extension}" if extension else e164, None
    return None, "phone_invalid"


def _local_only(digits: str, region: str) -> bool:
    """Whether these digits can only be dialled within one area of the region."""
    if region == "CN":
        return _LOCAL_CN.match(digits) is not None
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return False
    reason = phonenumbers.is_possible_number_with_reason(number)
    return bool(reason == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY)


# --- e-mail ----------------------------------------------------------------------------------------------------------

_ORDINARY_EMAIL = r"^[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$"
_MAX_ORDINARY = 64
"""Addresses up to here cannot break a length rule; longer ones go to the validator."""
_EMAIL_SEPARATORS = re.compile(r"[;；,，、/\s]+")


def email(values: Any, _: Frozen, __: TransformContext) -> Coded:
    """Address with its domain in lower case. No DNS: whether a mailbox exists is not asked."""
    ordinary = pc.and_(
        matches(values, _ORDINARY_EMAIL),
        pc.fill_null(pc.less_equal(pc.binary_length(values), _MAX_ORDINARY), False),
    )
    # "--" at the third place of a label announces an encoding; the validator decides those.
    ordinary = pc.and_(ordinary, pc.invert(matches(values, "--")))
    return by_scalar(values, email_one, pending(values, ordinary))


@lru_cache(maxsize=65_536)
def email_one(cell: str) -> tuple[str | None, str | None]:
    """One cell that may hold one address, several, or none."""
    address = _address(cell)
    if address:
        return address, None
    for part in _EMAIL_SEPARATORS.split(cell):
        address = _address(part)
        if address:
            return address, "email_several" if cell.count("@") > 1 else "email_extracted"
    return None, "email_invalid"


def _address(text: str) -> str | None:
    bare = re.sub(r"^mailto:", "", text.strip().strip("<>。."), flags=re.IGNORECASE)
    if "@" not in bare:
        return None
    try:
        # Internal domains (.local) do occur in old data and are somebody's real address.
        found = validate_email(bare, check_deliverability=False, globally_deliverable=False, allow_display_name=True)
    except EmailNotValidError:
        return None
    # A name without a dot is no domain anybody could be written to.
    return found.normalized if "." in found.domain else None


# --- unified social credit code --------------------------------------------------------------------------------------

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = np.array([1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28, 1], np.int64)
_USCC_LENGTH = 18
_USCC_SHAPE = rf"^[{_ALPHABET}]{{2}}\d{{6}}[{_ALPHABET}]{{10}}$"
_VALUE_OF = np.zeros(128, np.int64)
_VALUE_OF[[ord(character) for character in _ALPHABET]] = np.arange(len(_ALPHABET))
_OLD_NUMBER = re.compile(r"^\d{15}$|^[0-9A-Z]{8}-?[0-9X]$")


def uscc(values: Any, _: Frozen, __: TransformContext) -> Coded:
    """18 characters, capital, check digit right."""
    shaped = matches(values, _USCC_SHAPE)
    coded = by_scalar(values, uscc_one, pending(values, shaped))
    rows = np.flatnonzero(shaped.to_numpy(zero_copy_only=False))
    wrong = rows[~check_digits_right(values.filter(shaped))]
    if len(wrong) == 0:
        return coded
    mask = np.zeros(len(values), bool)
    mask[wrong] = True
    bad = pa.array(mask)
    codes = nulls(len(values)) if coded.codes is None else coded.codes
    return Coded(
        pc.if_else(bad, pa.scalar(None, pa.string()), coded.values),
        pc.if_else(bad, pa.scalar("uscc_check_digit"), codes),
    )


def check_digits_right(codes: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the check digit fits, for a column of 18-character codes in the code's alphabet (no nulls)."""
    if len(codes) == 0:
        return np.zeros(0, bool)
    # A filtered array starts at offset 0 and all its values are 18 bytes: its buffer is the matrix.
    flat = pa.concat_arrays([codes]).buffers()[2]
    start = codes.offset * _USCC_LENGTH
    characters = np.frombuffer(flat, np.uint8)[start : start + len(codes) * _USCC_LENGTH].reshape(-1, _USCC_LENGTH)
    sums = _VALUE_OF[characters] @ _WEIGHTS
    right: np.ndarray[Any, np.dtype[np.bool_]] = sums % len(_ALPHABET) == 0
    return right


@lru_cache(maxsize=65_536)
def uscc_one(cell: str) -> tuple[str | None, str | None]:
    """One cell that is not a plain code: separators and small letters are put right, the rest is named."""
    if SCIENTIFIC.match(cell.replace(" ", "")):
        return None, "uscc_scientific"
    code = re.sub(r"[\s\-‐-―'’`.]", "", cell).upper()
    if _OLD_NUMBER.match(code):
        return None, "uscc_old_number"
    if len(code) != _USCC_LENGTH:
        return None, "uscc_length"
    if not re.fullmatch(_USCC_SHAPE.strip("^$"), code, re.ASCII):
        return None, "uscc_characters"
    return (code, None) if stdnum_uscc.calc_check_digit(code[:17]) == code[17] else (None, "uscc_check_digit")
