"""The raw stage: a source's rows as they are, each with a key of its own, read once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from rollout.connectors.base import FileFingerprint, SourceChunk, SourceReader
from rollout.errors import ConfigError, Retryable
from rollout.mapping.spec import RESERVED_COLUMNS, MappingSpec, SourceSpec
from rollout.mapping.transforms_base import TransformContext
from rollout.mapping.transforms_text import one_line, tidy
from rollout.match.parquet import scan
from rollout.model.base import Frozen
from rollout.model.finding import Finding, Level
from rollout.phases.context import PhaseContext, Progress, shown
from rollout.phases.stages import StageStore, code_version, digest

_UNREADABLE = ("_source_key", "_source", "_file", "_sheet", "_line", "raw", "reason")


class Part(Frozen):
    """One file or sheet of a source, and the columns it has."""

    file: str
    sheet: str
    columns: tuple[str, ...]


class RawStage(Frozen):
    """A source as read. Paths are relative to the workspace's stages."""

    entity: str
    source: str
    key: str = Field(description="The stage's hash.")
    file: str = Field(description="Parquet of the rows: the source's columns and ours.")
    unreadable_file: str = Field(description="Parquet of what could not be read as a row.")
    rows: int
    unreadable: int
    repeated_keys: int = Field(description="Rows whose key an earlier row has.")
    blank_keys: int = Field(description="Rows without a key.")
    size_bytes: int
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    @property
    def source_rows(self) -> int:
        """Rows the source has, readable or not."""
        return self.rows + self.unreadable

    def lacking(self, mapping: MappingSpec) -> dict[str, list[str]]:
        """The files (and sheets) that lack columns which a mapping needs, and which."""
        told = {f"{part.file}{f'[{part.sheet}]' if part.sheet else ''}": part for part in self.parts}
        found = {name: mapping.lacking(part.columns) for name, part in told.items()}
        return {name: missing for name, missing in found.items() if missing}


_NUMBERED = "~[0-9]+$"
"""How a key ends that was made distinct from an earlier one."""


