r"""CSV files: streamed through Arrow, every row with the physical line at which it starts.

Arrow parses (RFC 4180 quoting, line breaks within quotes); this module keeps the books. Records are numbered in file
order; a record's line is the sum of the lines of the records before it, and a record has one line more than it has
line breaks inside its quotes. `\n`, `\r\n` and `\r` each end a line. Rows with too many or too few cells are handed
over as they stand; rows without any value are left out and counted in a finding.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from rollout.connectors.files.encoding import TextFile, inspect
from rollout.connectors.files.header import join_header, require_key
from rollout.connectors.files.table import Lines, Origin, Part, Unreadable
from rollout.errors import ConfigError
from rollout.mapping.spec import SourceSpec
from rollout.model.finding import Finding, Level

BLOCK_BYTES = 8 << 20
"""Arrow parses block by block; no row may be longer than this."""


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file whose bytes have been checked and whose header has been read."""

    origin: Origin
    text: TextFile
    delimiter: str
    columns: tuple[str, ...]
    header_line: int
    findings: list[Finding]
    sheet: str = ""

    @property
    def label(self) -> str:
        """See `Table.label`."""
        return self.origin.label

    def parts(self, chunk_rows: int) -> Iterator[Part]:
        """See `Table.parts`."""
        books = _Books(self)
        tables: list[pa.Table] = []
        lines: list[Lines] = []
        held = 0
        for batch, batch_lines in books.batches():
            tables.append(batch)
            lines.append(batch_lines)
            held += batch.num_rows
            if held < chunk_rows:
                continue
            rows, numbers = pa.concat_tables(tables), np.concatenate(lines)
            while rows.num_rows >= chunk_rows:
                yield Part(rows.slice(0, chunk_rows), numbers[:chunk_rows], unreadable=books.take_unreadable())
                rows, numbers = rows.slice(chunk_rows), numbers[chunk_rows:]
            tables, lines, held = [rows], [numbers], rows.num_rows
        self.origin.require_unchanged()
        rows = pa.concat_tables(tables) if tables else books.schema.empty_table()
        numbers = np.concatenate(lines) if lines else np.empty(0, np.int64)
        yield Part(rows, numbers, unreadable=books.take_unreadable(), findings=books.findings())


def open_csv(path: Path, label: str, source: SourceSpec) -> CsvTable:
    """Check a CSV file's bytes and read its header.

    Raises:
        ConfigError: Empty, wrong encoding, no header, a column twice, or a key column missing.
    """
    origin = Origin.of(path, label)
    text = inspect(path, label, declared=source.encoding, header_names=source.row_key)
    if not source.delimiter.isascii():
        raise ConfigError(
            f"the delimiter '{source.delimiter}' is not ASCII", where=label, hint="use , ; | or a tab as delimiter"
        )
    rows: list[list[str]] = []
    try:
        with path.open(encoding=text.encoding, newline="") as file:
            # Physical lines: newline="" keeps the endings, and splits at \n, \r\n and \r alike.
            titles = sum(1 for _ in zip(range(source.skip_rows), iter(file.readline, ""), strict=False))
            reader = csv.reader(iter(file.readline, ""), delimiter=source.delimiter)
            rows = [row for _, row in zip(range(source.header_rows), reader, strict=False)]
            header_line = titles + reader.line_num
    except csv.Error as error:
        raise ConfigError(
            f"the header cannot be read ({error})",
            where=f"{label}:{source.skip_rows + 1}",
            hint="look for a quotation mark that is never closed",
        ) from error
    if len(rows) < source.header_rows:
        raise ConfigError(
            "the file ends before its header does",
            where=f"{label}:{header_line}",
            hint="correct skip_rows and header_rows of the source, or export the file again",
        )
    columns, findings = join_header(rows, label=label, line=header_line)
    require_key(columns, source.row_key, where=f"{label}:{header_line}")
    return CsvTable(
        origin=origin,
        text=text,
        delimiter=source.delimiter,
        columns=columns,
        header_line=header_line,
        findings=[_encoding_finding(text, label, source.encoding), *findings],
    )


