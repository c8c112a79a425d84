"""What the mappings make of an entity's raw rows, in one file while an assessment looks at the entity as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from rollout.assess.judge import Judgement, judged, present_plans
from rollout.cleanse.chunk import CleansedChunk
from rollout.cleanse.rules import compile_mapping, compile_rules
from rollout.cleanse.stream import cleansed_chunks
from rollout.mapping.spec import SourceSpec
from rollout.mapping.transforms_base import TransformContext, nulls
from rollout.match.parquet import open_parquet
from rollout.match.spec import MatchSpec
from rollout.model.entity import FieldType
from rollout.phases.cleanse import transform_context
from rollout.phases.context import PhaseContext
from rollout.phases.raw import RawStage
from rollout.phases.stages import StageStore
from rollout.project.spec import EntitySpec, ProjectSpec

_ORDERED = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.DATE, FieldType.DATETIME, FieldType.REFERENCE)
"""Types of fields whose values an assessment looks at all together."""
TELLING = (FieldType.PHONE, FieldType.EMAIL)
"""Types that, with a name, tell who a person is."""
_ROW = ("_source", "_source_key", "_repeats")


@dataclass(frozen=True)
class MappedEntity:
    """An entity's rows as the mappings make them.

    Attributes:
        name: The entity.
        path: Parquet of the fields that are looked at, `_source`, `_source_key` and `_repeats`. Rows that cleansing
            would hold back are in it, too; blank ones are not.
        judgements: By source: what cleansing would make of its rows.
        contexts: By source: what its transforms know.
        repeats: Whether several rows may be one record by declaration.
    """

    name: str
    path: Path
    judgements: Mapping[str, Judgement]
    contexts: Mapping[str, TransformContext]
    repeats: bool


def map_entity(context: PhaseContext, name: str, stages: Iterable[RawStage], folder: Path) -> MappedEntity:
    """Run an entity's mappings over its raw stages, and keep what the assessment needs.

    Args:
        context: The project.
        name: The entity.
        stages: Its raw stages.
        folder: Where the file goes; whoever asked removes it.
    """
    project = context.project
    spec = project.spec.entities[name]
    columns = [*sorted(needed_fields(project.spec, name)), *_ROW]
    declared = {source.name: source for source in spec.sources}
    contexts = {stage.source: transform_context(project, name, declared[stage.source]) for stage in stages}
    path = folder / f"{name}.parquet"
    judgements: dict[str, Judgement] = {}
    with _Writer(path, columns) as writer:
        for stage in stages:
            chunks = _chunks(context, spec, name, declared[stage.source], stage, contexts[stage.source])
            judgements[stage.source] = judged(writer.kept(chunks))
    return MappedEntity(name, path, judgements, contexts, any(source.repeats == "same" for source in spec.sources))


def needed_fields(project: ProjectSpec, name: str) -> set[str]:
    """The fields of an entity that are looked at beyond their own column."""
    spec = project.entities[name]
    match = project.match.get(name, MatchSpec())
    wanted = {field for field, one in spec.fields.items() if one.type in _ORDERED}
    wanted |= {field for key in match.keys for field in key.fields} | compared_fields(match)
    wanted |= {spec.title_field, *(field for field, one in spec.fields.items() if one.type in TELLING)}
    return wanted & set(spec.fields)


def compared_fields(match: MatchSpec) -> set[str]:
    """The fields that an entity's matching model looks at; none if it has no model."""
    if match.model is None:
        return set()
    return {*match.model.comparisons, *(part.partition(".")[0] for rule in match.model.blocking for part in rule)}


def _chunks(
    context: PhaseContext,
    spec: EntitySpec,
    name: str,
    source: SourceSpec,
    stage: RawStage,
    transforms: TransformContext,
) -> Iterator[CleansedChunk]:
    """What cleansing would make of a stage's rows; columns that are in no file are left out of it."""
    plans = compile_mapping(context.project.mappings[name, source.name], spec.fields, transforms)
    columns = {column for part in stage.parts for column in part.columns}
    return cleansed_chunks(
        StageStore(context.project.workspace.stages).root / stage.file,
        present_plans(plans, columns),
        transforms,
        chunk_rows=context.project.spec.cleanse.chunk_rows,
        rules=compile_rules(spec.rules, spec.fields, transforms, where=name),
        blank_keys=stage.blank_keys > 0,
        shared=source.repeats == "same",
    )


class _Writer:
    """Writes some columns of the chunks that pass through it."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path, self.columns = path, columns
        self._file: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def kept(self, chunks: Iterable[CleansedChunk]) -> Iterator[CleansedChunk]:
        """The same chunks, their rows written."""
        for chunk in chunks:
            for table in (chunk.clean, chunk.rejected):
                self._write(table)
            yield chunk

    def _write(self, table: Any) -> None:
        there = set(table.column_names)  # a field whose columns a source has not is in none of its tables
        columns = [table[name] if name in there else nulls(table.num_rows) for name in self.columns]
        if self._file is None:
            self._file = open_parquet(self.path, pa.schema([(name, pa.string()) for name in self.columns]))
        self._file.write_table(pa.table(columns, names=self.columns))
