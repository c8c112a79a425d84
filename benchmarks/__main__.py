"""Runs all benchmarks or those named: ``python -m benchmarks [prepare …] [--rows N]``. Exit code 1: a figure missed."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from rollout.testbed.demodata.dataset import MIN_ACCOUNTS


def _modules() -> list[str]:
    """Modules of this folder that define ``main``."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    return [path.stem for path in files if "\ndef main(" in path.read_text(encoding="utf-8")]


def run(arguments: list[str]) -> int:
    """Run what the command line names; answers the exit code: 1 if a figure was missed, 2 if nothing could be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios within one run.")
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(_modules())}; default: all")
    parser.add_argument("--rows", type=int, help="A smaller size (200 or more), to look at one's own change.")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(_modules()))
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    if chosen.rows is not None and chosen.rows < MIN_ACCOUNTS:
        parser.error(f"--rows {chosen.rows}: at least {MIN_ACCOUNTS}")
    missed = []
    for name in chosen.names or _modules():
        print(f"== {name}", flush=True)
        main = importlib.import_module(f"benchmarks.{name}").main
        if not (main(rows=chosen.rows) if chosen.rows else main()):
            missed.append(name)
    print("all figures met" if not missed else f"figures missed in: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
