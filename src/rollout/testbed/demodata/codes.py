"""Unified social credit codes that are well-formed and belong to nobody."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
MADE_UP = "XN"
"""Start of the organisation part. Authorities hand out digits and MA, M… there; XN stands for 虚拟, virtual."""
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPACE = 31**6
_STEP = 48_271
"""Prime, so that consecutive numbers give codes that look unrelated and never repeat."""


def credit_code(number: int, division: str) -> str:
    """The credit code (GB 32100-2015) of the ``number``-th made-up company, registered in a division (6 digits).

    Unique for numbers below 31⁶ (887 million), whatever the division.
    """
    rest = (number * _STEP + 12_345) % _SPACE
    letters = ""
    for _ in range(6):
        rest, digit = divmod(rest, 31)
        letters += ALPHABET[digit]
    body = f"91{division}{_with_organisation_check(MADE_UP + letters)}"
    return body + check_digit(body)


def check_digit(body: str) -> str:
    """The check digit of a code's first 17 characters."""
    total = sum(ALPHABET.index(character) * weight for character, weight in zip(body, _CODE_WEIGHTS, strict=True))
    return ALPHABET[-total % 31]


def _with_organisation_check(code: str) -> str:
    """GB 11714: eight characters and their check digit."""
    total = sum(
        _ORGANISATION_ALPHABET.index(character) * weight
        for character, weight in zip(code, _ORGANISATION_WEIGHTS, strict=True)
    )
    return code + "0123456789X0"[-total % 11]
