"""Legacy data in databases, read with a query through SQLAlchemy.

Values become text by one rule, whatever the database: text as it stands; whole numbers as digits; decimals and floats
without exponent or trailing zeros; truth values ``true`` and ``false``; dates ``YYYY-MM-DD``, times and instants in ISO
form (an instant with a zone in UTC, ending in Z; one without stays without, the source's `time_zone` applies); bytes
as hexadecimal digits; UUIDs and JSON as their text; NULL and the empty string as missing. Frames have pandas' default
`str` columns. `_file` is the system's name, `_line` the row's number in the answer, from 1. Nothing is ever committed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from rollout.connectors.base import Capabilities, FileFingerprint, SourceChunk
from rollout.errors import ConfigError, Retryable, UnsupportedOperation
from rollout.mapping.spec import RESERVED_COLUMNS, SourceSpec
from rollout.model.base import Frozen
from rollout.model.entity import TargetSchema
from rollout.model.finding import Finding, Level

FINGERPRINT_ROWS = 10_000


class SqlOptions(Frozen):
    """Options of a system with `connector: sql`."""

    url: str
    """SQLAlchemy address, as a rule `${env:NAME}` because it holds the password."""


class SqlConnector:
    """Reads the answer to a query, streamed.

    Args:
        name: The system's name in the project.
        options: See `SqlOptions`.
        base_dir: The project's folder; a relative path of an SQLite database starts here.
    """

    def __init__(self, name: str, options: Mapping[str, Any], base_dir: Path) -> None:
        self.name = name
        self.capabilities = Capabilities()
        try:
            url = sa.make_url(SqlOptions.model_validate(dict(options)).url)
            if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
                # A missing SQLite file would be created, empty.
                path = (base_dir / url.database).resolve()
                if not path.is_file():
                    raise ConfigError(
                        f"there is no SQLite database at {path}", where=self._where("url"), hint="correct the url"
                    )
                url = url.set(database=str(path))
            self._engine = sa.create_engine(url)
        except ValidationError as error:
            raise ConfigError(
                f"options of system '{name}': {error.errors()[0]['msg']}",
                where=self._where(".".join(map(str, error.errors()[0]["loc"]))),
                hint="the connector `sql` has one option: url",
            ) from error
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            # The message may hold the address, and the address a password: it is not repeated.
            raise ConfigError(
                f"the url of system '{name}' cannot be used ({type(error).__name__})",
                where=self._where("url"),
                hint="give an SQLAlchemy address whose driver is installed, such as postgresql+psycopg://…",
            ) from error

    def check(self) -> list[Finding]:
        """Connect, and ask nothing."""
        try:
            with self._engine.connect():
                return []
        except SQLAlchemyError as error:
            return [
                Finding(
                    id="source.database_unreachable",
                    level=Level.ERROR,
                    message=f"system '{self.name}' cannot be reached ({type(error).__name__})",
                    where=self._where("url"),
                    hint="check address, user and password, and that the database runs",
                )
            ]

    def describe(self) -> TargetSchema:
        """A legacy database is no target."""
        raise UnsupportedOperation(f"system '{self.name}' is read with queries and cannot be a target")

    def close(self) -> None:
        """Close pooled connections."""
        self._engine.dispose()

    def fingerprint(self, source: SourceSpec) -> list[FileFingerprint]:
        """The hash of the query and of its answer, whatever order the rows come in."""
        with self._answer(source, FINGERPRINT_ROWS) as (columns, blocks):
            found = _Digest([source.query, columns])
            for block in blocks:
                found.add(block)
        return [found.fingerprint(self.name)]

    def read(self, source: SourceSpec, *, chunk_rows: int) -> Iterator[SourceChunk]:
        """The answer in the database's order, at most ``chunk_rows`` rows at a time."""
        line, last = 1, None
        with self._answer(source, chunk_rows) as (columns, blocks):
            found = _Digest([source.query, columns])
            for block in blocks:
                if last is not None:
                    yield last
                found.add(block)
                last = self._chunk(columns, block, line)
                line += len(block)
        if last is None:
            finding = Finding(
                id="source.no_rows",
                level=Level.WARNING,
                message="the query answers no rows",
                where=self.name,
                hint="make sure that it is the right database",
            )
            last = replace(self._chunk(columns, [], line), findings=[finding])
        yield replace(last, fingerprint=found.fingerprint(self.name))

    @contextmanager
    def _answer(self, source: SourceSpec, rows: int) -> Iterator[tuple[list[str], Iterator[list[Any]]]]:
        """Column names, and the rows in blocks."""
        where = f"sources.{source.name}.query"
        if source.query is None:
            raise ConfigError(
                f"source '{source.name}' has a path, but system '{self.name}' is a database",
                where=f"sources.{source.name}",
                hint="give the source a query",
            )
        try:
            with self._engine.connect().execution_options(yield_per=rows) as connection:
                # Driver text: colons and percent signs of the query are the database's, not parameters of ours.
                result = connection.exec_driver_sql(source.query)
                if not result.returns_rows:
                    raise ConfigError("the query answers no rows", where=where, hint="write a SELECT statement")
                columns = list(result.keys())
                _require_columns(columns, source, where)
                yield columns, (list(block) for block in result.partitions(rows))
        except DBAPIError as error:
            if error.connection_invalidated or (isinstance(error, sa.exc.OperationalError) and not _is_sql(error)):
                raise Retryable(
                    f"system '{self.name}' cannot be reached", where=self.name, hint="check that the database runs"
                ) from error
            raise ConfigError(
                f"the database refuses the query: {str(error.orig).splitlines()[0]}",
                where=where,
                hint="try it in the database's own tool",
            ) from error

    def _chunk(self, columns: list[str], rows: list[Any], first_line: int) -> SourceChunk:
        values = zip(*rows, strict=True) if rows else ([] for _ in columns)
        frame = pd.DataFrame(
            {
                name: pd.array([cell_text(cell) for cell in column], dtype="str")
                for name, column in zip(columns, values, strict=True)
            }
        )
        return SourceChunk(
            frame=frame.assign(
                _file=pd.array([self.name], dtype="str").repeat(len(rows)),
                _sheet=pd.array([""], dtype="str").repeat(len(rows)),
                _line=np.arange(first_line, first_line + len(rows), dtype=np.int64),
            ),
            file=self.name,
        )

    def _where(self, option: str) -> str:
        return f"systems.{self.name}.options.{option}"


