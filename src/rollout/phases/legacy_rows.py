"""The rows of an entity's sources as they were read, and those that go back to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.errors import RolloutError
from rollout.mapping.reverse import MAX_SPELLINGS, Cell, FieldReverser, keys_by_value, spellings
from rollout.mapping.spec import MappingRule, SourceSpec
from rollout.mapping.transforms import Step, compile_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.mapping.transforms_maps import ValueMapArgs
from rollout.model.entity import FieldSpec
from rollout.phases.cleanse import transform_context
from rollout.phases.context import PhaseContext
from rollout.phases.maps import read_map
from rollout.phases.raw import Part, RawStage, read_source
from rollout.report.legacy_files import LegacyTable

_DEFAULT = "utf-8"


@dataclass
class SourceRows:
    """One source: its columns, its rows of then, and the rows that are to go back to it."""

    spec: SourceSpec
    fields: Mapping[str, FieldReverser]
    raw: RawStage | None
    """None: the source cannot be read any more, and rows are made of the mapping's columns alone."""
    stage: Path | None
    project_name: str
    _tables: dict[tuple[str, str], LegacyTable] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The source's name."""
        return self.spec.name

    def originals(self, source_keys: Sequence[str]) -> dict[str, dict[str, str | None]]:
        """The rows of then by source key, with `_file` and `_sheet`."""
        if self.stage is None or not source_keys:
            return {}
        wanted = pc.field("_source_key").isin(pa.array(source_keys, pa.string()))
        return {row["_source_key"]: row for row in pq.read_table(self.stage, filters=wanted).to_pylist()}

    def changed(
        self, original: Mapping[str, str | None] | None, key: str, cells: Mapping[str, Cell]
    ) -> dict[str, str | None]:
        """A row with changed cells in it: the row of then, or its key alone."""
        row = dict(original) if original is not None else self._keyed(key)
        return self._filled(row, cells)

    def created(self, key: str, cells: Mapping[str, Cell]) -> dict[str, str | None]:
        """A row for a record that the legacy system does not have."""
        return {**self._filled({}, cells), **self._keyed(key)}

    def key_of(self, cells: Mapping[str, Cell]) -> str | None:
        """The row key that a record's own values make; None: they make none."""
        row = self._filled({}, cells)
        parts = [row.get(column) for column in self.spec.row_key]
        return "|".join(part for part in parts if part) if all(parts) else None

    def _keyed(self, key: str) -> dict[str, str | None]:
        parts = key.split("|") if len(self.spec.row_key) > 1 else [key]
        return dict(zip(self.spec.row_key, parts, strict=False))

    def _filled(self, row: dict[str, str | None], cells: Mapping[str, Cell]) -> dict[str, str | None]:
        for name, cell in cells.items():
            reverser = self.fields[name]
            if cell.problem is not None or reverser.rule is None or reverser.column is None:
                continue
            row[self._place(row, reverser.rule.columns) or reverser.column] = cell.text
        return row

    def _place(self, row: Mapping[str, str | None], columns: Sequence[str]) -> str | None:
        """Of several columns that a rule reads the one that a row's value goes to; None: any.

        The mapping takes the first that has a value: the value goes where it came from. Where there was none, it goes
        to a column that the row's file has.
        """
        if held := [column for column in columns if row.get(column)]:
            return held[0]
        file = row.get("_file")
        part = self._part(file, str(row.get("_sheet") or "")) if file else None
        return next((column for column in columns if part is not None and column in part.columns), None)

    def add(self, row: Mapping[str, str | None]) -> None:
        """Put a row into the file that it came from; one that came from none into a new one."""
        self._table(str(row.get("_file") or ""), str(row.get("_sheet") or "")).rows.append(row)

    def tables(self) -> list[LegacyTable]:
        """The files of this source that have rows."""
        return list(self._tables.values())

    def _table(self, file: str, sheet: str) -> LegacyTable:
        """The table of a file; "": one for new rows, which the source's own pattern would find."""
        if (file, sheet) not in self._tables:
            part = self._part(file, sheet)
            self._tables[file, sheet] = LegacyTable(
                file=file or self._new_file(part),
                sheet=sheet or (part.sheet if part else "") or (self.spec.sheet or ""),
                columns=part.columns if part and file else self._all_columns(part),
                encoding=self._encoding(part),
                delimiter=self.spec.delimiter,
                header_rows=self.spec.header_rows if self.spec.path else 1,
                title=f"{self.project_name}: CRM",
                title_rows=self.spec.skip_rows,
            )
        return self._tables[file, sheet]

    def _part(self, file: str, sheet: str) -> Part | None:
        parts = self.raw.parts if self.raw else ()
        same = [part for part in parts if (part.file, part.sheet) == (file, sheet)]
        return next(iter([*same, *parts]), None)

    def _all_columns(self, part: Part | None) -> tuple[str, ...]:
        """Those of a file, and those that the mapping reads and this file calls otherwise or does not keep."""
        return tuple(dict.fromkeys((*(part.columns if part else ()), *self._columns())))

    def _columns(self) -> tuple[str, ...]:
        read = [column for reverser in self.fields.values() if reverser.rule for column in reverser.rule.columns]
        return tuple(dict.fromkeys([*self.spec.row_key, *read]))

    def _new_file(self, part: Part | None) -> str:
        if self.spec.path is None:
            return f"{self.spec.name}.csv"
        name = re.sub(r"\*+", "CRM", self.spec.path).replace("?", "X")
        folder = part.file.removesuffix(_tail(part.file, self.spec.path)) if part else ""
        return f"{folder}{name}" if name != self.spec.path else f"{folder}{_beside(name)}"

    def _encoding(self, part: Part | None) -> str:
        if self.spec.encoding != "auto":
            return self.spec.encoding
        found = {
            finding.where: str(finding.detail["encoding"])
            for finding in (self.raw.findings if self.raw else ())
            if finding.id.startswith("source.encoding")
        }
        return found.get(part.file if part else "", next(iter(found.values()), _DEFAULT))


