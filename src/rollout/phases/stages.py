"""Stages: what a phase hands to the next, as immutable Parquet files named by the hash of all that went into them.

``{workspace}/stages/{entity}/{kind}-{hash16}.parquet``, with a ``.json`` beside it that tells what it is. A stage is
written under a temporary name and renamed, its ``.json`` last: what has one is whole, and is never computed again.

Stages hold personal data **in clear**, the raw values in quarantine among it: a legacy file's rows, mapped and not.
Files are 0600 in folders of 0700; keep the workspace on an encrypted volume. Nothing deletes stages: remove them when
the rollout is over, or before, since they are computed again. What the journal keeps of rows is sealed; stages are not,
because DuckDB and Arrow read them by column straight from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

import rollout
from rollout.match.parquet import open_parquet

STAGE_FORMAT = 1
"""Raised when stages of an older version can no longer be read."""
_COMPUTING = (
    "connectors/files",
    "connectors/sql.py",
    "mapping",
    "cleanse",
    "match",
    "phases/stages.py",
    "phases/raw.py",
    "phases/cleanse.py",
    "phases/cleansing.py",
    "phases/matching.py",
    "phases/past.py",
    "phases/map_rows.py",
    "phases/maps.py",
    "phases/worded.py",
    "phases/deferred.py",
    "phases/dormant.py",
    "assess/dormancy.py",
    "phases/references.py",
    "phases/waves.py",
)
_DECIDING = (
    *("phonenumbers", "email-validator", "python-stdnum", "opencc", "pypinyin"),
    *("python-calamine", "openpyxl", "pyarrow", "pandas", "duckdb", "splink"),
)
"""Distributions whose rules and parsers decide what a cell becomes."""

M = TypeVar("M", bound=BaseModel)


def digest(*parts: Any) -> str:
    """16 hexadecimal digits of a hash over JSON-able parts and pydantic models, in order."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def code_version() -> str:
    """Hash of the code that computes stages, and of what it decides with: a changed rule or reader makes new ones."""
    home = Path(rollout.__file__).parent
    found = hashlib.sha256(str(STAGE_FORMAT).encode())
    for name in _COMPUTING:
        path = home / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found.update(file.read_bytes())
    found.update(repr([(name, version(name)) for name in _DECIDING]).encode())
    return found.hexdigest()[:16]


class StageWriter:
    """Writes tables to a Parquet file that appears only when it is whole. Columns may join while writing.

    All columns are text but those named in ``integers``. A table that lacks a column has nulls there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._parts: list[Path] = []
        self._schema: Any = None
        self._writer: Any = None

    def write(self, table: Any) -> None:
        """Append rows. A schema other than the last one starts a new part."""
        if self._writer is None or table.schema != self._schema:
            self._close()
            self._schema = table.schema
            part = self.path.with_name(f".{self.path.name}.{os.getpid()}.{len(self._parts)}.tmp")
            self._parts.append(part)
            self._writer = open_parquet(part, table.schema)
        self._writer.write_table(table)
        self.rows += table.num_rows

    def commit(self) -> None:
        """Make the file appear under its name; several parts become one."""
        self._close()
        if not self._parts:
            raise ValueError("a stage needs at least one table, even an empty one")
        whole = self._parts[0] if len(self._parts) == 1 else self._joined()
        whole.replace(self.path)
        self._parts = [part for part in self._parts if part != whole]
        self.discard()

    def discard(self) -> None:
        """Remove what was written under temporary names."""
        self._close()
        for part in self._parts:
            part.unlink(missing_ok=True)
        self._parts = []

    def _joined(self) -> Path:
        """One file with the columns of all parts."""
        schema = pa.unify_schemas([pq.read_schema(part) for part in self._parts])
        whole = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        with open_parquet(whole, schema) as writer:
            for part in self._parts:
                for batch in pq.ParquetFile(part).iter_batches():
                    table = pa.Table.from_batches([batch])
                    columns = [
                        table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
                        for field in schema
                    ]
                    writer.write_table(pa.table(columns, schema=schema))
        return whole

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class StageStore:
    """The stages of a workspace.

    Args:
        root: The workspace's folder of stages.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, entity: str, kind: str, key: str, suffix: str = "parquet") -> Path:
        """Where a stage lies; its folder exists."""
        folder = self.root / entity
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{kind}-{key}.{suffix}"

    @contextmanager
    def writer(self, path: Path) -> Iterator[StageWriter]:
        """A writer that commits at the end and leaves nothing behind when the work fails."""
        writer = StageWriter(path)
        try:
            yield writer
            writer.commit()
        finally:
            writer.discard()

    def save(self, path: Path, model: BaseModel) -> None:
        """Write a stage's description, atomically."""
        part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(model.model_dump_json(indent=1))
        part.replace(path)

    def load(self, path: Path, kind: type[M], *, files: tuple[str, ...] = ()) -> M | None:
        """A stage's description; None if it, or a file that its fields ``files`` name, is missing or damaged."""
        try:
            model = kind.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        named = (Path(str(getattr(model, name))) for name in files)
        return model if all((self.root / file).exists() for file in named) else None

    def relative(self, path: Path) -> str:
        """How descriptions name a stage: workspaces move."""
        return path.relative_to(self.root).as_posix()


@contextmanager
def engine(root: Path, *, memory_limit: str = "768MB") -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB for work over Parquet: bounded memory, spilling into the workspace, nothing fetched from anywhere.

    Args:
        root: Folder that holds the spill files while the connection is open.
        memory_limit: As DuckDB writes it.
    """
    spill = root / ".spill"
    spill.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": memory_limit,
            "temp_directory": str(spill),
            "threads": str(min(os.cpu_count() or 1, 4)),
            "preserve_insertion_order": "false",
        }
    )
    try:
        # It draws its bar on stdout once a query takes two seconds: in the middle of what --json answers.
        connection.execute("SET enable_progress_bar = false")
        yield connection
    finally:
        connection.close()
