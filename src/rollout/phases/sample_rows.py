"""What a person is shown of a drawn record: its legacy rows, what they became, what the target holds, who is to look.

Legacy rows come from the raw stages as they were read, those that were merged into the record among them. What the
target holds is read by key now, and a reference is shown by the title of the record that it leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rollout.connectors.base import RecordPages
from rollout.journal import crosswalk
from rollout.mapping.spec import RESERVED_COLUMNS, SourceSpec
from rollout.model.entity import FieldSpec, Values
from rollout.model.masking import mask_generic, mask_text, masker
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.sample_draw import Drawn, DrawnRecord, stage_rows
from rollout.report.sample_workbook import Compared, LegacyRow, SampleLine


class _Place(NamedTuple):
    """What a source reads."""

    system: str
    path: str | None
    query: str | None


class Responsible(NamedTuple):
    """Who answers for a record, as far as it or its parents say."""

    owner: str | None = None
    region: str | None = None

    def checker(self, by: str) -> str | None:
        """Who is to look at it: the owner, else the region; None: nobody in particular."""
        if by == "all":
            return None
        return (self.owner if by == "owner" else None) or self.region


@dataclass(frozen=True)
class SampleRows:
    """Gathers what people are shown of the records of one target.

    Args:
        golden: By entity the golden stage, with what people put right.
        unmasked: Show personal data as it is.
    """

    context: PhaseContext
    target: TargetConnector
    golden: Mapping[str, Path]
    unmasked: bool
    _rows: dict[str, dict[str, Values]] = field(default_factory=dict)
    """By entity and golden key the records that others refer to."""
    _keys: dict[str, dict[str, str]] = field(default_factory=dict)
    """Their migration keys."""

    def lines(self, sample: Drawn, records: Sequence[DrawnRecord]) -> Iterator[tuple[Responsible, SampleLine]]:
        """The records, each with who is responsible for it; raises Retryable if the target cannot be read."""
        self._gather(sample.entity, [record.values for record in records])
        held = self._held(sample.entity, records)
        titles = self._titles(sample.entity, held)
        legacy = self._legacy(sample.entity, [record.golden_key for record in records])
        spec = self.context.project.spec.entities[sample.entity]
        for record in records:
            found = held.get(record.migration_key, ())
            title = self._shown(spec.fields[spec.title_field], record.values.get(spec.title_field))
            yield (
                self._responsible(sample.entity, record.values),
                SampleLine(
                    entity=sample.entity,
                    migration_key=record.migration_key,
                    title=title or "",
                    legacy=legacy.get(record.golden_key, []),
                    compared=[
                        self._compared(name, declared, record, found, titles)
                        for name, declared in spec.fields.items()
                        if declared.verify
                    ],
                    copies=len(found),
                    link=self._link(sample.entity, found),
                ),
            )

    def _held(self, entity: str, records: Sequence[DrawnRecord]) -> Mapping[str, Sequence[TargetRecord]]:
        keys, size = [record.migration_key for record in records], self.target.capabilities.max_read_keys
        found: dict[str, Sequence[TargetRecord]] = {}
        with shown(self.context.progress, f"sample of {entity}", len(keys), "records") as progress:
            for part in _parts(keys, size):
                found.update(self.target.read_by_keys(entity, part))
                progress.advance(len(part))
        return found

    def _titles(
        self, entity: str, held: Mapping[str, Sequence[TargetRecord]]
    ) -> Mapping[tuple[str, str], tuple[str, str | None]]:
        """(parent entity, target id) → (title, migration key) of the records that references lead to."""
        references = self.context.project.spec.entities[entity].references
        found: dict[tuple[str, str], tuple[str, str | None]] = {}
        for parent in set(references.values()):
            spec = self.context.project.spec.entities[parent]
            ids = {
                str(record.values[name])
                for records in held.values()
                for record in records
                for name, wanted in references.items()
                if wanted == parent and record.values.get(name)
            }
            for part in _parts(sorted(ids), self.target.capabilities.max_read_keys):
                for target_id, record in self.target.read_by_ids(parent, part).items():
                    title = self._shown(spec.fields[spec.title_field], record.values.get(spec.title_field))
                    found[parent, target_id] = (title or target_id, record.migration_key)
        return found

    def _compared(
        self,
        name: str,
        declared: FieldSpec,
        record: DrawnRecord,
        found: Sequence[TargetRecord],
        titles: Mapping[tuple[str, str], tuple[str, str | None]],
    ) -> Compared:
        value = record.values.get(name)
        held = [item.values.get(name) for item in found]
        label = declared.label or name
        if declared.references is None:
            texts = [self._shown(declared, text) for text in held]
            return Compared(name, label, self._shown(declared, value), _joined(texts), same=held == [value])
        parents = [titles.get((declared.references, text), (text, None)) if text else (None, None) for text in held]
        wanted = self._parent(declared.references, value)
        return Compared(
            name,
            label,
            wanted[0],
            _joined([title for title, _ in parents]),
            same=[key for _, key in parents] == [wanted[1]],
        )

    def _parent(self, entity: str, golden_key: str | None) -> tuple[str | None, str | None]:
        """Title and migration key of the record that a reference is to lead to."""
        if golden_key is None:
            return None, None
        spec, row = self.context.project.spec.entities[entity], self._rows[entity].get(golden_key, {})
        title = self._shown(spec.fields[spec.title_field], row.get(spec.title_field))
        return title or golden_key, self._keys[entity].get(golden_key)

    def _link(self, entity: str, found: Sequence[TargetRecord]) -> str:
        if not found or not isinstance(self.target, RecordPages):
            return ""
        pages = [self.target.page_of(entity, record.target_id) for record in found]
        return "\n".join(page for page in pages if page)

    # Who is responsible

    def _gather(self, entity: str, values: Iterable[Values]) -> None:
        """Read the records that these refer to, those that they refer to, and so on."""
        values = list(values)
        for name, parent in self.context.project.spec.entities[entity].references.items():
            known = self._rows.setdefault(parent, {})
            keys = sorted({str(row[name]) for row in values if row.get(name)} - known.keys())
            if not keys:
                continue
            known |= {key: {} for key in keys}
            found = {str(row["_golden_key"]): row for row in stage_rows(self.golden[parent], keys)}
            known |= found
            with self.context.journal.transaction() as connection:
                kept = crosswalk.keys(connection, self.context.journal.project_id, parent, keys)
            self._keys.setdefault(parent, {}).update(kept)
            self._gather(parent, found.values())

    def _responsible(self, entity: str, values: Values, seen: frozenset[str] = frozenset()) -> Responsible:
        """Owner and region of a record, its own or those of the records it refers to."""
        spec, said = self.context.project.spec, self.context.project.spec.handouts
        owner, region = values.get(said.owner), values.get(said.region)
        for name, parent in spec.entities[entity].references.items():
            if (key := values.get(name)) and parent not in seen and parent != entity and not (owner and region):
                above = self._responsible(parent, self._rows[parent].get(key, {}), seen | {entity})
                owner, region = owner or above.owner, region or above.region
        return Responsible(owner, region)

    # Legacy rows

    def _legacy(self, entity: str, golden_keys: Sequence[str]) -> Mapping[str, list[LegacyRow]]:
        """By golden key the source rows that the record was made of, its own first."""
        run = self.context.journal.latest_run("cleanse")
        made = run.summary["entities"].get(entity, {}) if run else {}
        stages = self.context.project.workspace.stages
        members = {key: key for key in golden_keys}
        if merges := made.get("merges_file"):
            merged = stage_rows(stages / merges, list(golden_keys), "golden_key")
            members |= {str(row["source_key"]): str(row["golden_key"]) for row in merged}
        found: dict[str, list[LegacyRow]] = {key: [] for key in golden_keys}
        for file in made.get("raw_files", ()):
            for row in stage_rows(stages / file, list(members), "_source_key"):
                found[members[str(row["_source_key"])]].append(self._legacy_row(row))
        return {
            key: sorted(rows, key=lambda row: (row.source_key not in found, row.source_key))
            for key, rows in found.items()
        }

    def _legacy_row(self, row: Mapping[str, str | None]) -> LegacyRow:
        place = self._places[str(row["_source"])]
        cells = {
            name: self._raw_shown(place, name, text)
            for name, text in row.items()
            if text is not None and name not in RESERVED_COLUMNS
        }
        where = f"{row['_file']}{'!' + sheet if (sheet := row.get('_sheet')) else ''}:{row['_line']}"
        return LegacyRow(str(row["_source_key"]), where, cells)

    def _raw_shown(self, place: _Place, column: str, text: str) -> str:
        """A legacy cell as it may leave: personal ones masked, and so those that no mapping speaks for."""
        if self.unmasked:
            return text
        if declared := self._columns.get((place, column)):
            return _mask_raw(declared, text) if declared.personal else text
        return text if (place, column) in self._key_columns else mask_generic(text)

    @cached_property
    def _places(self) -> Mapping[str, _Place]:
        """By source what it reads: several sources may read one sheet, and a column means the same to them alone."""
        specs = self.context.project.spec.entities.values()
        return {source.name: _place_of(source) for spec in specs for source in spec.sources}

    @cached_property
    def _columns(self) -> Mapping[tuple[_Place, str], FieldSpec]:
        """Columns that a mapping reads → the field; where one of several is personal, that one."""
        found: dict[tuple[_Place, str], FieldSpec] = {}
        for (entity, source), mapping in self.context.project.mappings.items():
            fields = self.context.project.spec.entities[entity].fields
            for rule in mapping.fields:
                for column in ((self._places[source], name) for name in rule.columns):
                    if not (column in found and found[column].personal):
                        found[column] = fields[rule.target]
        return found

    @cached_property
    def _key_columns(self) -> frozenset[tuple[_Place, str]]:
        sources = [source for spec in self.context.project.spec.entities.values() for source in spec.sources]
        return frozenset((_place_of(source), column) for source in sources for column in source.row_key)

    def _shown(self, declared: FieldSpec, value: str | None) -> str | None:
        if value is None or self.unmasked or not declared.personal:
            return value
        return masker(declared)(value)


def _place_of(source: SourceSpec) -> _Place:
    return _Place(source.system, source.path, source.query)


def _mask_raw(declared: FieldSpec, text: str) -> str:
    """A cell as it was typed: whatever its field's type makes of it, at most that much may stay."""
    masked = masker(declared)(text)
    return mask_generic(text) if declared.type.value in ("date", "datetime") else mask_text(masked)


def _joined(texts: Sequence[str | None]) -> str | None:
    """What the copies of a record hold; None: nothing, or there is no record."""
    return " | ".join(text or "–" for text in texts) if len(texts) > 1 else next(iter(texts), None)


def _parts(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    yield from (keys[start : start + size] for start in range(0, len(keys), size))
