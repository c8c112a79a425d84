"""What people said about source rows that were held back: values put right, rows left out. Pure, over Arrow tables.

A word holds while its row says what it said when the person saw it: rows are compared by :func:`row_hash`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class RowWord:
    """What a person said about one source row."""

    source_key: str
    row_hash: str
    """The row as they saw it."""
    fields: tuple[tuple[str, str], ...] = ()
    """Field → its value, as one would type it in the source; the mapping's transforms run on it."""
    left_out: bool = False
    """The row is not to be loaded; then ``fields`` do not matter."""


def row_hash(row: Mapping[str, str | None]) -> str:
    """SHA-256 of what a row says: its cells by column, empty ones left out, wherever in the file it stands."""
    cells = {name: value for name, value in row.items() if value}
    return hashlib.sha256(json.dumps(cells, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


class Words:
    """The words about the rows of one source, all of which hold.

    Args:
        words: At most one a row.
    """

    def __init__(self, words: Sequence[RowWord] = ()) -> None:
        self._repairs: dict[str, dict[str, str]] = {}
        for word in words:
            for name, value in () if word.left_out else word.fields:
                self._repairs.setdefault(name, {})[word.source_key] = value
        # Made an array only where it is used: that brings pandas, which who only reads these words need not wait for.
        self._left_out = [word.source_key for word in words if word.left_out]

    def repaired(self, field: str, source_keys: Any, raw: Any) -> Any:
        """A field's raw cells with those in place that people put right."""
        values = self._repairs.get(field)
        if not values:
            return raw
        at = pc.index_in(source_keys, value_set=pa.array(list(values), pa.string()))
        return pc.if_else(pc.is_valid(at), pa.array(list(values.values()), pa.string()).take(at), raw)

    def left_out(self, source_keys: Any) -> Any:
        """Which rows people left out; None: none."""
        if not self._left_out:
            return None
        found = pc.is_in(source_keys, value_set=pa.array(self._left_out, pa.string()))
        return found if pc.any(found).as_py() else None


NO_WORDS = Words()
