"""Which wave each source row belongs to, as SQL over the stages of one entity and its parents.

A golden record is taken by the first wave, in order, that wants it: a wave whose filter names the entity wants the
records that fit it, one that does not name the entity wants those whose latest parent it has taken. No wave takes a
record before all its parents are taken; the last wave takes the rest. Merged rows go with their golden record. Rows
that were held back are judged by what could be read of them, and where that decides nothing they go with the rest.
"""

# ruff: noqa: S608 - names are quoted by `quoted` and `text`, files by `scan`

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

from rollout.match.parquet import quoted, scan
from rollout.phases.raw import RawStage, referable_rows
from rollout.project.spec import WaveSpec


class Cleansed(Protocol):
    """Where a parent's rows went; file names are relative to the workspace's stages."""

    @property
    def golden_file(self) -> str:
        """Golden records, with `_wave`."""
        ...

    @property
    def merges_file(self) -> str:
        """Rows merged into them."""
        ...

    @property
    def waves_file(self) -> str:
        """`_source_key`, `_wave` of the other rows."""
        ...


@dataclass(frozen=True)
class EntityWaves:
    """The waves in order, as far as one entity is concerned."""

    names: tuple[str, ...]
    where: tuple[Mapping[str, Sequence[str]] | None, ...]
    """By wave: field → values that it takes; None: the wave does not name the entity."""

    @classmethod
    def of(cls, waves: Sequence[WaveSpec], entity: str) -> EntityWaves:
        """What the waves say about an entity."""
        return cls(tuple(wave.name for wave in waves), tuple(wave.where.get(entity) for wave in waves))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that any wave looks at."""
        return tuple(dict.fromkeys(name for fields in self.where if fields for name in fields))

    def number(self, column: str) -> str:
        """SQL: the place of the wave whose name a column holds, from 1."""
        return f"list_position([{', '.join(map(text, self.names))}], {column})"

    def choice(self, row: str, parents: Sequence[str]) -> str:
        """SQL: the name of the wave that takes a row.

        Args:
            row: Alias of the row; it has `fields`.
            parents: SQL for the numbers of its parents' waves, null where it has none.
        """
        if len(self.names) == 1:
            return text(self.names[0])
        latest = f"greatest({', '.join(parents)})" if parents else "NULL"
        cases = []
        for number, (name, fields) in enumerate(zip(self.names[:-1], self.where, strict=False), start=1):
            if fields is None:
                wanted = f"{latest} = {number}"
            else:
                fits = [f"{row}.{quoted(field)} IN ({_texts(values)})" for field, values in fields.items()]
                wanted = " AND ".join([*fits, f"coalesce({latest}, 1) <= {number}"])
            cases.append(f"WHEN {wanted} THEN {text(name)}")
        return f"CASE {' '.join(cases)} ELSE {text(self.names[-1])} END"


def golden_with_waves(query: str, waves: EntityWaves, root: Path, parents: Mapping[str, Cleansed]) -> str:
    """SQL: golden records with the column `_wave`.

    Args:
        query: SQL of the golden records; reference fields hold their parents' golden keys.
        waves: For the entity.
        root: Folder of the stages.
        parents: By reference field.
    """
    fields = list(parents) if len(waves.names) > 1 else []
    joins = "".join(
        f" LEFT JOIN (SELECT _golden_key AS key, {waves.number('_wave')} AS wave"
        f" FROM {scan(root / parents[field].golden_file)}) AS p{at} ON p{at}.key = g.{quoted(field)}"
        for at, field in enumerate(fields)
    )
    choice = waves.choice("g", [f"p{at}.wave" for at in range(len(fields))])
    return f"SELECT g.*, {choice} AS _wave FROM ({query}) AS g{joins}"


def held_back_waves(
    waves: EntityWaves,
    root: Path,
    parents: Mapping[str, tuple[Cleansed, Mapping[str, RawStage]]],
    *,
    held: Sequence[Path],
    readable: Sequence[Path],
) -> str:
    """SQL: `_source_key`, `_wave` of the rows that did not become, or join, a golden record.

    Args:
        waves: For the entity.
        root: Folder of the stages.
        parents: By reference field: the parent's result and raw stages.
        held: Files with the rows' `_source_key`, several lines a row or none.
        readable: Files with what could be read of them; reference fields hold the parents' row keys.
    """
    rows = " UNION ".join(f"SELECT _source_key FROM {scan(path)}" for path in held)
    if len(waves.names) == 1:
        return f"SELECT h._source_key, {waves.choice('h', ())} AS _wave FROM ({rows}) AS h"
    columns = "".join(f", {quoted(name)}" for name in dict.fromkeys((*waves.fields, *parents)))
    values = " UNION ALL ".join(f"SELECT _source_key{columns} FROM {scan(path)}" for path in readable)
    joins = "".join(
        f" LEFT JOIN ({_waves_by_key(waves, root, *parent)}) AS p{at} ON p{at}.key = v.{quoted(field)}"
        for at, (field, parent) in enumerate(parents.items())
    )
    choice = waves.choice("v", [f"p{at}.wave" for at in range(len(parents))])
    return (
        f"SELECT h._source_key, {choice} AS _wave FROM ({rows}) AS h"
        f" LEFT JOIN ({values}) AS v ON v._source_key = h._source_key{joins}"
    )


def row_waves(root: Path, done: Cleansed) -> str:
    """SQL: `source_key`, `wave` of every source row of an entity."""
    golden = scan(root / done.golden_file)
    return (
        f"SELECT _golden_key AS source_key, _wave AS wave FROM {golden}"
        f" UNION ALL SELECT m.source_key, g._wave FROM {scan(root / done.merges_file)} AS m"
        f" JOIN {golden} AS g ON g._golden_key = m.golden_key"
        f" UNION ALL SELECT _source_key, _wave FROM {scan(root / done.waves_file)}"
    )


def count_rows(
    connection: duckdb.DuckDBPyConnection, root: Path, done: Cleansed, raws: Sequence[RawStage], waves: EntityWaves
) -> dict[str, int]:
    """Rows by wave, counted over the rows as they were read: one that is in no wave, or in two, spoils the sum."""
    files = [file for raw in raws for file in (raw.file, raw.unreadable_file)]
    rows = " UNION ALL ".join(f"SELECT _source_key FROM {scan(root / file)}" for file in files)
    found = connection.execute(
        f"SELECT w.wave, count(*) FROM ({rows}) AS r JOIN ({row_waves(root, done)}) AS w"
        " ON w.source_key = r._source_key GROUP BY 1"
    ).fetchall()
    return {**dict.fromkeys(waves.names, 0), **dict(found)}


def text(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def _texts(values: Sequence[str]) -> str:
    return ", ".join(map(text, values)) or "NULL"


def _waves_by_key(waves: EntityWaves, root: Path, parent: Cleansed, raws: Mapping[str, RawStage]) -> str:
    """SQL: row key of the parent → number of its wave; of several rows with one key the latest."""
    return (
        f"SELECT r.key AS key, max({waves.number('w.wave')}) AS wave FROM ({referable_rows(root, raws.values())}) AS r"
        f" JOIN ({row_waves(root, parent)}) AS w ON w.source_key = r.source_key GROUP BY 1"
    )
