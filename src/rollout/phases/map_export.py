"""`map export`: the workbook in which people look at mappings, change and confirm them. Samples are masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
from pydantic import Field

from rollout.assess import examples
from rollout.journal import audit_trail, handouts, people
from rollout.mapping.date_columns import date_column
from rollout.mapping.spec import SourceSpec
from rollout.mapping.suggest import FieldSuggestion, value_lines
from rollout.mapping.transforms_text import lookup_key
from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec, FieldType
from rollout.model.masking import mask_generic, mask_text, masker
from rollout.phases.context import PhaseContext, chosen_entities
from rollout.phases.map_cells import Cell, cells, filled_rows
from rollout.phases.map_state import MapState, Slot, Table, map_state
from rollout.phases.map_suggest import columns_of, draft_context, suggestions
from rollout.phases.raw import RawStage, read_source
from rollout.phases.stages import engine
from rollout.project.spec import Language
from rollout.report.map_workbook import write_map
from rollout.report.messages import Messages, messages

KIND = "mapping"
_SAMPLES = 3
_CELLS = 500
"""Distinct cells of a column that are looked at."""
_TELLING = (FieldType.PHONE, FieldType.EMAIL, FieldType.USCC)


class ExportSummary(Frozen):
    """What went into the workbook."""

    file: str
    handout_id: str
    fields: int = Field(description="Lines: fields of entities by source.")
    unmapped: int = Field(description="Of them those that nothing fills.")
    unconfirmed: int = Field(description="Of the mapped ones those that nobody confirmed.")
    values: int = Field(description="Lines of value maps.")
    open_values: int = Field(description="Of them cells that the map does not know yet.")
    open_owners: int = Field(description="People whom the owner map does not know.")


def export_map(
    context: PhaseContext, path: Path, *, entities: Sequence[str] | None = None, language: Language | None = None
) -> ExportSummary:
    """Write the workbook, and record that it went out.

    Args:
        context: Of a project whose mappings may be missing, see `rollout.project.loader.load_draft`.
        path: Where to.
        entities: Only these.
        language: Of headers and words; default: the project's first.

    Raises:
        ConfigError: A source cannot be read as declared, or an entity is unknown.
    """
    names = chosen_entities(context, entities)
    state = map_state(context.project, names)
    with engine(context.project.workspace.stages) as connection:
        book = _Book(context, connection, state, messages(language or context.project.spec.project.languages[0]))
        fields, values, owners = list(book.fields()), list(book.values()), list(book.owners())
        unused = list(book.unused())
    handout_id, now = handouts.new_id(), context.clock()
    info = {
        "project": context.project.spec.project.id,
        "handout": handout_id,
        "entities": " ".join(names),
        "exported_at": now.isoformat(timespec="seconds"),
        "files": state.fingerprints,
    }
    sha256 = write_map(
        path, fields=fields, values=values, owners=owners, unused=unused, info=info, language=book.t.language
    )
    _record(context, handout_id, path, rows=len(fields), sha256=sha256)
    mapped = [line for line in fields if line["source_columns"] or line["const"]]
    return ExportSummary(
        file=str(path),
        handout_id=handout_id,
        fields=len(fields),
        unmapped=len(fields) - len(mapped),
        unconfirmed=sum(not line["confirmed_by"] for line in mapped),
        values=len(values),
        open_values=sum(not line["value"] for line in values),
        open_owners=sum(not line["user"] for line in owners),
    )


class _Book:
    """Puts together the lines of the sheets."""

    def __init__(
        self, context: PhaseContext, connection: duckdb.DuckDBPyConnection, state: MapState, t: Messages
    ) -> None:
        self.context, self.connection, self.state, self.t = context, connection, state, t
        names = list(dict.fromkeys(slot.entity for slot in state.slots.values()))
        entities = context.project.spec.entities
        self.stages: dict[tuple[str, str], RawStage] = {
            (name, source.name): read_source(context, name, source)
            for name in names
            for source in entities[name].sources
        }
        self.suggested = suggestions(context, names)

    def fields(self) -> Iterator[dict[str, str]]:
        """A line a field and source."""
        for slot in self.state.slots.values():
            own = self.state.cells(slot.id)
            columns = tuple(part.strip() for part in own["source_columns"].split("|") if part.strip())
            seen = self._cells(slot.entity, slot.source, columns)
            yield {
                **self._named(slot.entity, slot.source),
                "target": slot.target,
                "label": slot.spec.label,
                "type": self.t(f"type.{slot.spec.type.value}"),
                "must": self.t("map.word.yes") if slot.spec.required else "",
                **own,
                **self._seen(slot.entity, slot.source, columns, seen, slot.spec),
                "formats": self._formats(slot, columns),
                "picklist": "、".join(slot.spec.picklist),
                "suggestion": self._suggestion(slot),
                "id": slot.id,
            }

    def values(self) -> Iterator[dict[str, str]]:
        """A line for each that a value map has, and for each cell that it does not know."""
        for table in self.state.tables.values():
            known = self.state.lines(table)
            rows, guesses = self._used(table, known)
            allowed = "、".join(self.state.allowed(table.file))
            line = {"table": table.file, "allowed": allowed}
            for raw, value in known.items():
                yield {**line, "raw": raw, "value": value, "rows": str(rows[lookup_key(raw)]), "guess": ""}
            for raw, guess in guesses.items():
                yield {**line, "raw": raw, "value": "", "rows": str(rows[lookup_key(raw)]), "guess": guess or ""}

    def owners(self) -> Iterator[dict[str, str]]:
        """A line a person of the owner map, and one for each whom it does not know."""
        if self.state.owners is None:
            return
        known = self.state.lines(self.state.owners)
        rows: Counter[str] = Counter()
        spelt: dict[str, str] = {}
        for slot_id, slot in self.state.slots.items():
            if "owner" in self.state.cells(slot_id)["transform"]:
                columns = tuple(self.state.cells(slot_id)["source_columns"].split(" | "))
                for cell in self._cells(slot.entity, slot.source, columns, limit=None):
                    rows[lookup_key(cell.text)] += cell.rows
                    spelt.setdefault(lookup_key(cell.text), cell.text.strip())
        folded = {lookup_key(name) for name in (*known, *known.values(), self._pool())}
        placeholders = {lookup_key(word) for word in self.context.project.spec.cleanse.placeholders}
        for name, user in known.items():
            yield {"legacy_name": name, "user": user, "rows": str(rows[lookup_key(name)])}
        for key, name in spelt.items():
            if key and key not in folded and key not in placeholders:
                yield {"legacy_name": name, "user": "", "rows": str(rows[key])}

    def unused(self) -> Iterator[dict[str, str]]:
        """A line a column that nothing reads."""
        for (entity, name), stage in self.stages.items():
            source = next(one for one in self.context.project.spec.entities[entity].sources if one.name == name)
            mapping = self.context.project.mappings.get((entity, name))
            for column in columns_of(stage):
                if mapping is None or column not in mapping.columns:
                    seen = self._cells(entity, source, (column,))
                    yield {
                        **self._named(entity, source),
                        "column": column,
                        **self._seen(entity, source, (column,), seen, None),
                    }

    def _pool(self) -> str:
        owners = self.context.project.spec.owner_map
        return owners.pool if owners else ""

    def _named(self, entity: str, source: SourceSpec) -> dict[str, str]:
        spec = self.context.project.spec.entities[entity]
        return {"entity": self.t.label(spec.label, spec.label_en), "source_name": source.name}

    def _cells(
        self, entity: str, source: SourceSpec, columns: Sequence[str], *, limit: int | None = _CELLS
    ) -> list[Cell]:
        path = self.context.project.workspace.stages / self.stages[entity, source.name].file
        return cells(self.connection, path, columns, limit=limit)

    def _seen(
        self, entity: str, source: SourceSpec, columns: Sequence[str], seen: Sequence[Cell], spec: FieldSpec | None
    ) -> dict[str, str]:
        """Samples and fill rate of a column; of several, of the first with a value."""
        stage = self.stages[entity, source.name]
        if not columns:
            return {"samples": "", "fill_rate": ""}
        mask = _mask(spec)
        known = [name for name in columns if name in columns_of(stage)]
        filled = filled_rows(self.connection, self.context.project.workspace.stages / stage.file, known)
        share = max(filled.values(), default=0) / stage.rows if stage.rows else 0.0
        return {
            "samples": "、".join(mask(cell.text.strip()) for cell in seen[:_SAMPLES]),
            "fill_rate": f"{share:.1%}",
        }

    def _formats(self, slot: Slot, columns: Sequence[str]) -> str:
        if slot.spec.type not in (FieldType.DATE, FieldType.DATETIME):
            return ""
        seen = self._cells(slot.entity, slot.source, columns, limit=None)  # a rare one may speak against the others
        return ", ".join(f"{way} {share:.1%}" for way, share in date_column(seen).shares.items())

    def _suggestion(self, slot: Slot) -> str:
        told = self.suggested[slot.entity][slot.source.name]
        found: FieldSuggestion | None = next((item for item in told.fields if item.target == slot.target), None)
        if found is None:
            return ""
        likely = f"; {found.date_format}" if found.date_format else ""
        return f"{found.column} ({found.score:.2f}: {', '.join(map(str, found.reasons))}){likely}"

    def _used(self, table: Table, known: Mapping[str, str]) -> tuple[Counter[str], dict[str, str | None]]:
        """How often each cell occurs where a value map is used, and the cells that it does not know."""
        rows: Counter[str] = Counter()
        guesses: dict[str, str | None] = {}
        folded = {lookup_key(raw): value for raw, value in known.items()}
        for user in self.state.users.get(table.file, ()):
            slot = self.state.slots[user]
            columns = tuple(self.state.cells(user)["source_columns"].split(" | "))
            seen = self._cells(slot.entity, slot.source, columns)
            for cell in seen:
                rows[lookup_key(cell.text)] += cell.rows
            transforms = draft_context(self.context.project, slot.entity, slot.source)
            for line in value_lines(seen, slot.spec.picklist, transforms, folded):
                guesses[line.raw] = line.value
        return rows, guesses


def _mask(spec: FieldSpec | None) -> Callable[[str], str]:
    """How samples of a column are shown: what may be personal is masked, whatever it is mapped to."""
    if spec is None:
        return mask_generic
    if spec.personal:
        return masker(spec)
    return examples.masker(spec) if spec.type in _TELLING else mask_text


def _record(context: PhaseContext, handout_id: str, path: Path, *, rows: int, sha256: str) -> None:
    who, now = people.os_user(), context.clock()
    with context.journal.transaction() as connection:
        handouts.record_export(
            connection,
            context.journal.project_id,
            handout_id,
            kind=KIND,
            entity=None,
            recipient="",
            rows=rows,
            due_on=None,
            file=path.name,
            sha256=sha256,
            unmasked=False,
            exported_by=who,
            exported_at=now,
        )
        detail = {"rows": rows, "sha256": sha256}
        audit_trail.append(connection, context.journal.project_id, who, "map.exported", handout_id, detail)
