"""The acceptance sample: which rows are looked at one by one, and what a look at them proves.

The draw takes the rows with the smallest ``SHA256(seed‖key)`` (both as UTF-8, simply joined), so that anybody can draw
it again with a hashing tool, and a larger sample contains the smaller one. The bound is the exact one for a finite
population: the number found wrong in a sample without replacement follows the hypergeometric distribution, and the
largest number of wrong rows in the population that is still plausible is stated. Pure.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable
from fractions import Fraction

from rollout.model.base import Frozen

_TIE = 1e-9
"""Relative error of a probability computed through log-gamma at populations of millions; ties count as plausible."""
_NEGLIGIBLE = 1e-17
"""A summand below this share of the sum no longer changes it."""


class SampleBound(Frozen):
    """What a sample proves: with ``confidence``, at most ``bound`` of the population is wrong."""

    population: int
    size: int
    wrong: int
    bound: float | None
    """Share of the population (0 to 1); None where nothing was looked at."""
    confidence: float


def sample_size(population: int, *, share: float, max_wrong_share: float, confidence: float) -> int:
    """Rows to look at: the agreed share, enlarged to what proves ``max_wrong_share`` if none is found wrong.

    Args:
        population: Rows to judge, 0 or more.
        share: The agreed share of the population, 0 < share <= 1.
        max_wrong_share: What a clean sample must prove, 0 < max_wrong_share < 1.
        confidence: Such as 0.95; above 0.5.

    Returns:
        A number of rows, at most ``population``.
    """
    agreed = math.ceil(Fraction(str(share)) * population)
    return min(
        population, max(agreed, proving_size(population, max_wrong_share=max_wrong_share, confidence=confidence))
    )


def proving_size(population: int, *, max_wrong_share: float, confidence: float) -> int:
    """The smallest sample that, with none wrong in it, proves at most ``max_wrong_share`` wrong."""
    if population == 0:
        return 0
    # The fewest wrong rows that would already be too many; exact, because 0.29 * 100 is 28.999… in floats.
    too_many = math.floor(Fraction(str(max_wrong_share)) * population) + 1
    low, high = 0, population  # `high` always proves it: everything was looked at
    while high - low > 1:
        middle = (low + high) // 2
        if _plausible(population, middle, 0, too_many, confidence):
            low = middle
        else:
            high = middle
    return high


def bound(population: int, size: int, wrong: int, *, confidence: float) -> SampleBound:
    """The bound that a sample of ``size`` rows with ``wrong`` wrong ones in it proves.

    Raises:
        ValueError: The figures contradict each other (a sample larger than the population, say).
    """
    if not 0 <= wrong <= size <= population:
        raise ValueError(f"need 0 <= wrong <= size <= population, got {wrong}, {size}, {population}")
    if size == 0:
        return SampleBound(population=population, size=0, wrong=0, bound=None, confidence=confidence)
    # At the sample's own share the finding is no surprise, so this number is plausible; the largest possible one is
    # reached when every row that was not looked at is wrong.
    low = max(wrong, wrong * population // size)
    high = wrong + population - size + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _plausible(population, size, wrong, middle, confidence):
            low = middle
        else:
            high = middle
    return SampleBound(population=population, size=size, wrong=wrong, bound=low / population, confidence=confidence)


def draw(keys: Iterable[str], size: int, *, seed: str) -> list[str]:
    """The ``size`` keys with the smallest ``SHA256(seed‖key)``, in that order. Keys given twice count once."""
    prefix = hashlib.sha256(seed.encode())

    def rank(key: str) -> tuple[bytes, str]:
        digest = prefix.copy()
        digest.update(key.encode())
        return digest.digest(), key

    return [key for _, key in heapq.nsmallest(size, map(rank, dict.fromkeys(keys)))]


def _plausible(population: int, size: int, wrong: int, in_population: int, confidence: float) -> bool:
    """Whether ``wrong`` or fewer in the sample has more than ``1 - confidence`` probability.

    Called with an expected number at or above ``wrong``, where the summands fall from ``wrong`` downwards.
    """
    if size - wrong > population - in_population:
        return False  # the sample holds more right rows than the population would
    alpha = (1.0 - confidence) * (1.0 - _TIE)
    term = math.exp(
        _log_choose(in_population, wrong)
        + _log_choose(population - in_population, size - wrong)
        - _log_choose(population, size)
    )
    total = term
    for found in range(wrong, 0, -1):
        term *= found * (population - in_population - size + found)
        term /= (in_population - found + 1) * (size - found + 1)
        total += term
        if total > alpha or term < total * _NEGLIGIBLE:
            break
    return total > alpha


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
