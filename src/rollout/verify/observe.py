"""Read everything a target holds into Parquet, page by page, within bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rollout.connectors.base import TargetRecord

_ROWS = 20_000
"""Records held in memory at once."""


def observe(
    records: Iterable[TargetRecord], fields: Sequence[str], path: Path, *, advance: Callable[[int], None]
) -> int:
    """Write records to ``path``, whole or not at all.

    Args:
        records: What the target answers.
        fields: The entity's fields; one the target does not answer is written as "no value".
        path: Gets the fields and `_migration_key`, `_target_id`, `_modified_by`, all text.
        advance: Told how many more were read.

    Returns:
        Records read. A record that came twice counts twice.
    """
    schema = pa.schema([(name, pa.string()) for name in (*fields, "_migration_key", "_target_id", "_modified_by")])
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    total = 0
    try:
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for page in _pages(records):
                columns: dict[str, list[str | None]] = {name: [row.values.get(name) for row in page] for name in fields}
                columns["_migration_key"] = [row.migration_key for row in page]
                columns["_target_id"] = [row.target_id for row in page]
                columns["_modified_by"] = [row.modified_by for row in page]
                writer.write_table(pa.Table.from_pydict(columns, schema=schema))
                total += len(page)
                advance(len(page))
        unfinished.chmod(0o600)  # what the CRM holds is as personal as what was loaded
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return total


def _pages(records: Iterable[TargetRecord]) -> Iterator[list[TargetRecord]]:
    iterator = iter(records)
    while page := list(islice(iterator, _ROWS)):
        yield page
