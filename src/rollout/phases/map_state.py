"""What a project's mappings say now, as the workbook shows it: rules, value maps, the owner map, and their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rollout.mapping.rule_cells import EDITABLE, cells_of
from rollout.mapping.spec import SourceSpec
from rollout.mapping.table_edit import table_lines
from rollout.mapping.transforms import value_map_files
from rollout.model.entity import FieldSpec
from rollout.project.loader import Project
from rollout.project.yamlfile import read_yaml
from rollout.report.map_workbook import normal

ENTITIES = "rollout.yaml (entities)"
"""Stands for the fields and pick-lists among the fingerprints."""


class Slot(NamedTuple):
    """A field of an entity that a source may fill: a line of the workbook."""

    entity: str
    source: SourceSpec
    target: str
    spec: FieldSpec

    @property
    def id(self) -> str:
        """How the line is found again."""
        return f"{self.entity}/{self.source.name}/{self.target}"


class Table(NamedTuple):
    """A two-column CSV that people keep."""

    file: str
    key: str
    value: str


@dataclass(frozen=True)
class MapState:
    """Everything that the workbook is of."""

    project: Project
    slots: Mapping[str, Slot]
    """By id, in the workbook's order."""
    rules: Mapping[str, Mapping[str, Any]]
    """By id what the mapping file says; slots that nothing fills have none."""
    tables: Mapping[str, Table]
    """Value maps by file."""
    users: Mapping[str, Sequence[str]]
    """By value map the ids of the slots that use it."""
    owners: Table | None
    files: Mapping[str, bytes | None]
    """Content by name; None: there is no such file yet."""

    def cells(self, slot_id: str) -> dict[str, str]:
        """A line's editable cells, as they come back from a workbook that nobody touched."""
        cells = cells_of(self.rules.get(slot_id))
        return {name: normal(cells[name]) for name in EDITABLE}

    def lines(self, table: Table) -> dict[str, str]:
        """A table's lines: key → value."""
        return {normal(raw): normal(told) for raw, told in table_lines(self.text(table.file), table.key, table.value)}

    def text(self, file: str) -> str:
        """A file's text, without its byte order mark."""
        return (self.files[file] or b"").decode("utf-8-sig")

    def allowed(self, file: str) -> tuple[str, ...]:
        """The values that the fields which use a value map take; none: any."""
        lists = [self.slots[user].spec.picklist for user in self.users.get(file, ())]
        return tuple(dict.fromkeys(value for picklist in lists for value in picklist))

    @property
    def fingerprints(self) -> str:
        """Of everything that the workbook was made from, as JSON: name → digest."""
        spec = self.project.spec
        names = dict.fromkeys(slot.entity for slot in self.slots.values())
        declared = json.dumps([spec.entities[name].model_dump(mode="json") for name in names], sort_keys=True)
        prints = {name: _print(data) for name, data in self.files.items()}
        return json.dumps({**prints, ENTITIES: _print(declared.encode())}, ensure_ascii=False)


def map_state(project: Project, entities: Sequence[str]) -> MapState:
    """The mappings of these entities as they are now."""
    slots = {slot.id: slot for slot in _slots(project, entities)}
    rules: dict[str, Mapping[str, Any]] = {}
    tables: dict[str, Table] = {}
    users: dict[str, list[str]] = {}
    files: dict[str, bytes | None] = {}
    for name in entities:
        for source in project.spec.entities[name].sources:
            files[source.mapping] = _content(project.root / source.mapping)
            if files[source.mapping] is None:
                continue
            for rule in read_yaml(project.root / source.mapping, source.mapping).data["fields"]:
                rules[f"{name}/{source.name}/{rule['target']}"] = rule
            for known in project.mappings[name, source.name].fields:
                for file in value_map_files(known.transform):
                    tables[file] = Table(file, "raw", "value")
                    users.setdefault(file, []).append(f"{name}/{source.name}/{known.target}")
    owners = project.spec.owner_map
    table = Table(owners.file, "legacy_name", "user") if owners else None
    files |= {
        known.file: _content(project.root / known.file) for known in (*tables.values(), *([table] if table else []))
    }
    return MapState(project, slots, rules, tables, users, table, files)


def _slots(project: Project, entities: Sequence[str]) -> Iterator[Slot]:
    for name in entities:
        entity = project.spec.entities[name]
        for source in entity.sources:
            for target, spec in entity.fields.items():
                yield Slot(name, source, target, spec)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _print(data: bytes | None) -> str:
    return hashlib.sha256(data).hexdigest()[:16] if data is not None else "-"
