"""The golden stage as planning and verification read it: records in batches, values apart from references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.errors import ConfigError
from rollout.model.entity import Values
from rollout.phases.context import PhaseContext
from rollout.project.spec import EntitySpec


class GoldenRecord(NamedTuple):
    """One golden record; ``parents`` holds the golden keys its reference fields point to, None where to nothing."""

    golden_key: str
    values: Values
    parents: Mapping[str, str | None]


def read_golden(path: Path, entity: EntitySpec, wave: str, *, batch_rows: int) -> Iterator[list[GoldenRecord]]:
    """The golden records of a wave in a stage file, in its order, at most ``batch_rows`` at once."""
    references = tuple(entity.references)
    plain = tuple(name for name in entity.fields if name not in entity.references)
    for table in _of_wave(path, ["_golden_key", *entity.fields], wave, batch_rows):
        columns = {name: table.column(name).to_pylist() for name in ("_golden_key", *entity.fields)}
        values, parents = (_records(columns, names, table.num_rows) for names in (plain, references))
        yield [GoldenRecord._make(record) for record in zip(columns["_golden_key"], values, parents, strict=True)]


def _records(columns: Mapping[str, list[Any]], names: Sequence[str], rows: int) -> list[dict[str, Any]]:
    """Some columns of a table by row; the rows share one empty record if there is nothing to tell them apart."""
    if not names:
        return [{}] * rows
    return [dict(zip(names, row, strict=True)) for row in zip(*(columns[name] for name in names), strict=True)]


def _of_wave(path: Path, columns: list[str], wave: str, batch_rows: int) -> Iterator[pa.Table]:
    """A wave's rows, ``batch_rows`` at once however few of the stage's rows it has: each batch is calls to a target."""
    kept: list[pa.Table] = []
    for batch in pq.ParquetFile(path).iter_batches(batch_size=batch_rows, columns=[*columns, "_wave"]):
        table = pa.Table.from_batches([batch])
        kept.append(table.filter(pc.equal(table["_wave"], wave)))
        if sum(part.num_rows for part in kept) >= batch_rows:
            full = pa.concat_tables(kept)
            yield full.slice(0, batch_rows)
            kept = [full.slice(batch_rows)]
    rest = pa.concat_tables(kept) if kept else None
    if rest is not None and rest.num_rows:
        yield rest


def golden_paths(context: PhaseContext) -> dict[str, Path]:
    """Where the golden stages of the latest cleansing lie, by entity.

    Raises:
        ConfigError: There is no cleansing, it was interrupted, or a stage is gone.
    """
    run = context.journal.latest_run("cleanse")
    if run is None:
        raise ConfigError("nothing was cleansed yet", hint="run `rollout cleanse` first")
    runs = context.journal.ledger_runs()
    if set(runs) != set(run.summary["entities"]) or set(runs.values()) != {run.run_id}:
        raise ConfigError("the latest cleansing was interrupted", hint="run `rollout cleanse` again")
    paths = {}
    for entity, summary in run.summary["entities"].items():
        paths[entity] = context.project.workspace.stages / str(summary["golden_file"])
        if not paths[entity].exists():
            raise ConfigError(
                f"the golden stage of {entity} is gone", where=str(paths[entity]), hint="run `rollout cleanse` again"
            )
    return paths
