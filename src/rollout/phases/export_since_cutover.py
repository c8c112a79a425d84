"""`export since-cutover`: what people did in the CRM, in the legacy system's format, to be carried forward there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import Field

from rollout.connectors.base import TargetRecord
from rollout.journal import people
from rollout.journal.legacy_keys import known_records
from rollout.mapping.reverse import Cell
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.phases.legacy_rows import LegacyRows
from rollout.phases.peoples_work import PeoplesWork, created_elsewhere, let_in_at, peoples_work, row_keys
from rollout.report.files import write_list
from rollout.report.legacy_files import LegacyTable, write_legacy_files

PHASE = "export"
PROVISIONAL = "CRM-"
"""Begins the row key that a record created in the CRM goes by until the legacy system has given it one."""
NOT_CARRIED = ("entity", "key", "target_id", "title", "field", "label", "value", "reason")


class ExportedEntity(Frozen):
    """What of one entity was exported."""

    created: int = Field(description="Records that people created.")
    changed: int = Field(description="Records of ours that people changed.")
    gone: int = Field(description="Records of ours that are no longer in the CRM; listed, nothing more.")
    untimed: int = Field(description="Records of which the CRM does not tell when: they count as made since.")
    not_carried: int = Field(description="Values without a place or spelling in the legacy system, each listed.")


class SinceCutoverSummary(Frozen):
    """An export of what people did since they were let in."""

    run_id: str
    target: str
    since: datetime
    folder: str
    files: dict[str, str] = Field(description="Each file in the legacy format, and what is unlike the originals.")
    lists: tuple[str, ...] = Field(description="What is not in the legacy format: values not carried, records gone.")
    entities: dict[str, ExportedEntity]
    others: dict[str, int] = Field(
        description="Records that people created in entities of the CRM which the project does not load, as they are."
    )


def export_since_cutover(
    context: PhaseContext, *, person: str, code: str, reason: str, since: datetime | None = None
) -> SinceCutoverSummary:
    """Write what people created and changed since users were let in, or since a time. Changes nothing in the CRM.

    A changed record is its legacy row with the changed cells in it (of a record that several rows were merged into, the
    row that it is named by); a created one gets a provisional row key, by which its children refer to it. What has no
    place in the legacy format is listed with the CRM's value.

    Raises:
        ApprovalError: Wrong code, or no reason: personal data leave the systems by name only.
        ConfigError: Nobody was let in yet, and no time is given.
        Retryable: The target or the database cannot be reached.
    """
    people.sign(context.journal, person, code, reason)
    target_name, _, _ = context.target("operate")
    since = since or let_in_at(context)
    with context.journal.running(PHASE) as run:
        folder = _folder(context, f"since-cutover-{context.clock():%Y%m%d-%H%M%S}")
        export = _Export(context, target_name, since)
        for entity in context.project.spec.load_order:
            export.add(entity)
        files = write_legacy_files(folder, export.tables)
        lists = [write_list(folder, "not-carried.csv", NOT_CARRIED, export.not_carried)]
        lists.append(write_list(folder, "gone.csv", ("entity", "key", "target_id"), export.gone))
        others = dict(created_elsewhere(context, target_name, since))
        lists += [
            write_list(
                folder,
                f"other-{entity}.csv",
                ("target_id", "created_by", *fields),
                [
                    (row.target_id, row.modified_by or "", *(row.values.get(name) or "" for name in fields))
                    for row in records
                ],
            )
            for entity, (fields, records) in others.items()
        ]
        root = context.project.workspace.root
        summary = SinceCutoverSummary(
            run_id=run.run_id,
            target=target_name,
            since=since,
            folder=str(folder.relative_to(root)),
            files={str(path.relative_to(folder)): remark for path, remark in files},
            lists=tuple(str(path.relative_to(root)) for path in lists),
            entities=export.entities,
            others={entity: len(records) for entity, (_, records) in others.items()},
        )
        run.summary = summary.model_dump(mode="json")
        detail = {"reason": reason, "folder": summary.folder, "since": since.isoformat()}
        context.journal.audit(person, "export.since_cutover", target_name, detail)
    return summary


@dataclass
class _Export:
    """Gathers what is exported, parents first: children refer to the keys that their parents go by."""

    context: PhaseContext
    target_name: str
    since: datetime
    tables: list[LegacyTable] = field(default_factory=list)
    not_carried: list[Sequence[str]] = field(default_factory=list)
    gone: list[Sequence[str]] = field(default_factory=list)
    entities: dict[str, ExportedEntity] = field(default_factory=dict)
    _keys: dict[str, dict[str, str]] = field(default_factory=dict)
    """By entity and target id the row key that the legacy system knows, or is to know, a record by."""

    def add(self, entity: str) -> None:
        """Export an entity."""
        with self.context.journal.transaction() as connection:
            known = known_records(connection, self.context.journal.project_id, self.target_name, entity)
        self._keys[entity] = dict(row_keys(known))
        work = peoples_work(self.context, self.target_name, entity, self.since)
        before = len(self.not_carried)
        rows = LegacyRows.of(self.context, entity)
        for source in rows.sources:
            changed = [item for item in work.changed if item.known.source_key.partition(":")[0] == source.name]
            originals = source.originals([item.known.source_key for item in changed])
            cells = self._cells(entity, rows, source.name, [item.record for item in changed])
            for item, reversed_cells in zip(changed, cells, strict=True):
                given = {name: reversed_cells[name] for name in item.fields}
                key = item.known.source_key.partition(":")[2]
                row = source.changed(originals.get(item.known.source_key), key, given)
                self._note(entity, key, item.record, given)
                source.add(row)
        self._add_created(entity, rows, work)
        self.tables += rows.tables()
        self.gone += [(entity, row.source_key.partition(":")[2], row.target_id) for row in work.gone]
        self.entities[entity] = ExportedEntity(
            created=len(work.created),
            changed=len(work.changed),
            gone=len(work.gone),
            untimed=work.untimed,
            not_carried=len(self.not_carried) - before,
        )

    def _add_created(self, entity: str, rows: LegacyRows, work: PeoplesWork) -> None:
        """Records that people created go to the source that wins over the others."""
        source = rows.leading
        for record, cells in zip(work.created, self._cells(entity, rows, source.name, work.created), strict=True):
            key = source.key_of(cells) or f"{PROVISIONAL}{record.target_id}"
            self._keys[entity][record.target_id] = key
            given = {name: cell for name, cell in cells.items() if record.values.get(name) is not None}
            self._note(entity, key, record, given)
            source.add(source.created(key, given))

    def _cells(
        self, entity: str, rows: LegacyRows, source: str, records: Sequence[TargetRecord]
    ) -> list[dict[str, Cell]]:
        """Each record's cells by field; a reference holds its parent's row key."""
        references = self.context.project.spec.entities[entity].references
        columns = {}
        for name, reverser in rows.reversers(source).items():
            values = [record.values.get(name) for record in records]
            if name in references:
                keys = self._keys.get(references[name], {})
                values = [None if value is None else keys.get(value, f"{PROVISIONAL}{value}") for value in values]
            columns[name] = reverser.cells(values)
        return [{name: cells[at] for name, cells in columns.items()} for at in range(len(records))]

    def _note(self, entity: str, key: str, record: TargetRecord, given: Mapping[str, Cell]) -> None:
        """List the values that have no place in the legacy format, beside the record they are of."""
        spec = self.context.project.spec.entities[entity]
        title = record.values.get(spec.title_field) or ""
        for name, cell in given.items():
            if cell.problem is not None:
                label, value = spec.fields[name].label, record.values.get(name) or ""
                self.not_carried.append((entity, key, record.target_id, title, name, label, value, cell.problem))


def _folder(context: PhaseContext, name: str) -> Path:
    folder = context.project.workspace.reports / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