def _tail(file: str, pattern: str) -> str:
    """As many of a file's last path segments as its source's pattern has: what lies before is the system's root."""
    return "/".join(file.split("/")[-len(pattern.split("/")) :])


def _beside(name: str) -> str:
    """A second file beside one that is named without wild cards."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}_CRM{dot}{suffix}"


@dataclass(frozen=True)
class LegacyRows:
    """All sources of an entity."""

    sources: tuple[SourceRows, ...]

    @classmethod
    def of(cls, context: PhaseContext, entity: str) -> Self:
        """Read the sources of an entity once more, as far as they are still there."""
        return cls(
            tuple(_source_rows(context, entity, source) for source in context.project.spec.entities[entity].sources)
        )

    @property
    def leading(self) -> SourceRows:
        """The source that wins over the others."""
        return min(self.sources, key=lambda source: source.spec.priority)

    def reversers(self, source: str) -> Mapping[str, FieldReverser]:
        """How each field goes back to a source."""
        return next(rows.fields for rows in self.sources if rows.name == source)

    def tables(self) -> list[LegacyTable]:
        """The files that have rows, of all sources."""
        return [table for source in self.sources for table in source.tables()]


def _source_rows(context: PhaseContext, entity: str, source: SourceSpec) -> SourceRows:
    spec = context.project.spec.entities[entity]
    try:
        raw: RawStage | None = read_source(context, entity, source)
        stage = context.project.workspace.stages / raw.file if raw else None
    except RolloutError:
        raw = stage = None
    rules = {rule.target: rule for rule in context.project.mappings[entity, source.name].fields}
    transforms = transform_context(context.project, entity, source)
    fields = {
        name: _reverser(context, rules.get(name), declared, transforms, stage) for name, declared in spec.fields.items()
    }
    return SourceRows(source, fields, raw, stage, context.project.spec.project.name)


def _reverser(
    context: PhaseContext,
    rule: MappingRule | None,
    declared: FieldSpec,
    transforms: TransformContext,
    stage: Path | None,
) -> FieldReverser:
    if rule is None:
        return FieldReverser(None, (), declared.type, transforms)
    steps = compile_steps(rule.transform, declared.type)
    cells = [] if stage is None or not rule.columns else _counted(stage, rule.columns)
    return FieldReverser(
        rule, steps, declared.type, transforms, spellings(cells, steps, transforms), _keys(context, steps)
    )


def _counted(stage: Path, columns: Sequence[str]) -> list[tuple[str, int]]:
    """Distinct cells of a column and how often each occurs; none of a column that is no code list."""
    if columns[0] not in pq.read_schema(stage).names:
        return []
    counted = pc.value_counts(pq.read_table(stage, columns=[columns[0]])[columns[0]].drop_null())
    if len(counted) > MAX_SPELLINGS:
        return []
    return [(entry["values"], entry["counts"]) for entry in counted.to_pylist()]


def _keys(context: PhaseContext, steps: Sequence[Step]) -> dict[str, list[str]]:
    """By value the keys of a chain's value and owner maps."""
    found: dict[str, list[str]] = {}
    for step in steps:
        table: Mapping[str, str] = {}
        if isinstance(step.args, ValueMapArgs):
            table = step.args.table or read_map(
                context.project.root / str(step.args.file), "raw", "value", shown=str(step.args.file)
            )
        elif step.transform.name == "owner" and (owners := context.project.spec.owner_map):
            table = read_map(context.project.root / owners.file, "legacy_name", "user", shown=owners.file)
        for value, keys in keys_by_value(table).items():
            found.setdefault(value, []).extend(keys)
    return found
