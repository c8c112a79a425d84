from __future__ import annotations

import hashlib
import math

import pytest

from rollout.verify.sample import bound, draw, proving_size, sample_size


@pytest.mark.parametrize(("population", "needed"), [(300, 158), (500, 196), (1_000, 238), (2_000, 265)])
def test_size_that_proves_one_percent(population, needed):
    assert proving_size(population, max_wrong_share=0.01, confidence=0.95) == needed


@pytest.mark.parametrize(("population", "proves"), [(500, 0.054), (1_000, 0.028), (2_800, 0.010), (10_000, 0.0028)])
def test_what_a_clean_tenth_proves(population, proves):
    assert bound(population, population // 10, 0, confidence=0.95).bound == pytest.approx(proves, abs=0.0005)


def test_sample_is_the_larger_of_share_and_proof():
    rule = {"share": 0.10, "max_wrong_share": 0.01, "confidence": 0.95}
    assert sample_size(200, **rule) > 20
    assert sample_size(10_001, **rule) == 1_001  # the tenth, rounded up
    assert sample_size(0, **rule) == 0
    assert sample_size(1, **rule) == 1


def test_everything_looked_at_leaves_no_doubt():
    assert bound(40, 40, 3, confidence=0.95).bound == 3 / 40
    assert bound(40, 40, 0, confidence=0.95).bound == 0.0


def test_nothing_looked_at_proves_nothing():
    assert bound(40, 0, 0, confidence=0.95).bound is None


def test_a_wrong_row_raises_the_bound_above_the_promise():
    size = proving_size(1_000, max_wrong_share=0.01, confidence=0.95)
    clean, one = (bound(1_000, size, wrong, confidence=0.95).bound for wrong in (0, 1))
    assert clean <= 0.01 < one


def test_a_million_rows():
    size = sample_size(1_000_000, share=0.10, max_wrong_share=0.01, confidence=0.95)
    assert size == 100_000
    assert bound(1_000_000, size, 0, confidence=0.95).bound < 0.0001
    assert 0.5 < bound(1_000_000, size, size // 2, confidence=0.95).bound < 0.51
    assert bound(1_000_000, size, size, confidence=0.95).bound == 1.0


@pytest.mark.parametrize(("population", "size", "wrong"), [(10, 11, 0), (10, 5, 6), (10, 5, -1)])
def test_contradictory_figures_are_refused(population, size, wrong):
    with pytest.raises(ValueError, match="0 <= wrong <= size <= population"):
        bound(population, size, wrong, confidence=0.95)


def test_draw_can_be_repeated_by_hand():
    keys = [f"K{number}" for number in range(500)]
    by_hand = sorted(keys, key=lambda key: hashlib.sha256(f"acceptance{key}".encode()).hexdigest())
    assert draw(reversed(keys), 60, seed="acceptance") == by_hand[:60]


def test_draw_depends_on_the_seed_and_grows_by_adding():
    keys = [f"K{number}" for number in range(500)]
    assert draw(keys, 50, seed="a") != draw(keys, 50, seed="b")
    assert draw(keys, 80, seed="a")[:50] == draw(keys, 50, seed="a")
    assert len(draw(keys, 500, seed="a")) == 500


def test_draw_takes_a_repeated_key_once():
    assert draw(["K1", "K1", "K2"], 3, seed="a") == sorted(
        ["K1", "K2"], key=lambda key: hashlib.sha256(f"a{key}".encode()).digest()
    )


def test_size_is_exact_where_floats_are_not():
    # 0.29 * 100 is 28.999999999999996: the 30th wrong row, not the 29th, is the first too many.
    size = proving_size(100, max_wrong_share=0.29, confidence=0.95)
    absent = [math.comb(70, n) / math.comb(100, n) for n in (size - 1, size)]
    assert absent[0] > 0.05 >= absent[1]
