"""Logs as JSON lines in the workspace: when, which run, what; personal data masked."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from rollout.model.masking import mask_text

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class JsonLines(logging.Formatter):
    """One JSON object a line; message and traceback are masked."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "run": self._run_id,
            "logger": record.name,
            "message": mask_text(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = mask_text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """The traceback."""
        return "".join(traceback.format_exception(*ei)) if ei[0] else ""


def log_to(folder: Path, *, run_id: str) -> Path:
    """Send the logs of this process to today's file in a folder: ours from INFO on, others' from WARNING on."""
    path = folder / f"{datetime.now(UTC):%Y-%m-%d}.jsonl"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonLines(run_id))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, JsonLines)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    logging.getLogger("rollout").setLevel(logging.INFO)
    return path


def record_defect(error: BaseException, logs: Path | None, *, run_id: str) -> Path:
    """Write down an error that nobody foresaw; answers the file that now holds its traceback."""
    if logs is not None:
        logging.getLogger("rollout").error("unexpected error", exc_info=error)
        return logs / f"{datetime.now(UTC):%Y-%m-%d}.jsonl"
    descriptor, name = tempfile.mkstemp(prefix="rollout-error-", suffix=".jsonl")  # 0600
    record = logging.LogRecord(
        "rollout", logging.ERROR, "", 0, "unexpected error", None, (type(error), error, error.__traceback__)
    )
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(JsonLines(run_id).format(record) + "\n")
    return Path(name)
