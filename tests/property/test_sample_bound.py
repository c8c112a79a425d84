"""The sample's bound against two independent oracles: exact fractions, and SciPy's distribution."""

from __future__ import annotations

from fractions import Fraction
from math import comb

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from rollout.verify.sample import bound, proving_size


@st.composite
def samples(draw, largest):
    population = draw(st.integers(1, largest))
    size = draw(st.integers(1, population))
    return population, size, draw(st.integers(0, size))


def exact_bound(population, size, wrong, alpha):
    """The largest number of wrong rows under which `wrong` or fewer in the sample has a probability above alpha."""

    def at_most(number):
        ways = sum(comb(number, x) * comb(population - number, size - x) for x in range(wrong + 1) if x <= number)
        return Fraction(ways, comb(population, size))

    possible = range(wrong, wrong + population - size + 1)
    return max(number for number in possible if at_most(number) >= alpha)


@given(samples(largest=60))
def test_bound_equals_the_exact_one(sample):
    population, size, wrong = sample
    assert bound(population, size, wrong, confidence=0.95).bound == exact_bound(*sample, Fraction(5, 100)) / population


@settings(max_examples=40, deadline=None)
@given(samples(largest=1_000_000))
def test_bound_is_where_scipy_puts_it(sample):
    population, size, wrong = sample
    edge = round(bound(population, size, wrong, confidence=0.95).bound * population)
    tolerance = 1e-6
    assert hypergeom.cdf(wrong, population, edge, size) > 0.05 - tolerance
    if edge < wrong + population - size:
        assert hypergeom.cdf(wrong, population, edge + 1, size) < 0.05 + tolerance


@settings(deadline=None)
@given(st.integers(1, 100_000), st.sampled_from([0.001, 0.01, 0.05, 0.2]), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_proving_size_proves_and_one_row_less_does_not(population, share, confidence):
    size = proving_size(population, max_wrong_share=share, confidence=confidence)
    assert bound(population, size, 0, confidence=confidence).bound <= share
    if size > 1:
        assert bound(population, size - 1, 0, confidence=confidence).bound > share


@settings(deadline=None)
@given(samples(largest=5_000))
def test_more_wrong_never_lowers_the_bound(sample):
    population, size, wrong = sample
    fewer = bound(population, size, max(wrong - 1, 0), confidence=0.95).bound
    assert fewer <= bound(population, size, wrong, confidence=0.95).bound
