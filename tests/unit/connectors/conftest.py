from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rollout.connectors.base import SourceChunk
from rollout.connectors.files import FilesConnector
from rollout.mapping.spec import SourceSpec
from rollout.model.finding import Finding


class Read:
    """Everything a reading of one source gave."""

    def __init__(self, chunks: list[SourceChunk]) -> None:
        self.chunks = chunks
        self.frame = pd.concat([chunk.frame for chunk in chunks], ignore_index=True)
        self.findings: list[Finding] = [finding for chunk in chunks for finding in chunk.findings]
        lost = [chunk.unreadable for chunk in chunks if chunk.unreadable is not None]
        self.unreadable = pd.concat(lost, ignore_index=True) if lost else None

    def column(self, name: str) -> list[str | None]:
        return [None if pd.isna(value) else value for value in self.frame[name]]

    @property
    def lines(self) -> list[int]:
        return self.frame["_line"].tolist()

    def finding(self, id_: str) -> Finding:
        [found] = [finding for finding in self.findings if finding.id == id_]
        return found


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Read]:
    """Read a source below tmp_path: ``read("x.csv", row_key=("a",), chunk_rows=2)``."""

    def run(path: str, *, chunk_rows: int = 1_000, **source: Any) -> Read:
        spec = SourceSpec(
            **{"name": "s", "system": "legacy", "row_key": ("a",), "mapping": "m", "path": path, **source}
        )
        return Read(list(FilesConnector("legacy", {}, tmp_path).read(spec, chunk_rows=chunk_rows)))

    return run
