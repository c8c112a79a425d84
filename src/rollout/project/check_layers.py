"""Whether the layers of a project and their control totals hold together."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.model.entity import FieldType
from rollout.model.finding import Finding
from rollout.project.spec import ControlTotal, EntitySpec, ProjectSpec
from rollout.project.yamlfile import Document, Place

_SUMMED = (FieldType.INTEGER, FieldType.DECIMAL)


def check_layers(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    """Names that point somewhere, each entity in one layer and not before those it refers to, figures that exist."""
    at: dict[str, int] = dict.fromkeys(spec.entities, -1)
    names: list[str] = []
    for index, layer in enumerate(spec.layers):
        place: Place = ("layers", index)
        if layer.name in names:
            yield document.error("project.layer_twice", f"layer '{layer.name}' is declared twice", place)
        names.append(layer.name)
        for number, entity in enumerate(layer.entities):
            here: Place = (*place, "entities", number)
            if entity not in spec.entities:
                told = f"layer '{layer.name}' names the unknown entity '{entity}'"
                yield document.error("project.layer_unknown", told, here, hint=f"known: {', '.join(spec.entities)}")
            elif at[entity] >= 0:
                told = f"entity '{entity}' is in two layers, '{names[at[entity]]}' and '{layer.name}'"
                yield document.error("project.layer_entity_twice", told, here, hint="leave it in one of them")
            else:
                at[entity] = index
        for number, total in enumerate(layer.control_totals):
            yield from _total(spec, document, total, layer.entities, (*place, "control_totals", number))
    yield from _parents(spec, document, at, names)


def _parents(spec: ProjectSpec, document: Document, at: dict[str, int], names: list[str]) -> Iterator[Finding]:
    for entity, index in at.items():
        for parent in spec.parents(entity):
            if at[parent] > index:
                told = (
                    f"'{entity}' would be loaded before '{parent}', which it needs and layer '{names[at[parent]]}' has"
                )
                place: Place = ("layers", index) if index >= 0 else ("layers",)
                yield document.error("project.layer_order", told, place, hint=f"move '{parent}' to an earlier layer")


def _total(
    spec: ProjectSpec, document: Document, total: ControlTotal, entities: tuple[str, ...], place: Place
) -> Iterator[Finding]:
    if total.entity not in entities:
        told = f"control total '{total.name}' is of '{total.entity}', which its layer does not load"
        yield document.error("project.total_entity", told, (*place, "entity"), hint=f"use: {', '.join(entities)}")
    waves = [wave.name for wave in spec.waves]
    if total.wave is not None and total.wave not in waves:
        told = f"control total '{total.name}' names the unknown wave '{total.wave}'"
        yield document.error("project.layer_unknown", told, (*place, "wave"), hint=f"known: {', '.join(waves)}")
    if total.entity in spec.entities:
        yield from _fields(spec.entities[total.entity], document, total, place)


def _fields(entity: EntitySpec, document: Document, total: ControlTotal, place: Place) -> Iterator[Finding]:
    for field in (*total.where, *([total.field] if total.field else [])):
        if field not in entity.fields:
            told = f"control total '{total.name}' names '{field}', which is no field of '{total.entity}'"
            yield document.error("project.layer_unknown", told, place, hint=f"known: {', '.join(entity.fields)}")
        elif field == total.field and entity.fields[field].type not in _SUMMED:
            told = f"control total '{total.name}' sums '{field}', which is {entity.fields[field].type.value}, no number"
            yield document.error("project.total_field", told, (*place, "field"), hint="sum an integer or decimal")
        elif field in total.where and (picklist := entity.fields[field].picklist):
            for value in sorted(set(total.where[field]) - set(picklist)):
                told = f"'{value}' is not in the pick-list of '{field}': no record can have it"
                yield document.error("project.total_value", told, (*place, "where", field), hint=", ".join(picklist))
