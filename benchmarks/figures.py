"""How a figure is printed and judged."""

from __future__ import annotations


def judge_at_least(what: str, observed: float, at_least: float) -> bool:
    """Print a figure that must reach a limit; True if it does."""
    met = observed >= at_least
    print(f"{what}: {observed:,.2f} (at least {at_least:,g}) {'PASS' if met else 'FAIL'}", flush=True)
    return met


def judge_at_most(what: str, observed: float, at_most: float) -> bool:
    """Print a figure that must not exceed a limit; True if it does not."""
    met = observed <= at_most
    print(f"{what}: {observed:,.4g} (at most {at_most:g}) {'PASS' if met else 'FAIL'}", flush=True)
    return met
