"""Whether what is declared about matching holds together: fields that exist, transforms and comparisons that run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from rollout.errors import ConfigError
from rollout.mapping.spec import TransformStep
from rollout.mapping.transforms import compile_steps
from rollout.match.layout import Layout
from rollout.match.spec import MatchModel, MatchSpec
from rollout.model.entity import FieldType
from rollout.model.finding import Finding
from rollout.project.spec import EntitySpec, ProjectSpec
from rollout.project.yamlfile import Document, Place

_DATED = (FieldType.DATE, FieldType.DATETIME)


def check_match(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    """Everything that is wrong with the match sections."""
    for name, match in spec.match.items():
        entity = spec.entities.get(name)
        if entity is None:
            told = f"no entity is called '{name}'"
            yield document.error("match.entity_unknown", told, ("match", name), hint=_near(name, spec.entities))
            continue
        for field, place in _named_fields(name, match):
            yield from _known(document, name, entity, field, place)
        yield from _transforms(name, match, document)
        yield from _newest(name, match, entity, document)
        yield from _model(name, match, entity, document)


def _named_fields(name: str, match: MatchSpec) -> Iterator[tuple[str, Place]]:
    """Every field that a match section names, and where."""
    of: Place = ("match", name)
    for index, key in enumerate(match.keys):
        for number, field in enumerate(key.fields):
            yield field, (*of, "keys", index, "fields", number)
    for part in ("across", "never_alone"):
        for number, field in enumerate(getattr(match.guards, part)):
            yield field, (*of, "guards", part, number)
    if match.guards.branches is not None:
        yield match.guards.branches, (*of, "guards", "branches")
    if match.newest_by is not None:
        yield match.newest_by, (*of, "newest_by")
    for field in match.fields:
        yield field, (*of, "fields", field)
    if match.model is not None:
        yield from _compared_fields(match.model, (*of, "model"))


def _compared_fields(model: MatchModel, of: Place) -> Iterator[tuple[str, Place]]:
    for field in model.comparisons:
        yield field, (*of, "comparisons", field)
    for index, rule in enumerate(model.blocking):
        for number, part in enumerate(rule):
            yield part.partition(".")[0], (*of, "blocking", index, number)


def _known(document: Document, name: str, entity: EntitySpec, field: str, place: Place) -> Iterator[Finding]:
    if field not in entity.fields:
        told = f"no field of '{name}' is called '{field}'"
        yield document.error("match.field_unknown", told, place, hint=_near(field, entity.fields))


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


def _transforms(name: str, match: MatchSpec, document: Document) -> Iterator[Finding]:
    for index, key in enumerate(match.keys):
        for field, transform in key.by.items():
            try:
                compile_steps([TransformStep(name=transform)])
            except ConfigError as error:
                place: Place = ("match", name, "keys", index, "by", field)
                yield document.error("match.transform", error.message, place, hint=error.hint)


def _newest(name: str, match: MatchSpec, entity: EntitySpec, document: Document) -> Iterator[Finding]:
    field = entity.fields.get(match.newest_by or "")
    if field is not None and field.type not in _DATED:
        told = f"'{match.newest_by}' tells which row is newer, and is no date"
        yield document.error(
            "match.newest_by", told, ("match", name, "newest_by"), hint="name a date or datetime field"
        )


def _model(name: str, match: MatchSpec, entity: EntitySpec, document: Document) -> Iterator[Finding]:
    if match.model is None or not set(match.model.comparisons) <= set(entity.fields):
        return
    try:
        _ = Layout(match.model, name).rules
    except ConfigError as error:
        yield document.error("match.comparison", error.message, ("match", name, "model"), hint=error.hint)
