"""Line plots as geometry: percent of the plot's width from its left and of its height from its top. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Tick:
    """A mark of an axis."""

    percent: float
    label: str


@dataclass(frozen=True)
class Axis:
    """From 0 to ``top``, in round steps."""

    top: float
    step: float

    def at(self, value: float) -> float:
        """Percent along the axis; values beyond its end stay at the end."""
        return round(100 * min(max(value / self.top, 0.0), 1.0), 3)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """One a step, 0 included."""
        return tuple(
            Tick(self.at(number * self.step), f"{number * self.step:,.10g}")
            for number in range(math.floor(self.top / self.step + 1e-9) + 1)
        )


def axis(values: Iterable[float | None], *, least: float, exact: bool = False, steps: int = 5) -> Axis:
    """An axis that all values fit on.

    Args:
        values: None stands for nothing.
        least: The axis reaches at least here.
        exact: End where the values end, not at the next round step.
        steps: At most so many.
    """
    highest = max((value for value in values if value is not None), default=0.0)
    top = max(highest, least)
    size = 10.0 ** math.floor(math.log10(top / steps))
    step = next(factor * size for factor in _STEPS if factor * size * steps >= top * (1 - 1e-9))
    return Axis(top if exact else math.ceil(top / step - 1e-9) * step, step)


def lines(points: Sequence[tuple[float, float | None]], x: Axis, y: Axis) -> tuple[str, ...]:
    """Points as `points` of SVG polylines; a missing value breaks the line."""
    found: list[list[str]] = [[]]
    for at, value in points:
        if value is None:
            found.append([])
        else:
            found[-1].append(f"{x.at(at)},{round(100 - y.at(value), 3)}")
    return tuple(" ".join(part) for part in found if part)


def area(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    """The ground under a line, as `points` of an SVG polygon; nothing where there are no points."""
    if not points:
        return ""
    (outline,) = lines(points, x, y)
    return f"{x.at(points[0][0])},100 {outline} {x.at(points[-1][0])},100"
