from __future__ import annotations

import pytest

from rollout.report import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.9999, "> 99.9 %"), (0.00001, "< 0.1 %"), (0.992, "99.2 %"), (0.5, "50 %")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_all_or_nothing(value, text):
    assert figures.share(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (1234567, "1,234,567"), (0.5, "0.5"), (1.0, "1")])
def test_numbers(value, text):
    assert figures.number(value) == text
