"""Changes of the two-column tables that people keep: lines that do not change stay byte for byte."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from rollout.mapping.transforms_text import lookup_key

BYTE_ORDER_MARK = "\ufeff"


def table_lines(text: str, key: str, value: str) -> list[tuple[str, str]]:
    """The lines of a table that hold anything: key and value."""
    reader = csv.DictReader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline=""))
    lines = ((row.get(key) or "", row.get(value) or "") for row in reader)
    return [(raw.strip(), told.strip()) for raw, told in lines if raw.strip() or told.strip()]


def edited_table(text: str, key: str, value: str, changes: Mapping[str, str | None]) -> str:
    """A table's text with other values.

    Args:
        text: The file's, with its header.
        key: Column that identifies a line.
        value: Column that changes.
        changes: Key → new value, None takes the line out; keys the table does not have are added at its end.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    todo = {lookup_key(raw): (raw, told) for raw, told in changes.items()}
    reader = csv.reader(source := _Lines(text))
    header = next(reader)
    names = [name.removeprefix(BYTE_ORDER_MARK) for name in header]
    at_key, at_value = names.index(key), names.index(value)
    parts = [source.taken()]
    done: set[str] = set()
    for row in reader:
        original = source.taken()
        folded = lookup_key(row[at_key]) if len(row) > max(at_key, at_value) else ""
        found = todo.get(folded)
        if found is None:
            parts.append(original)
            continue
        done.add(folded)  # and not done with: a key may stand there in several spellings
        if found[1] is not None:
            row[at_value] = found[1]
            parts.append(_line(row, newline))
    for folded, (raw, told) in todo.items():
        if told is not None and folded not in done:
            row = [""] * len(names)
            row[at_key], row[at_value] = raw, told
            if parts[-1] and not parts[-1].endswith("\n"):
                parts[-1] += newline
            parts.append(_line(row, newline))
    return "".join(parts)


class _Lines:
    """Lines of a text, which remembers those that were taken since it was asked last."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self._taken = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._lines.readline()
        if not line:
            raise StopIteration
        self._taken += line
        return line

    def taken(self) -> str:
        """What was read since the last call."""
        taken, self._taken = self._taken, ""
        return taken


def _line(row: list[str], newline: str) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator=newline).writerow(row)
    return out.getvalue()
