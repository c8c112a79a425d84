"""`map suggest`: which columns may fill the fields that nothing fills yet, with reasons; written only when asked to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from pydantic import Field

from rollout.errors import ConfigError
from rollout.mapping.spec import MappingRule, SourceSpec
from rollout.mapping.suggest import Column, FieldSuggestion, Known, ValueSuggestion, suggest, value_lines, with_dates
from rollout.mapping.table_edit import BYTE_ORDER_MARK
from rollout.mapping.transforms import compile_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.mapping.transforms_maps import ValueMapArgs
from rollout.mapping.transforms_text import lookup_key
from rollout.mapping.yaml_edit import Edit, edited, new_file
from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec
from rollout.phases.cleanse import transform_context
from rollout.phases.context import PhaseContext, chosen_entities
from rollout.phases.map_cells import Cell, cells, filled_rows
from rollout.phases.maps import read_map
from rollout.phases.raw import RawStage, read_source
from rollout.phases.stages import engine
from rollout.project.loader import Project
from rollout.report.files import write_document

_CELLS = 500
"""Distinct cells of a column that are looked at: the commonest."""


class SourceSuggestions(Frozen):
    """What is suggested for one source."""

    file: str = Field(description="Its mapping file.")
    rows: int
    fields: tuple[FieldSuggestion, ...] = Field(description="For fields that nothing fills yet.")
    values: dict[str, tuple[ValueSuggestion, ...]] = Field(
        default_factory=dict, description="By mapped field the cells that its value map does not know."
    )
    unfilled: tuple[str, ...] = Field(default=(), description="Fields that no column was found for.")
    unused: tuple[str, ...] = Field(default=(), description="Columns that fill nothing, nor are suggested.")


class SuggestSummary(Frozen):
    """What `map suggest` found, by entity and source."""

    entities: dict[str, dict[str, SourceSuggestions]]
    written: tuple[str, ...] = Field(default=(), description="Files that proposals were written into.")


def run_suggest(context: PhaseContext, *, entities: Sequence[str] | None = None, write: bool = False) -> SuggestSummary:
    """Suggest mappings for all sources of entities.

    Args:
        context: Of a project whose mappings may be missing, see `rollout.project.loader.load_draft`.
        entities: Only these.
        write: Add the proposals to the mapping files, unconfirmed. What stands there is never changed.

    Raises:
        ConfigError: A source cannot be read as declared, or an entity is unknown.
    """
    names = chosen_entities(context, entities)
    found = suggestions(context, names)
    written: list[str] = []
    if write:
        for entity, sources in found.items():
            for source, told in sources.items():
                written += _write(context.project, entity, source, told)
    return SuggestSummary(entities=found, written=tuple(written))


def suggestions(context: PhaseContext, names: Sequence[str]) -> dict[str, dict[str, SourceSuggestions]]:
    """What may fill the unfilled fields of these entities, by entity and source."""
    spec = context.project.spec
    parents = {parent for name in names for parent in spec.entities[name].references.values()}
    stages = {
        name: {source.name: read_source(context, name, source) for source in spec.entities[name].sources}
        for name in spec.load_order
        if name in parents or name in names
    }
    root = context.project.workspace.stages
    with engine(root) as connection:
        keys = {name: _row_keys(connection, root, stages[name].values()) for name in parents}
        return {
            name: {
                source.name: _of_source(context, connection, name, source, stages[name], keys)
                for source in spec.entities[name].sources
            }
            for name in names
        }


def draft_context(project: Project, entity: str, source: SourceSpec) -> TransformContext:
    """What transforms may know, also where the source has no mapping yet."""
    if (entity, source.name) in project.mappings:
        return transform_context(project, entity, source)
    owners = project.spec.owner_map
    return TransformContext(
        phone_region=project.spec.project.phone_region,
        placeholders=project.spec.cleanse.placeholders,
        time_zone=source.time_zone or project.spec.project.time_zone,
        owner_map=read_map(project.root / owners.file, "legacy_name", "user", shown=owners.file) if owners else {},
    )


def columns_of(stage: RawStage) -> tuple[str, ...]:
    """Every column of a source's files, in the order of its first appearance."""
    return tuple(dict.fromkeys(column for part in stage.parts for column in part.columns))


def _of_source(
    context: PhaseContext,
    connection: duckdb.DuckDBPyConnection,
    entity: str,
    source: SourceSpec,
    stages: Mapping[str, RawStage],
    keys: Mapping[str, frozenset[str]],
) -> SourceSuggestions:
    root, stage = context.project.workspace.stages, stages[source.name]
    fields = context.project.spec.entities[entity].fields
    rules = _rules(context.project, entity, source.name)
    free = {name: field for name, field in fields.items() if name not in rules}
    number = context.project.spec.entities[entity].number
    if number is not None and number.authority != "erp":
        free.pop(number.field, None)
    used = {column for rule in rules.values() for column in rule.columns}
    names = [name for name in columns_of(stage) if name not in used]
    filled = filled_rows(connection, root / stage.file, names)
    columns = [Column(name, filled[name], cells(connection, root / stage.file, [name], limit=_CELLS)) for name in names]
    transforms = draft_context(context.project, entity, source)
    known = Known(transforms, keys, _elsewhere(context, connection, entity, source.name, stages, free))
    # A column that identifies rows often fills a field besides: it may serve again.
    again = [
        Column(name, stage.rows, cells(connection, root / stage.file, [name], limit=_CELLS))
        for name in source.row_key
        if name in used
    ]
    found = [
        with_dates(item, cells(connection, root / stage.file, [item.column])) if item.dates else item
        for item in suggest(free, [*columns, *again], known)
    ]
    return SourceSuggestions(
        file=source.mapping,
        rows=stage.rows,
        fields=tuple(found),
        values=_gaps(connection, root / stage.file, rules, fields, transforms),
        unfilled=tuple(name for name in free if name not in {item.target for item in found}),
        unused=tuple(name for name in names if name not in {item.column for item in found}),
    )


