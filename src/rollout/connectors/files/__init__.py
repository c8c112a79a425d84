"""Legacy data in files: CSV, XLSX and XLS below one folder.

Frames have pandas' default `str` columns (backed by Arrow, missing values as NaN): an empty cell is missing, never an
empty string. Nothing else is interpreted; surrounding spaces, full-width digits and control characters arrive as they
stand. Each frame has the columns of its own file or sheet; those of one source may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from rollout.connectors.base import Capabilities, FileFingerprint, SourceChunk
from rollout.connectors.files.delimited import open_csv
from rollout.connectors.files.guard import is_workbook
from rollout.connectors.files.table import Part, Table
from rollout.connectors.files.workbook import open_sheets
from rollout.errors import ConfigError, UnsupportedOperation
from rollout.mapping.spec import SourceSpec
from rollout.model.base import Frozen
from rollout.model.entity import TargetSchema
from rollout.model.finding import Finding, Level

LOCK_PREFIX = "~$"
"""Excel leaves such a file beside a workbook that somebody has open."""

WORKBOOK_SUFFIXES = {".xlsx", ".xlsm", ".xls"}
"""With `format: auto` a file's first bytes decide; a file named like this must be a workbook."""


class FilesOptions(Frozen):
    """Options of a system with `connector: files`."""

    root: str = "."
    """Folder that the sources' paths start in, relative to the project file."""


class FilesConnector:
    """Reads CSV, XLSX and XLS files.

    Args:
        name: The system's name in the project.
        options: See `FilesOptions`.
        base_dir: The project's folder.
    """

    def __init__(self, name: str, options: Mapping[str, Any], base_dir: Path) -> None:
        try:
            root = FilesOptions.model_validate(dict(options)).root
        except ValidationError as error:
            raise ConfigError(
                f"options of system '{name}': {error.errors()[0]['msg']}",
                where=f"systems.{name}.options.{'.'.join(map(str, error.errors()[0]['loc']))}",
                hint="the connector `files` has one option: root",
            ) from error
        self.name = name
        self.capabilities = Capabilities()
        self.base_dir = base_dir.resolve()
        self.root = (base_dir / root).resolve()

    def check(self) -> list[Finding]:
        """The folder is there and can be listed."""
        try:
            next(self.root.iterdir(), None)
        except OSError as error:
            return [
                Finding(
                    id="source.folder_missing",
                    level=Level.ERROR,
                    message=f"the folder of system '{self.name}' cannot be read: {error.strerror}",
                    where=str(self.root),
                    hint="correct `root`, or put the files there",
                )
            ]
        return []

    def describe(self) -> TargetSchema:
        """Files have no schema of entities."""
        raise UnsupportedOperation(f"system '{self.name}' holds files and cannot be a target")

    def close(self) -> None:
        """Nothing is kept open."""

    def fingerprint(self, source: SourceSpec) -> list[FileFingerprint]:
        """SHA-256 of every file of a source, in reading order."""
        fingerprints = []
        for path in self._paths(source):
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
                fingerprints.append(FileFingerprint(self._label(path), digest, file.tell()))
        return fingerprints

    def read(self, source: SourceSpec, *, chunk_rows: int) -> Iterator[SourceChunk]:
        """All rows in file order; see the module's docstring and `SourceChunk`.

        What is told of a file as a whole comes with its last chunk, the rest with its first.
        """
        for path in self._paths(source):
            tables, findings = self._open(path, source)
            for table in tables:
                yield from _chunks(table, chunk_rows, findings)
                findings = []

    def _open(self, path: Path, source: SourceSpec) -> tuple[Sequence[Table], list[Finding]]:
        """The tables of a file, and findings on sheets that were passed over."""
        label = self._label(path)
        if source.format in {"xlsx", "xls"} or (
            source.format == "auto" and (is_workbook(path) or path.suffix.lower() in WORKBOOK_SUFFIXES)
        ):
            return open_sheets(path, label, source)
        return [open_csv(path, label, source)], []

    def _paths(self, source: SourceSpec) -> list[Path]:
        """The files of a source, sorted by path.

        Raises:
            ConfigError: The pattern leaves the system's folder, or nothing matches.
        """
        if source.path is None:
            raise ConfigError(
                f"source '{source.name}' has a query, but system '{self.name}' holds files",
                where=f"sources.{source.name}",
                hint="give the source a path",
            )
        pattern = PurePosixPath(source.path)
        if pattern.is_absolute() or ".." in pattern.parts:
            raise ConfigError(
                f"the path '{source.path}' of source '{source.name}' leaves the folder of system '{self.name}'",
                where=f"sources.{source.name}.path",
                hint="give a path below the system's root",
            )
        paths = sorted(path for path in self._glob(source) if not path.name.startswith(LOCK_PREFIX))
        if not paths:
            raise ConfigError(
                f"no file matches '{source.path}' in {self.root}",
                where=f"sources.{source.name}.path",
                hint="put the files there, or correct the path (names are case-sensitive)",
            )
        for path in paths:
            if not path.resolve().is_relative_to(self.root):
                raise ConfigError(
                    f"'{self._label(path)}' is a link that leaves the folder of system '{self.name}'",
                    where=f"sources.{source.name}.path",
                    hint="copy the file into the folder",
                )
        return paths

    def _glob(self, source: SourceSpec) -> Iterable[Path]:
        try:
            return [path for path in self.root.glob(str(source.path)) if path.is_file()]
        except (ValueError, NotImplementedError) as error:
            raise ConfigError(
                f"the path '{source.path}' of source '{source.name}' is not a pattern: {error}",
                where=f"sources.{source.name}.path",
                hint="use names with * and ?, and ** for any folders",
            ) from error

    def _label(self, path: Path) -> str:
        """The file as people know it: relative to the project, or to the root where that lies elsewhere."""
        base = self.base_dir if path.is_relative_to(self.base_dir) else self.root
        return path.relative_to(base).as_posix()


def _chunks(table: Table, chunk_rows: int, passed: list[Finding]) -> Iterator[SourceChunk]:
    from rollout.connectors.files.frames import chunk  # noqa: PLC0415 - pandas is only wanted by who reads

    findings = [*passed, *table.findings]
    rows = 0
    # One part is held back: what only the whole file shows goes with its last rows.
    held: Part | None = None
    for part in table.parts(chunk_rows):
        rows += part.rows.num_rows + len(part.unreadable)
        if held is None:
            held = part
        elif part.rows.num_rows or part.unreadable:
            yield chunk(held, table, findings)
            held, findings = part, []
        else:
            findings = [*findings, *part.findings]
    if held is not None:
        yield chunk(held, table, [*findings, *_no_rows(table, rows)])


def _where(table: Table) -> str:
    return f"{table.label}[{table.sheet}]" if table.sheet else table.label


def _no_rows(table: Table, rows: int) -> list[Finding]:
    if rows:
        return []
    return [
        Finding(
            id="source.no_rows",
            level=Level.WARNING,
            message="has a header and no rows",
            where=_where(table),
            hint="make sure that the export was complete",
        )
    ]