class _Digest:
    """The hash of a query's answer, row by row, whatever order they come in."""

    def __init__(self, head: list[Any]) -> None:
        self._head = json.dumps(head, ensure_ascii=False)
        self._total = self._size = 0

    def add(self, rows: list[Any]) -> None:
        """Count rows in."""
        for row in rows:
            line = json.dumps([cell_text(cell) for cell in row], ensure_ascii=False).encode()
            self._size += len(line)
            # A sum does not depend on the order, and unlike XOR it does not lose rows that occur twice.
            self._total += int.from_bytes(hashlib.sha256(line).digest())

    def fingerprint(self, name: str) -> FileFingerprint:
        """Of all rows until now."""
        digest = hashlib.sha256(f"{self._head}{self._total % (1 << 256):064x}".encode()).hexdigest()
        return FileFingerprint(name, digest, self._size)


def _is_sql(error: DBAPIError) -> bool:
    """Whether the statement itself is at fault; SQLite and MySQL say so with the same class as a lost connection."""
    text = str(error.orig).lower()
    return any(sign in text for sign in ("no such", "syntax error", "unknown column", "doesn't exist"))


def _require_columns(columns: list[str], source: SourceSpec, where: str) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1} | (set(columns) & set(RESERVED_COLUMNS)))
    if twice:
        raise ConfigError(
            f"column names occur twice or are reserved: {', '.join(twice)}", where=where, hint="rename them with AS"
        )
    missing = [name for name in source.row_key if name not in columns]
    if missing:
        raise ConfigError(
            f"row_key needs the column(s) {', '.join(missing)}; the query has: {', '.join(columns)}",
            where=where,
            hint="add them to the query, or correct row_key",
        )


def cell_text(cell: Any) -> str | None:  # noqa: C901, PLR0911 - one case a kind of value
    """A database value as text; the rule is in the module's docstring."""
    match cell:
        case None | "":
            return None
        case str():
            return cell
        case bool():
            return "true" if cell else "false"
        case int():
            return str(cell)
        case float():
            return _plain(Decimal(repr(cell)))
        case Decimal():
            return _plain(cell)
        case dt.datetime() if cell.tzinfo is not None:
            return cell.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"
        case dt.date() | dt.time():
            return cell.isoformat()
        case bytes() | memoryview():
            return bytes(cell).hex() or None
        case dict() | list():
            return json.dumps(cell, ensure_ascii=False)
        case _:
            return str(cell) or None


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
