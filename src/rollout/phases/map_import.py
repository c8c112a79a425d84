"""`map import`: the workbook comes back; what differs is shown, checked as a whole, and written if a person says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from rollout.errors import ConfigError, DriftError
from rollout.journal import audit_trail, handouts, people
from rollout.mapping.rule_cells import EDITABLE, CellError, changes_of
from rollout.mapping.spec import MappingSpec
from rollout.mapping.table_edit import BYTE_ORDER_MARK, edited_table
from rollout.mapping.transforms_text import lookup_key
from rollout.mapping.yaml_edit import Edit, edited, new_file
from rollout.model.base import Frozen
from rollout.model.finding import Level
from rollout.phases.context import PhaseContext
from rollout.phases.map_state import MapState, Slot, Table, map_state
from rollout.phases.map_suggest import columns_of
from rollout.phases.raw import read_source
from rollout.project.check import check_mapping
from rollout.project.validate import validate
from rollout.project.yamlfile import parse_yaml
from rollout.report.files import write_document
from rollout.report.map_workbook import normal, read_map
from rollout.report.people_book import Book, Line

_AGAIN = "run `rollout map export`, and carry your changes over"


class Change(Frozen):
    """A cell that differs from what the project says."""

    file: str
    place: str = Field(description="entity/source/field, or the line's key in a table.")
    cell: str
    old: str
    new: str


class CellProblem(Frozen):
    """Why a line cannot be taken."""

    sheet: str
    line: int = Field(description="In the sheet, the header being 1.")
    place: str
    message: str
    hint: str


class MapImportSummary(Frozen):
    """What a workbook that came back says."""

    changes: tuple[Change, ...]
    problems: tuple[CellProblem, ...] = Field(default=(), description="Any of them, and nothing is written.")
    files: tuple[str, ...] = Field(default=(), description="Files that the changes are in.")
    applied: bool = False


@dataclass
class _Found:
    """What a workbook's lines mean."""

    title: str
    """Of the sheet of fields."""
    changes: list[Change] = field(default_factory=list)
    problems: list[CellProblem] = field(default_factory=list)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By slot the keys of its rule that change."""
    tables: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """By file the lines that change: key → value, None takes it out."""
    lines: dict[str, int] = field(default_factory=dict)
    """By slot the line of the sheet."""
    texts: dict[str, str] = field(default_factory=dict)
    """By file what it is to hold."""

    def refuse(self, sheet: str, line: int, place: str, message: str, hint: str) -> None:
        """Note why a line cannot be taken."""
        self.problems.append(CellProblem(sheet=sheet, line=line, place=place, message=message, hint=hint))


def import_map(
    context: PhaseContext, path: Path, *, apply: bool = False, person: str = "", code: str = "", reason: str = ""
) -> MapImportSummary:
    """See what a workbook changes, and write it when asked to.

    Args:
        context: Of a project whose mappings may be missing, see `rollout.project.loader.load_draft`.
        path: The workbook.
        apply: Write the changes into the mapping files and tables; what did not change stays byte for byte.
        person: Who applies them; a changed line that names nobody counts as confirmed by them, today.
        code: Their personal code.
        reason: Why, in a sentence.

    Raises:
        ApprovalError: Wrong code, unknown person, or no reason.
        ConfigError: It is no such workbook, or that of another project.
        DriftError: A file changed since the export.
    """
    book = read_map(path)
    project_id = context.project.spec.project.id
    if book.info.get("project") != project_id:
        told = f"the workbook is of project '{book.info.get('project', '')}', not '{project_id}'"
        raise ConfigError(told, where=path.name, hint="export this project's: rollout map export FILE")
    entities = [name for name in context.project.spec.load_order if name in book.info.get("entities", "").split()]
    state = map_state(context.project, entities)
    _refuse_changed(book, state, path)
    if apply:
        people.sign(context.journal, person, code, reason)
    found = _Found(book.titles["fields"])
    _read_fields(context, state, book, found)
    _read_tables(state, book, found)
    if apply and not found.problems:
        _confirm(state, found, person, _today(context))
    _write_texts(context, state, found)
    summary = MapImportSummary(
        changes=tuple(found.changes),
        problems=tuple(sorted(found.problems, key=lambda problem: (problem.sheet, problem.line))),
        files=tuple(found.texts),
    )
    if not apply or found.problems:
        return summary
    _apply(context, state, found, book, person=person, reason=reason)
    return summary.model_copy(update={"applied": True})


def _refuse_changed(book: Book, state: MapState, path: Path) -> None:
    """Raises DriftError naming the files that are not what the workbook was made from."""
    now: dict[str, str] = json.loads(state.fingerprints)
    try:
        then = json.loads(book.info.get("files", ""))
    except ValueError:
        then = None
    if not isinstance(then, dict):
        raise ConfigError(
            "the workbook no longer says which files it was made from",
            where=f"{path.name}: its last sheet",
            hint=_AGAIN,
        )
    changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    if changed:
        raise DriftError(f"changed since the export: {', '.join(changed)}", where=path.name, hint=_AGAIN)


def _read_fields(context: PhaseContext, state: MapState, book: Book, found: _Found) -> None:
    """The sheet of fields: cells that differ, as keys of rules."""
    for line in book.sheets["fields"]:
        slot = state.slots.get(line.cells["id"])
        if slot is None:
            told = f"no field of these entities and sources is called '{line.cells['id']}'"
            found.refuse(
                found.title, line.line, line.cells["id"], told, "leave the hidden column as it is; add no lines"
            )
            continue
        if slot.id in found.lines:
            told = f"the line stands twice, first in line {found.lines[slot.id]}"
            found.refuse(found.title, line.line, slot.id, told, "keep the one that is meant")
            continue
        found.lines[slot.id] = line.line
        known = state.cells(slot.id)
        changed = {name: cell for name in EDITABLE if (cell := normal(line.cells[name])) != known[name]}
        if changed:
            _read_rule(context, state, found, slot, changed)


def _read_rule(context: PhaseContext, state: MapState, found: _Found, slot: Slot, changed: Mapping[str, str]) -> None:
    known, at = state.cells(slot.id), found.lines[slot.id]
    for name, cell in changed.items():
        place = slot.source.mapping
        found.changes.append(Change(file=place, place=slot.id, cell=name, old=known[name], new=cell))
    values: dict[str, Any] = {}
    for name, cell in changed.items():
        try:
            values |= changes_of({**state.rules.get(slot.id, {}), **values}, {name: cell}, slot.spec, _parsed)
        except CellError as error:
            found.refuse(found.title, at, slot.id, f"{name}: '{cell}' cannot be understood", str(error))
    if values.get("source"):
        _refuse_columns(context, found, slot, values["source"])
    if values.get("confirmed_on") and not (values.get("confirmed_by") or known["confirmed_by"]):
        found.refuse(found.title, at, slot.id, "a day without a person confirms nothing", "name who confirmed the line")
    found.rules[slot.id] = values


def _parsed(text: str) -> Any:
    document = parse_yaml(f"cell: {text}", "cell")
    if document.findings:
        raise CellError(document.findings[0].message)
    return document.data["cell"]


def _refuse_columns(context: PhaseContext, found: _Found, slot: Slot, source: str | Sequence[str]) -> None:
    known = columns_of(read_source(context, slot.entity, slot.source))
    named = [source] if isinstance(source, str) else source
    if stray := [column for column in named if column not in known]:
        told = f"source '{slot.source.name}' has no column {', '.join(map(repr, stray))}"
        found.refuse(found.title, found.lines[slot.id], slot.id, told, f"its columns are: {', '.join(known)}")


def _read_tables(state: MapState, book: Book, found: _Found) -> None:
    """The sheets of value maps and owners: lines that differ."""
    by_table: dict[str, list[Line]] = {}
    for line in book.sheets["values"]:
        by_table.setdefault(line.cells["table"], []).append(line)
    for file, lines in by_table.items():
        if file not in state.tables:
            told = f"no value map is called '{file}'"
            found.refuse(book.titles["values"], lines[0].line, file, told, "name the file in a transform first")
            continue
        _read_table(state, found, state.tables[file], lines, book.titles["values"])
    if state.owners is not None:
        _read_table(state, found, state.owners, book.sheets["owners"], book.titles["owners"])


def _read_table(state: MapState, found: _Found, table: Table, lines: Sequence[Line], title: str) -> None:
    known = state.lines(table)
    allowed = state.allowed(table.file)
    seen: dict[str, tuple[int, str]] = {}
    for line in lines:
        raw, told = normal(line.cells[table.key]), normal(line.cells[table.value])
        if not raw:
            found.refuse(
                title, line.line, table.file, "the line does not say what it is about", "fill in the old value"
            )
            continue
        first, before = seen.setdefault(lookup_key(raw), (line.line, told))
        if first != line.line and before != told:
            found.refuse(title, line.line, raw, f"'{raw}' stands twice, first in line {first}", "keep one of them")
            continue
        if told == known.get(raw, ""):
            continue
        if told and allowed and told not in allowed:
            found.refuse(
                title, line.line, raw, f"'{told}' is not in the pick-list", f"use one of: {', '.join(allowed)}"
            )
            continue
        found.changes.append(Change(file=table.file, place=raw, cell=table.value, old=known.get(raw, ""), new=told))
        found.tables.setdefault(table.file, {})[raw] = told or None


def _confirm(state: MapState, found: _Found, person: str, today: str) -> None:
    """Who applies a change confirms it, unless the line names somebody."""
    for slot_id, values in found.rules.items():
        rule = {**state.rules.get(slot_id, {}), **values}
        if "confirmed_by" in values or not _says_anything(rule):
            continue
        for name, new in (("confirmed_by", person), ("confirmed_on", today)):
            old = state.cells(slot_id)[name]
            if values.get(name) is None and old != new:
                values[name] = new
                file = state.slots[slot_id].source.mapping
                found.changes.append(Change(file=file, place=slot_id, cell=name, old=old, new=new))


def _says_anything(rule: Mapping[str, Any]) -> bool:
    """Whether a rule has an origin; without one it is taken out."""
    return rule.get("source") is not None or rule.get("const") is not None


def _write_texts(context: PhaseContext, state: MapState, found: _Found) -> None:
    """What the files are to hold, each checked as `rollout check` would; problems where one cannot stand."""
    by_file: dict[str, list[str]] = {}
    for slot_id in found.rules:
        by_file.setdefault(state.slots[slot_id].source.mapping, []).append(slot_id)
    for file, slot_ids in by_file.items():
        try:
            text = _mapping_text(state, found, file, slot_ids)
        except ConfigError as error:
            slot = slot_ids[0]
            found.refuse(found.title, found.lines[slot], slot, error.message, error.hint)
            continue
        found.texts[file] = text
        _check(context, state, found, file, slot_ids)
    for file, changes in found.tables.items():
        known = state.owners if state.owners and state.owners.file == file else state.tables[file]
        mark = BYTE_ORDER_MARK if (state.files[file] or b"").startswith(BYTE_ORDER_MARK.encode()) else ""
        found.texts[file] = mark + edited_table(state.text(file), known.key, known.value, changes)


def _mapping_text(state: MapState, found: _Found, file: str, slot_ids: Sequence[str]) -> str:
    edits = []
    for slot_id in slot_ids:
        values = found.rules[slot_id]
        stays = _says_anything({**state.rules.get(slot_id, {}), **values})
        if stays or slot_id in state.rules:
            edits.append(Edit(state.slots[slot_id].target, values if stays else None))
    slot = state.slots[slot_ids[0]]
    if state.files[file] is None:
        rules = [{"target": edit.target, **_given(edit.values or {})} for edit in edits]
        return new_file(slot.entity, slot.source.name, rules)
    mark = BYTE_ORDER_MARK if (state.files[file] or b"").startswith(BYTE_ORDER_MARK.encode()) else ""
    return mark + edited(state.text(file), edits, shown=file)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _check(context: PhaseContext, state: MapState, found: _Found, file: str, slot_ids: Sequence[str]) -> None:
    """The findings of a mapping file as it would be, told by the lines of the sheet that caused them."""
    document = parse_yaml(found.texts[file].removeprefix(BYTE_ORDER_MARK), file)
    mapping, findings = validate(document, MappingSpec) if not document.findings else (None, document.findings)
    slot = state.slots[slot_ids[0]]
    if mapping is not None:
        spec, root = context.project.spec, context.project.root
        findings = check_mapping(spec, slot.entity, slot.source.name, mapping, document, root)
    for finding in findings:
        if finding.level is not Level.ERROR:
            continue
        about = next((one for one in slot_ids if _speaks_of(finding.where, document.lines, one, document.data)), None)
        at = found.lines[about] if about else 0
        found.refuse(found.title, at, about or finding.where, finding.message, finding.hint)


def _speaks_of(where: str, lines: Mapping[Any, int], slot_id: str, data: Mapping[str, Any]) -> bool:
    """Whether a finding's line lies within the rule of a slot."""
    target, line = slot_id.rsplit("/", 1)[-1], where.rpartition(":")[2]
    rules = data.get("fields", [])
    places = [index for index, rule in enumerate(rules) if isinstance(rule, dict) and rule.get("target") == target]
    if not places or not line.isdigit():
        return False
    begins = lines[("fields", places[0])]
    ends = min((at for place, at in lines.items() if place == ("fields", places[0] + 1)), default=1 << 30)
    return begins <= int(line) < ends


