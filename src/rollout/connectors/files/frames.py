"""A file's part as a chunk of rows. Apart, because pandas takes a second to import, and only reading needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rollout.connectors.base import SourceChunk
from rollout.connectors.files.table import Part, Table, Unreadable
from rollout.model.finding import Finding


def chunk(part: Part, table: Table, findings: list[Finding]) -> SourceChunk:
    """The chunk, with what was found in the part after ``findings``."""
    return SourceChunk(
        frame=_placed(part.rows.to_pandas(), table, part.lines),
        findings=[*findings, *part.findings],
        unreadable=_unreadable(part.unreadable, table) if part.unreadable else None,
        file=table.label,
        sheet=table.sheet,
    )


def _placed(frame: pd.DataFrame, table: Table, lines: Any) -> pd.DataFrame:
    """The frame with `_file`, `_sheet` and `_line`."""
    return frame.assign(
        _file=pd.array([table.label], dtype="str").repeat(len(frame)),
        _sheet=pd.array([table.sheet], dtype="str").repeat(len(frame)),
        _line=np.asarray(lines, np.int64),
    )


def _unreadable(rows: list[Unreadable], table: Table) -> pd.DataFrame:
    frame = pd.DataFrame({"raw": [row.raw for row in rows], "reason": [row.reason for row in rows]}, dtype="str")
    return _placed(frame, table, [row.line for row in rows])
