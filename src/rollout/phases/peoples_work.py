"""What people created, changed and deleted in the CRM since they were let in, apart from what loads and syncs wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import cast

from rollout.connectors.base import TargetRecord
from rollout.errors import ConfigError
from rollout.journal.carried import Carried
from rollout.journal.decisions import decided
from rollout.journal.legacy_keys import Known, known_records
from rollout.load.merge_base import Base, Fingerprint, stored_mark
from rollout.load.work import record_fingerprint
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.directory import own_login, people
from rollout.project.spec_around import TEST_KEY_PREFIXES

_ROWS = 5_000
LET_IN = ("pilot", "golive")
"""Phases whose go lets users in."""


@dataclass(frozen=True)
class Changed:
    """A record of ours that people changed."""

    record: TargetRecord
    known: Known
    fields: tuple[str, ...]


@dataclass
class PeoplesWork:
    """Of one entity. Records whose times the CRM does not tell count as made since."""

    created: list[TargetRecord] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    gone: list[Known] = field(default_factory=list)
    """Ours, and no longer there: when they went is not known."""
    untimed: int = 0


def let_in_at(context: PhaseContext) -> datetime:
    """When users were first let in. Raises ConfigError if they were not."""
    with context.journal.transaction() as connection:
        taken = decided(connection, context.journal.project_id)
    times = [decision.at for decision in taken if decision.is_go and decision.phase in LET_IN]
    if not times:
        raise ConfigError("nobody was let in yet: there is no go of pilot or go-live", hint="give --since")
    return min(times)


def peoples_work(context: PhaseContext, target_name: str, entity: str, since: datetime) -> PeoplesWork:
    """Read all of an entity and keep what people made of it since.

    Raises:
        Retryable: The target or the database cannot be reached.
    """
    _, _, target = context.target("operate")
    login = own_login(context, target_name)
    journal = Carried(context.journal.project_id, target_name)
    sealer, work = context.journal.ledger_sealer(), PeoplesWork()
    with context.journal.transaction() as transaction:
        known = {row.migration_key: row for row in known_records(transaction, journal.project_id, target_name, entity)}
    missing = set(known)
    fields = tuple(context.project.spec.entities[entity].fields)
    with shown(context.progress, f"read {entity}", target.count(entity), "records") as progress:
        for page in _pages(target.read_all(entity)):
            progress.advance(len(page))
            keys = [record.migration_key for record in page if record.migration_key in known]
            with context.journal.transaction() as transaction:
                bases = journal.bases(transaction, entity, [key for key in keys if key])
            for record in page:
                key = record.migration_key
                missing.discard(key or "")
                if key is not None and key in known:
                    if not _is_before(record.modified_at, since):
                        marks = record_fingerprint(sealer, entity, key)
                        by_people = login is None or record.modified_by != login
                        changed = _changed(record, bases.get(key, {}), marks, fields, by_people=by_people)
                        if changed:
                            work.changed.append(Changed(record, known[key], changed))
                            work.untimed += record.modified_at is None
                elif not (_is_machines(context, key) or _is_before(record.created_at, since)):
                    work.created.append(record)
                    work.untimed += record.created_at is None
    work.gone = [known[key] for key in sorted(missing)]
    return work


def created_elsewhere(
    context: PhaseContext, target_name: str, since: datetime
) -> Iterator[tuple[str, tuple[tuple[str, ...], list[TargetRecord]]]]:
    """Records that people created in the CRM's entities besides ours: entity, its fields and its records, if any."""
    system = context.project.spec.targets[target_name].system
    connector = cast("TargetConnector", context.connector(system))  # in its own names
    logins = people(context, target_name)
    ours = {entity.target_name or name for name, entity in context.project.spec.entities.items()}
    for entity, fields in connector.describe().entities.items():
        if entity in ours:
            continue
        found = [
            record
            for record in connector.read_all(entity)
            if not (_is_machines(context, record.migration_key) or _is_before(record.created_at, since))
            and (not logins or record.modified_by in logins)  # rules of the CRM make records, too
        ]
        if found:
            key_field = connector.capabilities.external_id_field
            yield entity, (tuple(name for name in fields if name != key_field), found)


def _is_before(at: datetime | None, since: datetime) -> bool:
    """Whether it is known to be older."""
    return at is not None and at < since


def _is_machines(context: PhaseContext, migration_key: str | None) -> bool:
    """Whether a sync carried the record, or a check or drill made it."""
    integration = context.project.spec.integration
    prefixes = tuple(sync.key_prefix for sync in integration.syncs.values()) if integration else ()
    return migration_key is not None and migration_key.startswith((*prefixes, *TEST_KEY_PREFIXES))


def _changed(
    record: TargetRecord, base: Base, fingerprint: Fingerprint, fields: Sequence[str], *, by_people: bool
) -> tuple[str, ...]:
    """Fields that no longer hold what the target stored when we wrote them, and those people filled.

    A field that we never wrote, and that holds something, was filled by the CRM itself where nobody changed the record.
    """
    found = []
    for name in fields:
        value = record.values.get(name)
        entry = base.get(name)
        if entry is None:
            if value is not None and by_people:
                found.append(name)
        elif fingerprint(name, value) != stored_mark(entry):
            found.append(name)
    return tuple(found)


def _pages(records: Iterator[TargetRecord]) -> Iterator[list[TargetRecord]]:
    iterator = iter(records)
    while page := list(islice(iterator, _ROWS)):
        yield page


def row_keys(known: Sequence[Known]) -> Mapping[str, str]:
    """By target id the row key that the legacy system knows a record by."""
    return {row.target_id: row.source_key.partition(":")[2] for row in known}
