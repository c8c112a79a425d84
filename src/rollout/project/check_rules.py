"""Whether row rules and dormant records hold together: fields that are there, and can be compared as declared."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.cleanse.row_rules import refuse_unfit
from rollout.errors import ConfigError
from rollout.model.entity import FieldType
from rollout.model.finding import Finding
from rollout.project.spec import EntitySpec, ProjectSpec
from rollout.project.spec_data import DormantSpec
from rollout.project.yamlfile import Document, Place

_DATES = frozenset({FieldType.DATE, FieldType.DATETIME})


def check_rules(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    """Cross-checks of the rules over whole rows, and of what counts as dormant.

    Args:
        spec: The project as validated.
        document: The file it came from, for lines.
    """
    for name, entity in spec.entities.items():
        seen: set[str] = set()
        for index, rule in enumerate(entity.rules):
            place: Place = ("entities", name, "rules", index)
            try:
                refuse_unfit(rule, entity.fields, where="")
            except ConfigError as error:
                yield document.error("project.rule", error.message, place, hint=error.hint)
            if rule.name in seen:
                told = f"rule '{rule.name}' is declared twice"
                yield document.error("project.rule", told, place, hint="each rule has a name of its own")
            seen.add(rule.name)
    for name, dormant in spec.dormant.items():
        if name in spec.entities:
            yield from _choices(spec, document, name, dormant)
            yield from _signs(spec, document, name, dormant)
        else:
            known = ", ".join(spec.entities)
            told = f"'{name}' is no entity"
            yield document.error("project.dormant", told, ("dormant", name), hint=f"known: {known}")


def _choices(spec: ProjectSpec, document: Document, name: str, rule: DormantSpec) -> Iterator[Finding]:
    """What a choice changes: fields that are there, and values that they may have."""
    place: Place = ("dormant", name)
    fields = spec.entities[name].fields
    for field, value in (*rule.freeze.items(), *rule.pool.items()):
        if field not in fields:
            told, hint = f"'{field}' is no field of '{name}'", "name the fields that a choice changes"
        elif value is None and fields[field].required:
            told, hint = f"'{field}' is required: a record that goes to the pool cannot lose it", "name a value"
        elif value is not None and fields[field].picklist and value not in fields[field].picklist:
            told, hint = f"'{value}' is not in the pick-list of '{field}'", ", ".join(fields[field].picklist)
        else:
            continue
        yield document.error("project.dormant", told, place, hint=hint)


def _signs(spec: ProjectSpec, document: Document, name: str, rule: DormantSpec) -> Iterator[Finding]:
    """Signs of life: dates, and references that point here."""
    place: Place = ("dormant", name)
    for field in rule.dates:
        if not _is_date(spec.entities[name], field):
            told = f"'{field}' is no date of '{name}'"
            yield document.error("project.dormant", told, (*place, "dates"), hint="name date or datetime fields")
    for index, activity in enumerate(rule.activity):
        other = spec.entities.get(activity.entity)
        here: Place = (*place, "activity", index)
        if other is None or other.references.get(activity.reference) != name:
            told = f"'{activity.entity}.{activity.reference}' is no reference to '{name}'"
            yield document.error("project.dormant", told, here, hint="name an entity, and its field that refers here")
        elif not _is_date(other, activity.date):
            told = f"'{activity.date}' is no date of '{activity.entity}'"
            yield document.error("project.dormant", told, here, hint="name one of its date or datetime fields")


def _is_date(entity: EntitySpec, field: str) -> bool:
    return field in entity.fields and entity.fields[field].type in _DATES
