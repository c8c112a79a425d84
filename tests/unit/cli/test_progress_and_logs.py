"""Progress on stderr, and logs without personal data."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from rollout.cli.logs import JsonLines, log_to, record_defect
from rollout.cli.progress import TerminalProgress


def test_without_a_terminal_a_line_now_and_then() -> None:
    now, out = [0.0], io.StringIO()
    progress = TerminalProgress(Console(file=out), clock=lambda: now[0])
    progress.start("load account", 100, "rows")
    for _ in range(4):
        now[0] += 6
        progress.advance(10)
    progress.finish()
    assert (
        out.getvalue()
        == "load account: 20 of 100 rows, about 48 s left\nload account: 40 of 100 rows, about 36 s left\n"
    )


def test_work_within_work_and_of_unknown_size() -> None:
    now, out = [0.0], io.StringIO()
    progress = TerminalProgress(Console(file=out), clock=lambda: now[0])
    progress.start("outer", 2, "entities")
    progress.start("inner", None, "rows")
    now[0] = 11
    progress.advance(1_000)
    progress.finish()
    progress.advance(1)
    progress.finish()
    progress.advance(1)
    assert out.getvalue() == "inner: 1,000 rows\nouter: 1 of 2 entities, about 11 s left\n"


def test_on_a_terminal_a_bar() -> None:
    out = io.StringIO()
    progress = TerminalProgress(Console(file=out, force_terminal=True, width=120))
    progress.start("load account", 100, "rows")
    progress.advance(100)
    progress.finish()
    assert "100/100" in out.getvalue()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    yield log_to(tmp_path, run_id="abc123")
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler.formatter, JsonLines)]:
        root.removeHandler(handler)
        handler.close()


def test_logs_are_json_lines_of_a_run_without_personal_data(log: Path) -> None:
    logging.getLogger("rollout.load").info("called %s", "13812345678")
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 // len("li.na@example.com"[:0])
    assert record_defect(caught.value, log.parent, run_id="abc123") == log
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["run"] for line in lines] == ["abc123", "abc123"]
    assert lines[0]["message"] == "called 138******78"
    assert "test_logs_are_json_lines" in lines[1]["traceback"]
    assert log.stat().st_mode & 0o777 == 0o600
