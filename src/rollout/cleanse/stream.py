"""A raw stage through a mapping, chunk by chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rollout.cleanse.chunk import ROW_COLUMNS, CleansedChunk, cleanse_chunk
from rollout.cleanse.rules import FieldPlan
from rollout.cleanse.spec import RowRule
from rollout.cleanse.words import NO_WORDS, Words
from rollout.mapping.transforms_base import TransformContext

_WORKERS = 2
"""Chunks in work at once: Arrow's kernels and the Parquet writer leave the interpreter free."""


def cleansed_chunks(  # noqa: PLR0913 - all that decides what rows become
    path: Path,
    plans: Sequence[FieldPlan],
    context: TransformContext,
    *,
    chunk_rows: int,
    rules: Sequence[RowRule] = (),
    words: Words = NO_WORDS,
    priority: int = 1,
    blank_keys: bool = True,
    shared: bool = False,
) -> Iterator[CleansedChunk]:
    """What becomes of a raw stage's rows, in their order; first a chunk without rows, which has the columns.

    Args:
        path: Parquet of the raw stage; it has every column that the plans read.
        plans: From `compile_mapping`.
        context: For the transforms.
        chunk_rows: Rows of a chunk at most.
        rules: From `compile_rules`.
        words: What people said about rows.
        priority: The source's, noted with each row.
        blank_keys: Whether rows without a key may occur: only then all columns are read, since such a row is blank
            only if none of them holds anything.
        shared: Whether a row may hold records of several entities: see `cleanse_chunk`.
    """
    needed = [column for plan in plans if plan.rule for column in plan.rule.columns]
    columns = list(dict.fromkeys((*needed, "_key", "_repeats", *ROW_COLUMNS)))
    none = pa.table({name: pa.array([], pa.int64() if name == "_line" else pa.string()) for name in columns})
    cleanse = partial(
        cleanse_chunk, plans=plans, context=context, rules=rules, words=words, priority=priority, shared=shared
    )
    yield cleanse(none)
    file = pq.ParquetFile(path)
    there = set(file.schema_arrow.names)
    absent = [name for name in columns if name not in there]  # no file has them: the mapping says that they may lack
    wanted = None if blank_keys else [name for name in columns if name in there]
    waiting: deque[Future[CleansedChunk]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for batch in file.iter_batches(batch_size=chunk_rows, columns=wanted):
            table = pa.Table.from_batches([batch])
            for name in absent:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
            waiting.append(pool.submit(cleanse, table))
            if len(waiting) > _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