def _rules(project: Project, entity: str, source: str) -> dict[str, MappingRule]:
    mapping = project.mappings.get((entity, source))
    return {rule.target: rule for rule in mapping.fields} if mapping else {}


def _row_keys(connection: duckdb.DuckDBPyConnection, root: Path, stages: Any) -> frozenset[str]:
    """The row keys of an entity, folded."""
    return frozenset(
        lookup_key(cell.text) for stage in stages for cell in cells(connection, root / stage.file, ["_key"])
    )


def _elsewhere(
    context: PhaseContext,
    connection: duckdb.DuckDBPyConnection,
    entity: str,
    source: str,
    stages: Mapping[str, RawStage],
    fields: Mapping[str, FieldSpec],
) -> dict[str, frozenset[str]]:
    """By field the cells of the columns that fill it in the entity's other sources."""
    root = context.project.workspace.stages
    found: dict[str, set[str]] = {}
    for other, stage in stages.items():
        rules = _rules(context.project, entity, other) if other != source else {}
        for name, rule in rules.items():
            if name in fields and rule.columns:
                known = cells(connection, root / stage.file, rule.columns, limit=_CELLS)
                found.setdefault(name, set()).update(lookup_key(cell.text) for cell in known)
    return {name: frozenset(values) for name, values in found.items()}


def _gaps(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    rules: Mapping[str, MappingRule],
    fields: Mapping[str, FieldSpec],
    context: TransformContext,
) -> dict[str, tuple[ValueSuggestion, ...]]:
    """By mapped field the cells that its value map does not know."""
    found: dict[str, tuple[ValueSuggestion, ...]] = {}
    for name, rule in rules.items():
        known = value_map_of(rule, context)
        if known is None or not fields[name].picklist:
            continue
        seen: list[Cell] = cells(connection, path, rule.columns, limit=_CELLS)
        if lines := value_lines(seen, fields[name].picklist, context, known):
            found[name] = tuple(lines)
    return found


def value_map_of(rule: MappingRule, context: TransformContext) -> Mapping[str, str] | None:
    """The value map of a rule, keys folded; None: it has none."""
    for step in compile_steps(rule.transform):
        if isinstance(step.args, ValueMapArgs):
            if step.args.file is not None:
                return context.value_maps[step.args.file]
            return {lookup_key(raw): value for raw, value in step.args.table.items()}
    return None


def _write(project: Project, entity: str, source: str, told: SourceSuggestions) -> list[str]:
    """Add proposals to a mapping file and its value maps; what is there already stays. Answers what was written."""
    if not told.fields:
        return []
    path = project.root / told.file
    written = []
    rules = []
    for item in told.fields:
        rule, table = _proposal(project, entity, item)
        rules.append(rule)
        if table is not None and not (project.root / table[0]).exists():
            _write_file(project.root / table[0], "\ufeffraw,value\n" + "".join(f"{line}\n" for line in table[1]))
            written.append(table[0])
    if path.exists():
        data = path.read_bytes()
        mark = BYTE_ORDER_MARK if data.startswith(BYTE_ORDER_MARK.encode()) else ""
        text = data.decode("utf-8-sig")
        edits = [Edit(str(rule["target"]), {key: rule[key] for key in rule if key != "target"}) for rule in rules]
        _write_file(path, mark + edited(text, edits, shown=told.file))
    else:
        _write_file(path, new_file(entity, source, rules))
    return [*written, told.file]


def _proposal(
    project: Project, entity: str, item: FieldSuggestion
) -> tuple[dict[str, Any], tuple[str, list[str]] | None]:
    """A rule for a mapping file, and the value map that it names with its lines."""
    field = project.spec.entities[entity].fields[item.target]
    rule: dict[str, Any] = {"target": item.target, "source": item.column}
    table: tuple[str, list[str]] | None = None
    if item.lookup:
        rule["lookup"] = item.lookup
    rule["transform"] = item.transform
    mapped = [line for line in item.values if line.value is not None]
    if mapped:
        file = f"mappings/{entity}_{item.target}.csv"
        rule["transform"] = [item.transform, {"value_map": {"file": file}}]
        lines = [(value, value) for value in field.picklist] + [(line.raw, str(line.value)) for line in mapped]
        table = file, [f"{_quoted(raw)},{_quoted(value)}" for raw, value in lines]
    if field.required:
        rule["required"] = True
    reasons = ", ".join(
        reason.code if reason.share is None else f"{reason.code} {reason.share:.0%}" for reason in item.reasons
    )
    confirm = "; confirm the date format" if item.must_confirm else ""
    rule["note"] = f"suggested ({item.score:.2f}: {reasons}){confirm}"
    return rule, table


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in ',"\n\r') else cell


def _write_file(path: Path, text: str) -> None:
    if not path.parent.is_dir():
        raise ConfigError(
            "the folder of this file does not exist", where=str(path), hint="make it, then run this again"
        )
    write_document(path.parent, path.name, text)
