"""The nightly comparison of a source system with the CRM: reads both whole, and joins them by key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

import duckdb
import pyarrow as pa
from pydantic import Field

from rollout.connectors.base import ChangedRecord, ChangeFeed, Directory, Remover, TargetRecord
from rollout.errors import Fatal, RolloutError, UnsupportedOperation
from rollout.integrate.sync import carried_values
from rollout.journal.carried import Carried
from rollout.model.base import Frozen
from rollout.model.entity import FieldType, TargetField
from rollout.model.masking import mask_generic, mask_text
from rollout.operate.compare import CARRIED, LETTERS, Circumstances, Sides, compare, crm_schema, feed_schema
from rollout.operate.kinds import WRONG, Kind
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.project.spec_around import SyncSpec

_SHOWN = (
    FieldType.INTEGER,
    FieldType.DECIMAL,
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.PICKLIST,
)
"""Types whose values people may see; free text may be personal."""


class Difference(Frozen):
    """One record that is not as it should be; values are masked."""

    source: str
    key: str
    kind: str
    reason: str
    fields: str = ""
    modified_by: str = ""
    source_values: str = ""
    crm_values: str = ""
    changed_at: str = ""


class SourceCheck(Frozen):
    """The comparison of one source with the CRM."""

    source: str = Field(description="The sync's name, or `legacy:` and the entity.")
    compared: int = Field(description="Records on either side.")
    kinds: dict[Kind, int] = Field(description="Records by what was found of them.")
    reasons: dict[str, int] = Field(default_factory=dict, description="`kind/reason` of what is not in order.")
    unreadable: str = Field(default="", description="Why it could not be compared; the figures are then 0.")

    @property
    def wrong(self) -> int:
        """Records that are missing, extra, different or late."""
        return sum(self.kinds.get(kind, 0) for kind in WRONG)


def unread(source: str, error: RolloutError) -> SourceCheck:
    """What there is to say of a source that could not be compared."""
    return SourceCheck(source=source, compared=0, kinds={}, unreadable=mask_text(f"{type(error).__name__}: {error}"))


def check_source(
    context: PhaseContext, connection: duckdb.DuckDBPyConnection, name: str, sync: SyncSpec
) -> tuple[SourceCheck, list[Difference]]:
    """Compare one sync's source with the CRM.

    Raises:
        RolloutError: Either side cannot be read.
    """
    target_name, spec, _ = context.target("operate")
    crm = cast("TargetConnector", context.connector(spec.system))
    schema = crm.describe().entities.get(sync.entity)
    if schema is None:
        raise Fatal(f"the CRM has no entity '{sync.entity}'", where=spec.system)
    fields = [*sync.fields, *sync.references]
    journal = Carried(context.journal.project_id, target_name)
    now = context.clock()
    with context.journal.transaction() as transaction:
        state = journal.sync_state(transaction, name)
        carried = [(key, at) for _, key, at in journal.records(transaction, name)]
        letters = {
            sync.key_prefix + source_id: reason for source_id, reason in journal.open_letters(transaction, name).items()
        }
        customers = journal.ids_by_row_key(transaction, sync.references_entity) if sync.references else {}
    # The CRM first: what the source tells afterwards can only be newer, and then counts as in flight.
    held = [_held(record, fields) for record in _in_crm(crm, sync)]
    told = [_told(record, sync, customers) for record in _whole_feed(context, sync)]
    if sync.forgets:
        told += _remembered({row["key"] for row in told}, held, carried)
    sides = Sides(
        feed=pa.Table.from_pylist(told, schema=feed_schema(fields)),
        crm=pa.Table.from_pylist(held, schema=crm_schema(fields)),
        carried=pa.Table.from_pylist([{"key": key, "changed_at": at} for key, at in carried], schema=CARRIED),
        letters=pa.Table.from_pylist([{"key": k, "reason": r} for k, r in letters.items()], schema=LETTERS),
    )
    known = Circumstances(
        own_login=crm.own_login if isinstance(crm, Directory) else None,
        last_run_at=state.advanced_at,
        now=now,
        late_after=timedelta(seconds=sync.late_after_s),
    )
    kinds, table = compare(connection, sides, fields, known)
    differences = [_difference(name, row, schema) for row in table.to_pylist()]
    return SourceCheck(
        source=name, compared=sum(kinds.values()), kinds=kinds, reasons=reasons(differences)
    ), differences


def reasons(differences: list[Difference]) -> dict[str, int]:
    """How many differences there are of each kind and reason."""
    counted: dict[str, int] = {}
    for difference in differences:
        name = f"{difference.kind}/{difference.reason}" if difference.reason else difference.kind
        counted[name] = counted.get(name, 0) + 1
    return counted


def _whole_feed(context: PhaseContext, sync: SyncSpec) -> Iterator[ChangedRecord]:
    """Everything the source tells, from the beginning."""
    feed = context.connector(sync.system)
    if not isinstance(feed, ChangeFeed):
        raise UnsupportedOperation(f"system '{sync.system}' tells no changes")
    cursor: str | None = None
    while True:
        page = feed.changes(sync.stream, cursor, overlap_s=0, limit=sync.page_rows)
        yield from page.records
        if not page.has_more:
            return
        if page.cursor == cursor:
            raise Fatal(f"system '{sync.system}' promises more of {sync.stream} and does not go on")
        cursor = page.cursor


def _in_crm(crm: TargetConnector, sync: SyncSpec) -> Iterator[TargetRecord]:
    """The CRM's records under the sync's keys."""
    if isinstance(crm, Remover):
        yield from crm.read_by_key_prefix(sync.entity, sync.key_prefix)
        return
    for record in crm.read_all(sync.entity):
        if (record.migration_key or "").startswith(sync.key_prefix):
            yield record


def _held(record: TargetRecord, fields: list[str]) -> dict[str, object]:
    values = {name: record.values.get(name) for name in fields}
    return {"key": record.migration_key, "modified_by": record.modified_by, **values}


def _told(record: ChangedRecord, sync: SyncSpec, customers: Mapping[str, str]) -> dict[str, object]:
    """A record of the source as the CRM should hold it."""
    row: dict[str, object] = {**carried_values(sync, record)}
    unresolved = None
    for target, field in sync.references.items():
        row_key = record.values.get(field)
        row[target] = customers.get(row_key) if row_key is not None else None
        if row_key is not None and row[target] is None:
            unresolved = target
    return {"key": sync.key_prefix + record.source_id, "changed_at": record.changed_at, "unresolved": unresolved} | row


def _remembered(
    told: set[object], held: list[dict[str, object]], carried: Sequence[tuple[str, datetime]]
) -> Iterator[dict[str, object]]:
    """What a source that forgets no longer tells: it was carried, so the CRM should have it, with whatever values."""
    by_key = {row["key"]: row for row in held}
    for key, at in carried:
        if key not in told:
            yield {**by_key.get(key, {}), "key": key, "changed_at": at, "unresolved": None}


def _difference(source: str, row: Mapping[str, object], schema: Mapping[str, TargetField]) -> Difference:
    at = row["changed_at"]
    return Difference(
        source=source,
        key=str(row["key"]),
        kind=str(row["kind"]),
        reason=str(row["reason"]),
        fields=str(row["fields"]),
        modified_by=str(row["modified_by"] or ""),
        source_values=_masked(row["source_values"], schema),
        crm_values=_masked(row["crm_values"], schema),
        changed_at=at.isoformat() if isinstance(at, datetime) else "",
    )


def _masked(values: object, schema: Mapping[str, TargetField]) -> str:
    """Values by field as text, those of free text masked."""
    if not values:
        return ""
    shown = []
    for name, value in json.loads(str(values)).items():
        field = schema.get(name)
        plain = value is None or (field is not None and field.type in _SHOWN)
        shown.append(f"{name}={value if plain else mask_generic(str(value))}")
    return "; ".join(shown)
