"""Whether what a project says about numbers, owners and value maps holds together with its mappings."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rollout.mapping.spec import MappingRule, MappingSpec
from rollout.mapping.transforms import compile_steps
from rollout.mapping.transforms_maps import ValueMapArgs
from rollout.model.entity import FieldType
from rollout.model.finding import Finding
from rollout.project.spec import EntitySpec, ProjectSpec
from rollout.project.yamlfile import Document, Place

OWNER_COLUMNS = ("legacy_name", "user")
VALUE_COLUMNS = ("raw", "value")
CODE_COLUMNS = ("company", "code", "customer")
"""Of the tables that people keep."""


def check_numbers(
    spec: ProjectSpec, mappings: Mapping[tuple[str, str], MappingSpec], document: Document
) -> Iterator[Finding]:
    """A number is given by one side: ours and the target's are mapped by nobody, the ERP's by every source."""
    for name, entity in spec.entities.items():
        if entity.number is None:
            continue
        number, place = entity.number, ("entities", name, "number")
        yield from _number_field(name, entity, document)
        known = {key[1]: mapping for key, mapping in mappings.items() if key[0] == name}
        mapped = [source for source, mapping in known.items() if any(x.target == number.field for x in mapping.fields)]
        if number.authority == "erp":
            if known and not mapped:
                told = f"'{number.field}' holds the ERP's number, and no source of '{name}' fills it"
                yield document.error("project.number_unmapped", told, place, hint="map it, or change the authority")
        elif mapped:
            told = f"'{number.field}' is numbered by {number.authority}, and yet {', '.join(mapped)} fills it"
            hint = "keep the old numbers in a field of their own, and remove the rule"
            yield document.error("project.number_mapped", told, place, hint=hint)


def _number_field(name: str, entity: EntitySpec, document: Document) -> Iterator[Finding]:
    assert entity.number is not None
    field = entity.fields[entity.number.field]
    where: Place = ("entities", name, "fields", entity.number.field)
    if field.type is not FieldType.TEXT:
        told = f"'{entity.number.field}' holds numbers such as CUST202603010001, and is no text"
        yield document.error("project.number_type", told, where, hint="make it a text field")
    if field.required and entity.number.authority != "erp":
        told = f"'{entity.number.field}' is given when a record is planned, and cannot be required of the sources"
        yield document.error("project.number_required", told, where, hint="remove `required`")
    if field.verify and entity.number.authority == "crm":
        told = f"'{entity.number.field}' is given by the target: there is nothing to compare it with"
        yield document.error("project.number_verify", told, where, hint="write `verify: false`")


def check_table(file: str, columns: Sequence[str], document: Document, place: Place, root: Path) -> Iterator[Finding]:
    """A table that people keep is UTF-8, and has the columns that are read; a missing file is told elsewhere."""
    try:
        with (root / file).open(encoding="utf-8-sig", newline="") as stream:
            header = csv.DictReader(stream).fieldnames or ()
            stream.read()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        told = f"'{file}' cannot be read ({type(error).__name__})"
        yield document.error("project.table_unreadable", told, place, hint="save it as CSV in UTF-8")
        return
    if lacking := [column for column in columns if column not in header]:
        told = f"'{file}' has no column {', '.join(map(repr, lacking))}"
        hint = f"name the columns in its first line: {','.join(columns)}"
        yield document.error("project.table_columns", told, place, hint=hint)


def check_people(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    """People check entities that there are."""
    asked = (spec.verify.people.entities if spec.verify.people else None) or ()
    for index, name in enumerate(asked):
        if name not in spec.entities:
            place = ("verify", "people", "entities", index)
            yield document.error(
                "project.unknown_entity", f"no entity is called '{name}'", place, hint=", ".join(spec.entities)
            )


def check_value_map(
    rule: MappingRule, spec: EntitySpec, document: Document, place: Place, root: Path
) -> Iterator[Finding]:
    """A value map at the end of a pick-list's chain gives values of the pick-list."""
    field = spec.fields.get(rule.target)
    steps = compile_steps(rule.transform)
    if field is None or not field.picklist or not steps or not isinstance(steps[-1].args, ValueMapArgs):
        return
    args = steps[-1].args
    lines = _lines(root / args.file) if args.file else [(0, value) for value in args.table.values()]
    for line, value in lines:
        if value and value not in field.picklist:
            told = f"'{value}' is not in the pick-list of '{rule.target}'"
            at = f" ({args.file}:{line})" if line else ""
            yield document.error("mapping.not_in_picklist", told + at, place, hint=", ".join(field.picklist))


def _lines(path: Path) -> list[tuple[int, str]]:
    """The values of a value map with their lines; none of a file that reading it says is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            return [(reader.line_num, (row.get("value") or "").strip()) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