def _today(context: PhaseContext) -> str:
    return context.clock().astimezone(ZoneInfo(context.project.spec.project.time_zone)).date().isoformat()


def _apply(context: PhaseContext, state: MapState, found: _Found, book: Book, *, person: str, reason: str) -> None:
    """Write the files, and record who did."""
    root, journal = context.project.root, context.journal
    changed = sorted(_changed_meanwhile(state, root, found.texts))
    if changed:
        raise DriftError(f"changed while the workbook was read: {', '.join(changed)}", hint=_AGAIN)
    for file, text in found.texts.items():
        write_document((root / file).parent, (root / file).name, text)
    handout_id = book.info.get("handout", "")
    with journal.transaction() as connection:
        handouts.record_return(
            connection,
            journal.project_id,
            handout_id,
            answered=len({change.place for change in found.changes}),
            returned_by=person,
            returned_at=context.clock(),
        )
        detail = {"files": sorted(found.texts), "changes": len(found.changes), "reason": reason}
        audit_trail.append(connection, journal.project_id, person, "map.imported", handout_id, detail)


def _changed_meanwhile(state: MapState, root: Path, files: Mapping[str, str]) -> Iterator[str]:
    for file in files:
        path = root / file
        if (path.read_bytes() if path.is_file() else None) != state.files[file]:
            yield file
