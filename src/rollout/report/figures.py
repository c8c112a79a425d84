"""Figures as people read them, and the geometry of charts. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rollout.assess.model import Ratio

_LEAST_VISIBLE = 0.8
"""Percent of a stacked bar's width that a small part keeps, so that 1 row of 100,000 can be seen."""
_ROOM_FOR_TEXT = 6.0


def number(value: float | None) -> str:
    """``12,345``; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def share(value: float | None, digits: int = 1) -> str:
    """``99.2 %``. Never rounded to 100 % or 0 % unless it is exactly that."""
    if value is None:
        return "–"
    step = 10.0**-digits
    percent = round(value * 100, digits)
    if value < 1 and percent >= 100:  # noqa: PLR2004 - all of it
        return f"> {100 - step:.{digits}f} %"
    if value > 0 and percent == 0:
        return f"< {step:.{digits}f} %"
    text = f"{percent:.{digits}f}"
    return f"{text.removesuffix('.' + '0' * digits)} %"


def points(value: float | None) -> str:
    """A score of 0 to 100 with one decimal; a dash for nothing. Never rounded up to 100."""
    if value is None:
        return "–"
    return "100" if value == 100 else f"{min(value, 99.9):.1f}"  # noqa: PLR2004


def short(value: int) -> str:
    """``940``, ``1.2k``, ``35k``, ``1.2M``: where there is room for a few signs only."""
    for size, sign in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + sign if value < 10 * size else f"{value / size:.0f}{sign}"
    return str(value)


def seconds(value: float | None) -> str:
    """``0.042 s``, ``12.3 s``: three figures that count; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.3f} s" if value < 1 else f"{value:,.3g} s" if value < 100 else f"{value:,.0f} s"  # noqa: PLR2004


def ratio(value: Ratio, digits: int = 1) -> str:
    """A ratio's share."""
    return share(value.share, digits)


@dataclass(frozen=True)
class Part:
    """A part of a stacked bar: percent of the bar's width from its left edge."""

    key: str
    value: int
    x: float
    width: float

    @property
    def roomy(self) -> bool:
        """Whether a figure fits in."""
        return self.width >= _ROOM_FOR_TEXT

    @property
    def middle(self) -> float:
        """Percent at which the figure stands."""
        return round(self.x + self.width / 2, 3)


def stacked(parts: Iterable[tuple[str, int]]) -> Sequence[Part]:
    """Place the non-empty parts side by side over 100 percent; the smallest stay visible at the others' expense."""
    filled = [(key, value) for key, value in parts if value > 0]
    total = sum(value for _, value in filled)
    widths = [max(_LEAST_VISIBLE, 100 * value / total) for _, value in filled]
    scale = 100 / sum(widths) if widths else 0.0
    placed, left = [], 0.0
    for (key, value), width in zip(filled, widths, strict=True):
        placed.append(Part(key, value, round(left, 3), round(width * scale, 3)))
        left += width * scale
    return placed