class KeyMaker:
    """Gives every row of a source a key of its own, in file order, within bounded memory (8 bytes a row)."""

    def __init__(self, source: SourceSpec) -> None:
        self.source = source
        self.repeated = 0
        self.blank = 0
        self.first: dict[str, str] = {}
        self._seen = np.empty(0, np.uint64)
        self._numbered: set[int] = set()
        self._count: dict[str, int] = {}

    def keys(self, table: Any) -> tuple[Any, Any]:
        """Keys of a chunk, and what they repeat.

        A key is the key columns joined with "|"; repeated ones end in ~2, ~3; where there is none, a digest of the
        row stands in for it, since the line that it is on is another row's as soon as one is inserted. The second is
        source and key before it was numbered where equal keys mean the same record (`repeats: same`), else null.
        """
        tidied = [one_line(tidy(_text(table, column), TransformContext()).values) for column in self.source.row_key]
        joined = pc.binary_join_element_wise(*(pc.fill_null(part, "") for part in tidied), "|")
        blank = pc.is_null(tidied[0])
        for part in tidied[1:]:
            blank = pc.and_(blank, pc.is_null(part))
        found = int(pc.sum(blank).as_py() or 0)
        if found:
            self.blank += found
            self._remember("blank", table, blank.index(True).as_py())
            joined = pc.replace_with_mask(joined, blank, _digests(table.filter(blank)))
        keys = self.unique(joined, table, blank.to_numpy(zero_copy_only=False))
        absent = pa.scalar(None, pa.string())
        if self.source.repeats == "apart":
            return keys, pa.repeat(absent, table.num_rows)
        return keys, pc.if_else(blank, absent, _prefixed(self.source, joined))

    def unique(self, keys: Any, table: Any, blank: Any) -> Any:
        """The keys with those that occurred before made distinct. ``blank``: which rows have only a stand-in."""
        texts = keys.to_numpy(zero_copy_only=False)
        hashes = pd.util.hash_array(texts, categorize=False)
        again = pd.Series(hashes).duplicated().to_numpy() | self._known(hashes)
        self._seen = np.sort(np.concatenate([self._seen, hashes[~again]]), kind="stable")
        if not again.any():
            return keys
        texts = texts.copy()
        for row in np.flatnonzero(again):
            texts[row] = self._number(texts[row])
            if not blank[row]:  # stand-ins repeat where rows are the same in all they hold
                self.repeated += 1
                self._remember("repeated", table, int(row))
        return pa.array(texts, pa.string())

    def findings(self, entity: str) -> list[Finding]:
        """What was noticed about the keys. Where rows may hold several records, one without a key may hold none."""
        shared = self.source.repeats == "same"
        columns = ", ".join(self.source.row_key)
        told = (
            (
                "source.key_repeated",
                0 if shared else self.repeated,
                "repeated",
                "rows repeat a row key; they were kept apart as key~2, …",
            ),
            ("source.key_blank", self.blank, "blank", "rows have no row key; a digest of the row stands in for it"),
        )
        return [
            Finding(
                id=code,
                level=Level.INFO if shared else Level.WARNING,
                message=f"{count} {text} ({columns})",
                where=self.first[kind],
                hint="choose columns for row_key that identify a row, or give these rows a key of their own",
                count=count,
                detail={"entity": entity, "source": self.source.name},
            )
            for code, count, kind, text in told
            if count
        ]

    def _number(self, key: str) -> str:
        """The key with the next number that makes it distinct."""
        while True:
            self._count[key] = self._count.get(key, 1) + 1
            numbered = f"{key}~{self._count[key]}"
            hashed = pd.util.hash_array(np.array([numbered], dtype=object), categorize=False)
            if int(hashed[0]) not in self._numbered and not self._in_files(hashed)[0]:
                self._numbered.add(int(hashed[0]))
                return numbered

    def _known(self, hashes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Which hashes were given away before. Two keys with one hash only cost the second a number."""
        known = self._in_files(hashes)
        if self._numbered:
            known |= np.isin(hashes, np.fromiter(self._numbered, np.uint64, len(self._numbered)))
        return known

    def _in_files(self, hashes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if len(self._seen) == 0:
            return np.zeros(len(hashes), bool)
        at = np.minimum(np.searchsorted(self._seen, hashes), len(self._seen) - 1)
        return np.asarray(self._seen[at] == hashes)

    def _remember(self, kind: str, table: Any, row: int) -> None:
        self.first.setdefault(kind, f"{table['_file'][row].as_py()}:{table['_line'][row].as_py()}")


def read_source(context: PhaseContext, entity: str, source: SourceSpec) -> RawStage:
    """The raw stage of a source, read now or taken from the workspace if nothing changed.

    Raises:
        ConfigError: Nothing matches, a file lacks a key column, or the system cannot be read as a source.
        Retryable: The source changed while it was read, or cannot be reached.
    """
    spec = context.project.spec
    return read_raw(
        StageStore(context.project.workspace.stages),
        context.source(source.system),
        entity,
        source,
        chunk_rows=spec.cleanse.chunk_rows,
        progress=context.progress,
    )


def read_raw(
    store: StageStore, reader: SourceReader, entity: str, source: SourceSpec, *, chunk_rows: int, progress: Progress
) -> RawStage:
    """`read_source` over its parts; for tests and benchmarks."""
    prints: list[FileFingerprint] = reader.fingerprint(source)
    key = digest(code_version(), source, [(item.path, item.sha256) for item in prints])
    description = store.path(entity, f"raw_{source.name}", key, "json")
    known = store.load(description, RawStage, files=("file", "unreadable_file"))
    if known is not None:
        return known
    rows_path = store.path(entity, f"raw_{source.name}", key)
    bad_path = store.path(entity, f"unreadable_{source.name}", key)
    maker = KeyMaker(source)
    parts: dict[tuple[str, str], Part] = {}
    findings: list[Finding] = []
    with (
        store.writer(rows_path) as rows,
        store.writer(bad_path) as bad,
        shown(progress, f"reading {source.name}", None, "rows"),
    ):
        bad.write(_as_text(pd.DataFrame({name: [] for name in _UNREADABLE})))
        seen: list[FileFingerprint] = []
        for chunk in reader.read(source, chunk_rows=chunk_rows):
            findings += chunk.findings
            seen += [chunk.fingerprint] if chunk.fingerprint else []
            table = _as_text(chunk.frame)
            _check_columns(table, source)
            _note_part(parts, table, chunk)
            rows.write(_keyed(table, *maker.keys(table), source))
            if chunk.unreadable is not None and len(chunk.unreadable):
                lost = _as_text(chunk.unreadable)
                keys = maker.unique(_place(lost), lost, np.ones(lost.num_rows, bool))
                bad.write(_keyed(lost, keys, pa.nulls(lost.num_rows, pa.string()), source).select(_UNREADABLE))
            progress.advance(table.num_rows)
        if (seen or reader.fingerprint(source)) != prints:  # it would pass for what the source was before
            told = f"source '{source.name}' changed while it was read"
            raise Retryable(told, where=prints[0].path, hint="run it again when nothing writes to the source")
    stage = RawStage(
        entity=entity,
        source=source.name,
        key=key,
        file=store.relative(rows_path),
        unreadable_file=store.relative(bad_path),
        rows=rows.rows,
        unreadable=bad.rows,
        repeated_keys=maker.repeated,
        blank_keys=maker.blank,
        size_bytes=sum(item.size_bytes for item in prints),
        parts=tuple(parts.values()),
        findings=(*findings, *maker.findings(entity)),
    )
    store.save(description, stage)
    return stage


def _text(table: Any, column: str) -> Any:
    values = table[column]
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _as_text(frame: pd.DataFrame) -> Any:
    """An Arrow table, every column text but `_line`, without the frame's index."""
    columns = {}
    for name in frame.columns:
        array = pa.array(frame[name], from_pandas=True)
        whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        columns[str(name)] = whole.cast(pa.int64() if name == "_line" else pa.string())
    return pa.table(columns)


def _digests(table: Any) -> Any:
    """What each row holds, as its stand-in for a key: @ and 16 hexadecimal digits."""
    columns = [name for name in table.column_names if name not in RESERVED_COLUMNS]
    rows = table.select(columns).to_pylist()
    return pa.array([f"@{digest({name: cell for name, cell in row.items() if cell})}" for row in rows], pa.string())


def _place(table: Any) -> Any:
    """Where each row lies that could not be read, as its stand-in for a key: @file#line."""
    line = pc.cast(_text(table, "_line"), pa.string())
    return pc.binary_join_element_wise(pa.scalar("@"), _text(table, "_file"), pa.scalar("#"), line, "")


def _prefixed(source: SourceSpec, keys: Any) -> Any:
    return pc.binary_join_element_wise(pa.scalar(f"{source.name}:"), keys, "")


def _keyed(table: Any, keys: Any, repeats: Any, source: SourceSpec) -> Any:
    return (
        table.append_column("_key", keys)
        .append_column("_source_key", _prefixed(source, keys))
        .append_column("_source", pa.repeat(pa.scalar(source.name), table.num_rows))
        .append_column("_repeats", repeats)
    )


def referable_rows(root: Path, raws: Iterable[RawStage]) -> str:
    """SQL of an entity's raw rows as others refer to them.

    Columns: key (what a reference holds), source_key, unit (rows of one unit are the same record, each once more).
    A row that was numbered because an earlier one has its key is there by both: whoever refers to the key may mean it.
    """
    columns = "_key, _source_key, _source, _repeats"
    rows = " UNION ALL ".join(f"SELECT {columns} FROM {scan(root / raw.file)}" for raw in raws)  # noqa: S608
    return (
        f"WITH whole AS ({rows}), numbered AS (SELECT *, regexp_replace(_key, '{_NUMBERED}', '') AS base FROM whole"  # noqa: S608
        f" WHERE _repeats IS NULL AND regexp_matches(_key, '{_NUMBERED}'))"
        " SELECT coalesce(substr(_repeats, length(_source) + 2), _key) AS key, _source_key AS source_key,"
        " coalesce(_repeats, _source_key) AS unit FROM whole"
        " UNION ALL SELECT base, _source_key, _source_key FROM numbered"
        " SEMI JOIN whole ON whole._source = numbered._source AND whole._key = numbered.base"
    )


def _check_columns(table: Any, source: SourceSpec) -> None:
    missing = [column for column in source.row_key if column not in table.column_names]
    if missing:
        own = [name for name in table.column_names if name not in RESERVED_COLUMNS]
        file = table["_file"][0].as_py() if table.num_rows else source.path or source.name
        raise ConfigError(
            f"source '{source.name}' has no column '{missing[0]}', which its row_key names",
            where=str(file),
            hint=f"its columns are: {', '.join(own[:40])}; check header_rows and skip_rows too",
        )


def _note_part(parts: dict[tuple[str, str], Part], table: Any, chunk: SourceChunk) -> None:
    file, sheet = chunk.file, chunk.sheet
    if table.num_rows:
        file, sheet = table["_file"][0].as_py(), table["_sheet"][0].as_py() or ""
    own = tuple(name for name in table.column_names if name not in RESERVED_COLUMNS)
    parts.setdefault((file, sheet), Part(file=file, sheet=sheet, columns=own))