def _encoding_finding(text: TextFile, label: str, declared: str) -> Finding:
    detail = {"encoding": text.encoding, "scores": text.scores}
    if not text.certain:
        return Finding(
            id="source.encoding_uncertain",
            level=Level.WARNING,
            message=f"read as {text.encoding}, but the file is too short to tell it from another encoding",
            where=label,
            hint=f"look at a few names; if they are right, set encoding: {text.encoding}",
            detail=detail,
        )
    how = "detected" if declared == "auto" else "declared"
    return Finding(
        id="source.encoding",
        level=Level.INFO,
        message=f"encoding {how}: {text.encoding}",
        where=label,
        detail=detail,
    )


class _Books:
    """Parses one file and keeps track of lines, ragged rows, blank rows and line breaks inside cells."""

    def __init__(self, table: CsvTable) -> None:
        self.table = table
        self.schema = pa.schema([(name, pa.string()) for name in table.columns])
        self.next_line = self.last_line = table.header_line + 1
        # Arrow counts skipped header lines as rows, too.
        self.next_number = table.header_line + 1
        self.ragged_rows = self.blank_rows = self.broken_rows = 0
        self._invalid: list[tuple[int, Unreadable]] = []
        self._unreadable: list[Unreadable] = []
        self._end = "\0rollout: end of file\0" + table.delimiter * len(table.columns)
        self._closed = False

    def batches(self) -> Iterator[tuple[pa.Table, Lines]]:
        """Readable rows with a value, and the line of each."""
        with self.table.origin.path.open("rb", buffering=0) as file:
            try:
                for batch in self._open(file):
                    rows = pa.Table.from_batches([batch])
                    lines = self._number(rows)
                    yield self._drop_blank(rows, lines)
            except pa.ArrowInvalid as error:
                raise ConfigError(
                    f"a row at or after line {self.next_line} is longer than {BLOCK_BYTES >> 20} MB ({error})",
                    where=f"{self.table.label}:{self.next_line}",
                    hint="look for a quotation mark that is never closed",
                ) from error
        self._number(self.schema.empty_table())
        if not self._closed:
            raise ConfigError(
                "a quotation mark in this row is never closed; it swallows the rest of the file",
                where=f"{self.table.label}:{self.last_line}",
                hint="close it, or write two of them where one belongs to the text",
            )

    def take_unreadable(self) -> list[Unreadable]:
        """Rows set aside since the last call."""
        taken, self._unreadable = self._unreadable, []
        return taken

    def findings(self) -> list[Finding]:
        """What the whole file showed; complete after the last batch."""
        facts = (
            ("source.ragged_rows", Level.WARNING, self.ragged_rows, "row(s) have too many or too few cells"),
            ("source.blank_rows", Level.INFO, self.blank_rows, "row(s) hold no value at all and are left out"),
            ("source.line_breaks", Level.INFO, self.broken_rows, "row(s) have a line break inside a cell"),
            ("source.nul_bytes", Level.WARNING, self.table.text.nul_bytes, "NUL character(s) stand in cells"),
        )
        hints = {
            "source.ragged_rows": "they are set aside with their text; repair them in the file",
            "source.nul_bytes": "text normalisation removes them; ask how the file was made",
        }
        return [
            Finding(
                id=id_,
                level=level,
                message=f"{count} {what}",
                where=self.table.label,
                hint=hints.get(id_, ""),
                count=count,
            )
            for id_, level, count, what in facts
            if count
        ]

    def _open(self, file: BinaryIO) -> arrow_csv.CSVStreamingReader:
        encoding = self.table.text.encoding
        return arrow_csv.open_csv(
            pa.PythonFile(_WithEnd(file, self._end), mode="r"),
            read_options=arrow_csv.ReadOptions(
                column_names=list(self.table.columns),
                skip_rows=self.table.header_line,
                encoding="utf8" if encoding in {"utf-8", "utf-8-sig"} else encoding,
                block_size=BLOCK_BYTES,
                use_threads=False,  # rows are numbered only when parsed in order
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.table.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=self._set_aside,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=self.schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )

    def _set_aside(self, row: arrow_csv.InvalidRow) -> str:
        if row.text == self._end:
            self._closed = True
            return "skip"
        reason = f"{row.expected_columns} cells expected, {row.actual_columns} found"
        self._invalid.append((row.number, Unreadable(0, row.text, reason)))
        return "skip"

    def _number(self, rows: pa.Table) -> Lines:
        """The line each row starts at; files away the ragged rows before, between and directly behind them."""
        count = rows.num_rows
        ragged = [number for number, _ in self._invalid]
        # before[j]: readable rows of this batch that precede the j-th ragged one
        before = np.asarray(ragged, np.int64) - np.arange(len(ragged)) - self.next_number
        taken = int(np.searchsorted(before, count, side="right"))
        offsets = np.arange(count) + np.searchsorted(before[:taken], np.arange(count), side="right")
        span = count + taken
        heights = np.ones(span, np.int64)
        heights[offsets] += self._breaks(rows)
        ragged_offsets = before[:taken] + np.arange(taken)
        heights[ragged_offsets] += np.asarray([_break_count(item.raw) for _, item in self._invalid[:taken]], np.int64)
        starts = self.next_line + np.cumsum(heights) - heights
        for offset, (_, item) in zip(ragged_offsets, self._invalid[:taken], strict=True):
            self._unreadable.append(Unreadable(int(starts[offset]), item.raw, item.reason))
        self.ragged_rows += taken
        if span:
            self.last_line = int(starts[-1])
        self.next_line += int(heights.sum())
        self.next_number += span
        del self._invalid[:taken]
        return starts[offsets]

    def _breaks(self, rows: pa.Table) -> Lines:
        """Line breaks inside the cells of each row."""
        total = np.zeros(rows.num_rows, np.int64)
        if not self.table.text.has_quotes or not rows.num_rows:
            return total
        for column in rows.itercolumns():
            if not _contains_break(column):
                continue
            for pattern, sign in (("\n", 1), ("\r", 1), ("\r\n", -1)):
                counts = pc.fill_null(pc.count_substring(column, pattern), 0)
                total += sign * counts.to_numpy().astype(np.int64)
        self.broken_rows += int(np.count_nonzero(total))
        return total

    def _drop_blank(self, rows: pa.Table, lines: Lines) -> tuple[pa.Table, Lines]:
        empty = None
        for column in rows.itercolumns():
            if column.null_count == 0:
                return rows, lines
            nulls = pc.is_null(column)
            empty = nulls if empty is None else pc.and_(empty, nulls)
        keep = ~empty.to_numpy() if empty is not None else np.ones(rows.num_rows, bool)
        if keep.all():
            return rows, lines
        self.blank_rows += int(np.count_nonzero(~keep))
        return rows.filter(pa.array(keep)), lines[keep]


def _contains_break(column: pa.ChunkedArray) -> bool:
    """Whether any cell may contain a line break: a search over the raw text, far cheaper than counting by cell."""
    texts = (chunk.buffers()[2] for chunk in column.chunks)
    return any(text is not None and (b"\n" in (raw := text.to_pybytes()) or b"\r" in raw) for text in texts)


def _break_count(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class _WithEnd:
    """A file with one more record behind its last: it comes out by itself only if all quotation marks are closed.

    The record has one cell more than the header, so that Arrow hands it over as it stands.
    """

    closed = False

    def __init__(self, file: BinaryIO, end: str) -> None:
        self._file = file
        self._end = end.encode("ascii")
        self._last = b"\n"
        self._ended = False

    def read(self, size: int) -> bytes:
        """The next bytes: at most ``size`` of the file, and our own record in one piece behind them."""
        block = self._file.read(size)
        self._last = block[-1:] or self._last
        # A short block is the last one. Our record goes with it: Arrow wants whole lines in its first block.
        if self._ended or len(block) + len(self._end) >= size:
            return block
        self._ended = True
        return block + (self._end if self._last in {b"\n", b"\r"} else b"\n" + self._end)
