"""Masking of personal data for logs, artifacts and reports: enough to recognise a value one knows, not to learn it.

Masked characters become ``*``. Every function is pure, and masking what is masked changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rollout.model.entity import FieldSpec, FieldType

_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\"'“”，；：（）]+@[^\s@,;:<>()\[\]\"'“”，；：（）]+")
_USCC = re.compile(r"(?<![0-9A-Za-z*])[0-9A-Z]{17}[0-9A-Zx](?![0-9A-Za-z*])", re.ASCII)
_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?!\d)"
# Eight digits or more, however they are grouped; business dates are no telephone numbers.
_NUMBER = re.compile(rf"(?!{_ISO_DATE})\d(?:[ \-().—/+]{{0,3}}\d){{7,}}")
_DIGIT_OR_STAR = re.compile(r"[\d*]")
_WORD = re.compile(r"[^\s·•\-.,'()（）]+")


def mask_phone(value: str) -> str:
    """``+86 138 1234 5678`` → ``+86 1** **** **78``: of eight digits or more the first three and last two stay."""
    places = [match.start() for match in _DIGIT_OR_STAR.finditer(value)]
    if len(places) < 8:  # noqa: PLR2004 - shorter numbers would be guessed from five digits
        return "".join("*" if character.isalnum() else character for character in value)
    third, last = places[2] + 1, places[-2]
    return value[:third] + _DIGIT_OR_STAR.sub("*", value[third:last]) + value[last:]


def mask_email(value: str) -> str:
    """``li.na@example.com`` → ``l***@example.com``; something without ``@`` is masked as text."""
    local, at, domain = value.rpartition("@")
    if not at or not local:
        return mask_generic(value)
    return f"{local[0] if len(local) > 1 else '*'}***@{domain}"


def mask_name(value: str) -> str:
    """``张三丰`` → ``张**``, ``Anna Li`` → ``A*** L*``: the first character of each word of two or more stays."""

    def word(match: re.Match[str]) -> str:
        text = match.group()
        return "*" if len(text) == 1 else text[0] + "*" * (len(text) - 1)

    return _WORD.sub(word, value)


def mask_uscc(value: str) -> str:
    """Of a code of 8 characters or more the first two and last two stay."""
    if len(value) < 8:  # noqa: PLR2004
        return "*" * len(value)
    return value[:2] + "*" * (len(value) - 4) + value[-2:]


def mask_generic(value: str) -> str:
    """The first character and ``***``; of one or two characters nothing stays."""
    return "***" if len(value) < 3 or value[0] == "*" else f"{value[0]}***"  # noqa: PLR2004


def mask_date(value: str) -> str:
    """``1987-05-04`` → ``1987-**-**``: the year stays."""
    return value[:4] + re.sub(r"\w", "*", value[4:]) if len(value) > 4 else "*" * len(value)  # noqa: PLR2004


def mask_text(value: str) -> str:
    """Mask the e-mail addresses, registration codes and telephone numbers inside free text.

    Names cannot be told from other words: who writes a message must not put one into it unmasked.
    """
    masked = _EMAIL.sub(lambda match: mask_email(match.group()), value)
    masked = _USCC.sub(lambda match: mask_uscc(match.group()), masked)
    return _NUMBER.sub(lambda match: mask_phone(match.group()), masked)


_BY_TYPE: dict[FieldType, Callable[[str], str]] = {
    FieldType.TEXT: mask_name,
    FieldType.PHONE: mask_phone,
    FieldType.EMAIL: mask_email,
    FieldType.USCC: mask_uscc,
    FieldType.DATE: mask_date,
    FieldType.DATETIME: mask_date,
}


def mask_field(field: FieldSpec, value: str | None) -> str | None:
    """A field's value as people may see it: unchanged unless the field is personal."""
    if value is None or not field.personal:
        return value
    return masker(field)(value)


def masker(field: FieldSpec) -> Callable[[str], str]:
    """What masks the values of a personal field of this type."""
    return _BY_TYPE.get(field.type, mask_generic)
