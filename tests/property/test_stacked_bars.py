"""A stacked bar is filled from edge to edge, and its smallest part can be seen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.report import figures


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 10**7)), max_size=13))
def test_parts_lie_side_by_side_and_fill_the_bar(parts):
    placed = figures.stacked(parts)
    assert [part.value for part in placed] == [value for _, value in parts if value]
    for left, right in pairwise(placed):
        assert left.x + left.width == pytest.approx(right.x, abs=0.01)
    if placed:
        assert placed[0].x == 0
        assert placed[-1].x + placed[-1].width == pytest.approx(100, abs=0.01)
        assert min(part.width for part in placed) > 0.7
