"""Whether a project holds together: names that point somewhere, files that exist, fields that get a value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import get_args

from rollout.connectors import registry
from rollout.errors import ConfigError
from rollout.mapping.spec import MappingRule, MappingSpec
from rollout.mapping.transforms import code_map_files, compile_steps, value_map_files
from rollout.model.entity import FieldSpec, FieldType
from rollout.model.finding import Finding
from rollout.project.check_data import (
    CODE_COLUMNS,
    OWNER_COLUMNS,
    VALUE_COLUMNS,
    check_people,
    check_table,
    check_value_map,
)
from rollout.project.check_layers import check_layers
from rollout.project.check_match import check_match
from rollout.project.check_rules import check_rules
from rollout.project.check_targets import check_targets
from rollout.project.gates import METRICS
from rollout.project.spec import NAME, EntitySpec, PhaseName, ProjectSpec, WaveSpec
from rollout.project.yamlfile import Document, Place


def check_spec(spec: ProjectSpec, document: Document, root: Path) -> list[Finding]:
    """Cross-checks within `rollout.yaml`.

    Args:
        spec: The project as validated.
        document: The file it came from, for lines.
        root: The project's folder; files are relative to it.
    """
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _names(spec, document),
        lambda: _systems_and_targets(spec, document),
        lambda: check_targets(spec, document),
        lambda: _entities(spec, document),
        lambda: _waves(spec, document),
        lambda: check_layers(spec, document),
        lambda: check_rules(spec, document),
        lambda: _operation(spec, document),
        lambda: check_match(spec, document),
        lambda: _owner_map(spec, document, root),
        lambda: check_people(spec, document),
        lambda: _gates(spec, document),
    )
    return list(chain.from_iterable(part() for part in parts))


def _names(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    """Names become columns, tables and folders, so they keep to letters, digits and underscores."""
    places: list[Place] = [
        *(("systems", name) for name in spec.systems),
        *(("targets", name) for name in spec.targets),
        *(("entities", name) for name in spec.entities),
        *(("entities", name, "fields", field) for name, entity in spec.entities.items() for field in entity.fields),
    ]
    for place in places:
        if not re.fullmatch(NAME, str(place[-1])):
            hint = "use lower-case letters, digits and underscores; what people read goes into `label`"
            yield document.error("project.name", f"'{place[-1]}' cannot be a name", place, hint=hint)


def _systems_and_targets(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    for name, system in spec.systems.items():
        yield from _known(
            document, system.connector, registry.available(), "connector", ("systems", name, "connector"), "project"
        )
    for name, target in spec.targets.items():
        yield from _known(document, target.system, spec.systems, "system", ("targets", name, "system"), "project")
    for phase in get_args(PhaseName):
        serving = [name for name, target in spec.targets.items() if phase in target.phases]
        if len(serving) > 1 or (not serving and phase in _needed_phases(spec)):
            told = f"phase '{phase}' has {'no target' if not serving else 'several targets: ' + ', '.join(serving)}"
            place: Place = ("targets", serving[1], "phases") if serving else ("targets",)
            hint = f"name '{phase}' in the `phases` of exactly one target"
            yield document.error("project.phase_target", told, place, hint=hint)


def _needed_phases(spec: ProjectSpec) -> set[str]:
    """Phases that cannot do without a target."""
    needed = {"plan", "load", "verify"}
    if spec.integration is not None:
        needed |= {"integrate", "operate"}
    if spec.loadtest is not None:
        needed.add("loadtest")
    return needed


def _entities(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name, entity in spec.entities.items():
        top: Place = ("entities", name)
        for index, parent in enumerate(entity.depends_on):
            yield from _known(document, parent, spec.entities, "entity", (*top, "depends_on", index), "project")
        for field, parent in entity.references.items():
            yield from _known(
                document, parent, spec.entities, "entity", (*top, "fields", field, "references"), "project"
            )
        for index, source in enumerate(entity.sources):
            place: Place = (*top, "sources", index)
            yield from _known(document, source.system, spec.systems, "system", (*place, "system"), "project")
            if source.name in seen:
                told = f"source '{source.name}' is declared twice, first at {seen[source.name]}"
                yield document.error("project.source_twice", told, (*place, "name"), hint="source names are unique")
            seen.setdefault(source.name, document.where((*place, "name")))
    try:
        _ = spec.load_order
    except ValueError as error:
        told = str(error)
        first = next((name for name in spec.entities if name in told), "")
        place = ("entities", first, "depends_on")
        hint = "make one of the references optional: it is then set in a second step, once all records are there"
        yield document.error("project.cycle", told, place, hint=hint)


def _waves(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    names = [wave.name for wave in spec.waves]
    for index, wave in enumerate(spec.waves):
        place: Place = ("waves", index)
        if wave.name in names[:index]:
            yield document.error("project.wave_twice", f"wave '{wave.name}' is declared twice", place)
        is_last = index == len(names) - 1
        if wave.where and is_last:
            told = f"the last wave, '{wave.name}', has a filter: records that no wave takes would never be loaded"
            yield document.error("project.wave_rest", told, place, hint="add a wave without `where` after it")
        if not wave.where and not is_last:
            told = f"wave '{wave.name}' has no filter and takes everything; '{names[index + 1]}' would stay empty"
            yield document.error("project.wave_all", told, place, hint="add `where`, or move this wave to the end")
        yield from _filter(spec, document, wave, place)


def _filter(spec: ProjectSpec, document: Document, wave: WaveSpec, place: Place) -> Iterator[Finding]:
    for name, fields in wave.where.items():
        here: Place = (*place, "where", name)
        yield from _known(document, name, spec.entities, "entity", here, "project")
        entity = spec.entities.get(name)
        if not fields:
            told = f"wave '{wave.name}' names no field of '{name}': it would take every record"
            yield document.error("project.wave_empty", told, here, hint="name the fields and values it takes")
        for field, values in fields.items() if entity else ():
            kind = f"field of '{name}'"
            yield from _known(document, field, _fields(entity), kind, (*here, field), "project")
            if field in _fields(entity) and _fields(entity)[field].references:
                told = f"'{field}' refers to another record: it holds no value that a filter could name"
                hint = "filter the entity it refers to; records follow those they refer to"
                yield document.error("project.wave_reference", told, (*here, field), hint=hint)
                continue
            if not values:
                told = f"wave '{wave.name}' names no value of '{field}': it would take no record"
                yield document.error("project.wave_empty", told, (*here, field), hint="list the values it takes")
            picklist = _fields(entity)[field].picklist if field in _fields(entity) else ()
            for value in sorted(set(values) - set(picklist)) if picklist else ():
                told = f"'{value}' is not in the pick-list of '{field}': no record can have it"
                yield document.error("project.wave_value", told, (*here, field), hint=", ".join(picklist))


def _operation(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    for name, sync in spec.integration.syncs.items() if spec.integration else ():
        place: Place = ("integration", "syncs", name)
        yield from _known(document, sync.system, spec.systems, "system", (*place, "system"), "project")
        if sync.references:
            here: Place = (*place, "references_entity")
            yield from _known(document, sync.references_entity, spec.entities, "entity", here, "project")
    if spec.operations.alerts is not None:
        yield from _known(document, spec.operations.alerts, spec.systems, "system", ("operations", "alerts"), "project")


def _owner_map(spec: ProjectSpec, document: Document, root: Path) -> Iterator[Finding]:
    if spec.owner_map is not None:
        place = ("owner_map", "file")
        yield from _file(document, root, spec.owner_map.file, place)
        yield from check_table(spec.owner_map.file, OWNER_COLUMNS, document, place, root)


def _gates(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    for name, gate in spec.gates.items():
        for index, criterion in enumerate(gate.criteria):
            place: Place = ("gates", name, "criteria", index, "metric")
            yield from _known(document, criterion.metric, METRICS, "metric", place, "gate")
        if not any(criterion.blocking for criterion in gate.criteria):
            told = f"gate '{name}' has no blocking criterion and can never be PASS"
            yield document.warning("gate.never_pass", told, ("gates", name), hint="make one criterion blocking")


def check_mapping(
    spec: ProjectSpec, entity_name: str, source_name: str, mapping: MappingSpec, document: Document, root: Path
) -> list[Finding]:
    """Cross-checks of one mapping file against the entity and source that name it."""
    findings: list[Finding] = []
    for key, said, meant in (("entity", mapping.entity, entity_name), ("source", mapping.source, source_name)):
        if said != meant:
            told = f"the file is for {key} '{said}', but rollout.yaml uses it for '{meant}'"
            hint = f"write `{key}: {meant}`, or correct `mapping:` in rollout.yaml"
            findings.append(document.error("mapping.other_source", told, (key,), hint=hint))
    entity = spec.entities[entity_name]
    for index, rule in enumerate(mapping.fields):
        place: Place = ("fields", index)
        unknown = list(
            _known(document, rule.target, entity.fields, f"field of '{entity_name}'", (*place, "target"), "mapping")
        )
        findings += unknown
        if not unknown:
            field = entity.fields[rule.target]
            findings += _reference(spec, rule, field, document, place)
            findings += _fixed_values(rule, field, document, place)
        wrong = list(_transforms(spec, rule, document, place, root))
        findings += wrong or check_value_map(rule, entity, document, place, root)
    mapped = {rule.target for rule in mapping.fields}
    for name, field in entity.fields.items():
        if field.required and name not in mapped:
            told = f"required field '{name}' gets no value"
            hint = f"add a rule with `target: {name}` and a source or a const"
            findings.append(document.error("mapping.required_unmapped", told, ("fields",), hint=hint))
    return findings


def _reference(
    spec: ProjectSpec, rule: MappingRule, field: FieldSpec, document: Document, place: Place
) -> Iterator[Finding]:
    if rule.lookup is None:
        if field.type is FieldType.REFERENCE:
            told = f"'{rule.target}' refers to '{field.references}', but the rule looks nothing up"
            hint = f"add `lookup: {field.references}`; the column holds that entity's row key"
            yield document.error("mapping.lookup_missing", told, place, hint=hint)
        return
    unknown = list(_known(document, rule.lookup, spec.entities, "entity", (*place, "lookup"), "mapping"))
    yield from unknown
    if not unknown and rule.lookup != field.references:
        refers = f"refers to '{field.references}'" if field.references else "is no reference"
        told = f"looks up '{rule.lookup}', but field '{rule.target}' {refers}"
        yield document.error("mapping.lookup_mismatch", told, (*place, "lookup"), hint="correct one of the two")


def _fixed_values(rule: MappingRule, field: FieldSpec, document: Document, place: Place) -> Iterator[Finding]:
    for key, value in (("const", rule.const), ("default", rule.default)):
        if value is not None and field.picklist and value not in field.picklist:
            told = f"'{value}' is not in the pick-list of '{rule.target}'"
            yield document.error("mapping.not_in_picklist", told, (*place, key), hint=", ".join(field.picklist))


def _transforms(
    spec: ProjectSpec, rule: MappingRule, document: Document, place: Place, root: Path
) -> Iterator[Finding]:
    for index, step in enumerate(rule.transform):
        here: Place = (*place, "transform", index)
        try:
            compile_steps([step])
            files = (*value_map_files([step]), *code_map_files([step]))
        except ConfigError as error:
            yield document.error("mapping.transform", error.message, here, hint=error.hint)
            continue
        for file in files:
            yield from _file(document, root, file, here)
            columns = CODE_COLUMNS if file in code_map_files([step]) else VALUE_COLUMNS
            yield from check_table(file, columns, document, here, root)
        if step.name == "owner" and spec.owner_map is None:
            hint = "add `owner_map:` to rollout.yaml, or remove the transform"
            yield document.error("mapping.owner_map_missing", "transform 'owner' needs the owner map", here, hint=hint)


def _fields(entity: EntitySpec | None) -> Mapping[str, FieldSpec]:
    return entity.fields if entity else {}


def _file(document: Document, root: Path, name: str, place: Place) -> Iterator[Finding]:
    if not (root / name).is_file():
        hint = "paths are relative to the folder of rollout.yaml"
        yield document.error("project.file_missing", f"the file '{name}' does not exist", place, hint=hint)


def _known(
    document: Document, name: str, names: Iterable[str], what: str, place: Place, family: str
) -> Iterator[Finding]:
    known = sorted(names)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        kind = what.split(maxsplit=1)[0]
        yield document.error(f"{family}.{kind}_unknown", f"no {what} is called '{name}'", place, hint=hint)
