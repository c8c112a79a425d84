"""How a figure is printed and judged."""

from __future__ import annotations

_FOUR_DIGITS = 1_000


def judge_at_least(what: str, observed: float, at_least: float) -> bool:
    """Print a figure that must reach a limit; True if it does."""
    met = observed >= at_least
    print(f"{what}: {_told(observed)} (at least {at_least:,g}) {'PASS' if met else 'FAIL'}", flush=True)
    return met


def judge_at_most(what: str, observed: float, at_most: float) -> bool:
    """Print a figure that must not exceed a limit; True if it does not."""
    met = observed <= at_most
    print(f"{what}: {_told(observed)} (at most {at_most:g}) {'PASS' if met else 'FAIL'}", flush=True)
    return met


def _told(figure: float) -> str:
    """Four digits, or all of those before the point."""
    return f"{figure:,.0f}" if abs(figure) >= _FOUR_DIGITS else f"{figure:,.4g}"
