"""Each benchmark at a small size: it runs to its end, prints its figures and judges them. How fast it was is not asked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.attack
ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300
# The limits of each benchmark, and what nothing misses and what everything misses.
LIMITS = {
    "prepare": (("MAX_COPY_RATIO", "MAX_PEAK_MB", "MAX_TIME_GROWTH", "MAX_MEMORY_GROWTH"), "inf", "0"),
    "journal": (("MIN_ROWS_PER_S",), "0", "inf"),
    "http_load": (("MIN_SHARE",), "0", "inf"),
}
FIGURE = re.compile(
    r"^(?P<what>.+): (?P<observed>[\d,.e+-]+) \(at (least|most) \S+\) (?P<verdict>PASS|FAIL)$", re.MULTILINE
)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def run_with_limits(name: str, limit: str) -> subprocess.CompletedProcess[str]:
    limits, _, _ = LIMITS[name]
    settings = "; ".join(f"{name}.{constant} = float('{limit}')" for constant in limits)
    rows = 2000 if name == "prepare" else 200
    return python(
        "-c",
        f"import sys; from benchmarks import {name}; from benchmarks.__main__ import run; {settings}; "
        f"sys.exit(run(['{name}', '--rows', '{rows}']))",
    )


def test_every_benchmark_is_tried_here():
    folder = ROOT / "benchmarks"
    found = {path.stem for path in folder.glob("*.py") if "\ndef main(" in path.read_text("utf-8")}
    assert found == {
        *LIMITS,
        "match",
    }  # how right matching is cannot be seen in a few rows: tests/unit/match tries that


@pytest.mark.parametrize("name", LIMITS)
def test_figures_that_are_met_are_printed_and_pass(name):
    limits, met, _ = LIMITS[name]
    done = run_with_limits(name, met)
    figures = [match.groupdict() for match in FIGURE.finditer(done.stdout)]
    assert done.returncode == 0, done.stdout + done.stderr
    assert [figure["verdict"] for figure in figures] == ["PASS"] * len(limits), done.stdout
    assert all(float(figure["observed"].replace(",", "")) > 0 for figure in figures), done.stdout
    assert "all figures met" in done.stdout


@pytest.mark.parametrize("name", ["journal"])  # all are judged alike
def test_figures_that_are_missed_are_named_and_fail(name):
    limits, _, missed = LIMITS[name]
    done = run_with_limits(name, missed)
    assert done.returncode == 1, done.stdout + done.stderr
    assert [match["verdict"] for match in FIGURE.finditer(done.stdout)] == ["FAIL"] * len(limits), done.stdout
    assert f"figures missed in: {name}" in done.stdout


@pytest.mark.parametrize("arguments", [["no-such-one"], ["journal", "--rows", "199"]])
def test_what_cannot_be_run_is_said_before_anything_is(arguments):
    done = python("-m", "benchmarks", *arguments)
    assert done.returncode == 2
    assert arguments[-1] in done.stderr
    assert done.stdout == ""
