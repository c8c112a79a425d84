"""A sync: carries the records of a feed into the CRM, each once, none lost.

The cursor passes a page only when every record of it is in the CRM or a dead letter, so that whatever interrupts a sync
costs nothing but reading that page again. The fields a sync carries belong to the system they come from: what people
change in them in the CRM is put back when the record is next read, and counted as overwritten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import Field

from rollout.connectors.base import ChangedRecord, ChangeFeed, ChangePage, Connector
from rollout.errors import ConfigError, Fatal, LeaseHeld, OutcomeUnknown, Retryable, RowRejected
from rollout.integrate.customers import Customers
from rollout.integrate.upsert import CrmTarget, Fate, Landed, Upsert, Wanted
from rollout.journal.carried import Carried
from rollout.journal.crypto import Sealer, canonical_json
from rollout.journal.leases import Lease
from rollout.journal.store import Journal
from rollout.journal.syncs import CarriedRecord, DeadLetter, Syncs
from rollout.model.base import Frozen
from rollout.model.entity import Values
from rollout.model.masking import mask_text
from rollout.project.spec_around import SyncSpec

MAX_MESSAGE = 300
"""Characters of the CRM's answer that a dead letter keeps."""


class SyncFigures(Frozen):
    """What one run of a sync did. Counts are records, each counted once however often it was read."""

    sync: str
    read: int = Field(default=0, description="Distinct records that the feed told of, those of the overlap included.")
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    overwrote: int = Field(default=0, description="Of the updated, those that somebody had edited in the CRM.")
    stale: int = Field(default=0, description="Read, but older than what was carried already; nothing was changed.")
    late: int = Field(default=0, description="Carried later after their change than the sync allows.")
    dead: int = Field(default=0, description="Records that could not be carried so far, after this run.")
    resolved: int = Field(default=0, description="Dead letters that were carried after all.")
    unknown: int = Field(default=0, description="May or may not be stored; the cursor has not passed them.")
    cursor: str | None = Field(default=None, description="Where the next run goes on.")
    stopped: str | None = Field(
        default=None, description="Why it stopped before the end of the feed; None: it did not."
    )
    seconds: float = 0.0


class Feed(Connector, ChangeFeed, Protocol):
    """A system whose changes can be read."""


def carried_values(spec: SyncSpec, record: ChangedRecord) -> dict[str, str | None]:
    """A record's fields as the CRM should hold them, by the CRM's names; references are not among them.

    Without white space at either end: CRMs trim it, and what was typed in a chat would differ from then on.
    """
    return {name: (record.values.get(told) or "").strip() or None for name, told in spec.fields.items()}


@dataclass(frozen=True)
class SyncScope:
    """What a sync works with."""

    name: str
    spec: SyncSpec
    feed: Feed
    target_name: str
    target: CrmTarget
    journal: Journal
    lease: Lease
    row_sources: Sequence[str]
    """Names of the legacy sources whose row keys the references hold."""
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]


@dataclass
class _Tally:
    """Source ids by what became of them in this run; the last word counts."""

    read: set[str] = field(default_factory=set)
    fates: dict[str, str] = field(default_factory=dict)
    overwrote: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    resolved: int = 0

    def count(self, fate: str) -> int:
        return sum(value == fate for value in self.fates.values())


class Sync:
    """One run of a sync."""

    def __init__(self, scope: SyncScope) -> None:
        self._scope = scope
        self._syncs = Syncs(scope.journal.project_id, scope.target_name)
        self._digest = scope.journal.ledger_sealer().digest
        self._customers = Customers(scope.journal, scope.target_name, scope.spec, scope.row_sources)
        self._upsert = Upsert(scope.target, scope.spec.entity, sleep=scope.sleep, before_call=self._check_lease)
        self._sealer: Sealer | None = None
        self._tally = _Tally()

    def run(self) -> SyncFigures:
        """Try the dead letters again, then carry what the feed tells, until its end or until a system gives up.

        Raises:
            ConfigError: The sync's fields fit neither feed nor CRM.
            LeaseHeld: Another process took over.
        """
        begun_s = time.perf_counter()
        cursor = self._cursor()
        stopped = None
        try:
            self._check_fields()
            self._retry_letters()
            stopped = self._read(cursor)
        except LeaseHeld:
            raise
        except (Retryable, Fatal, OutcomeUnknown, RowRejected) as error:
            stopped = mask_text(str(error))
        with self._scope.journal.transaction() as connection:
            dead = Carried(self._syncs.project_id, self._syncs.target).count_open_letters(connection, self._scope.name)
        tally = self._tally
        return SyncFigures(
            sync=self._scope.name,
            read=len(tally.read),
            **{name: tally.count(name) for name in ("created", "updated", "unchanged", "stale", "unknown")},
            overwrote=len(tally.overwrote),
            late=len(tally.late),
            dead=sum(dead.values()),
            resolved=tally.resolved,
            cursor=self._cursor(),
            stopped=stopped,
            seconds=round(time.perf_counter() - begun_s, 3),
        )

    # Reading

    def _cursor(self) -> str | None:
        with self._scope.journal.transaction() as connection:
            return Carried(self._syncs.project_id, self._syncs.target).sync_state(connection, self._scope.name).cursor

    def _read(self, cursor: str | None) -> str | None:
        """Carry page by page; answers why it stopped, or None at the end of the feed."""
        spec = self._scope.spec
        is_first = cursor is None
        overlap_s = spec.overlap_s
        while True:
            page = self._scope.feed.changes(spec.stream, cursor, overlap_s=overlap_s, limit=spec.page_rows)
            self._tally.read.update(record.source_id for record in page.records)
            self._carry(page.records, count_late=not is_first)
            if unknown := self._tally.count(Fate.UNKNOWN.value):
                return f"the CRM left open whether it stored {unknown} records; the next run looks them up"
            # The first page goes back by the overlap, and may well end where an interrupted run had got to.
            if page.has_more and page.cursor == cursor and not overlap_s:
                raise Fatal(f"the feed '{spec.stream}' does not get on", where=spec.system)
            self._advance(page)
            if not page.has_more:
                return None
            cursor, overlap_s = page.cursor, 0.0

    def _advance(self, page: ChangePage) -> None:
        with self._scope.journal.transaction() as connection:
            self._scope.lease.assert_fence(connection)
            # A sync that fails at every second page gets on a page each time and is not up to date for that.
            got_through_at = None if page.has_more else self._scope.clock()
            self._syncs.advance(connection, self._scope.name, page.cursor, got_through_at)

    def _retry_letters(self) -> None:
        with self._scope.journal.transaction() as connection:
            letters = self._syncs.open_letters(connection, self._scope.name)
        self._carry([self._opened(letter) for letter in letters], count_late=True)

    # Carrying

    def _carry(self, records: Iterable[ChangedRecord], *, count_late: bool) -> None:
        newest: dict[str, ChangedRecord] = {}
        for record in records:
            if record.source_id not in newest or record.changed_at >= newest[record.source_id].changed_at:
                newest[record.source_id] = record
        if not newest:
            return
        known = self._known(list(newest))
        fresh = []
        for source_id, record in newest.items():
            if source_id in known and record.changed_at < known[source_id].changed_at:
                self._tally.fates.setdefault(source_id, "stale")
                self._resolve([source_id])  # what could not be carried then has been overtaken
            else:
                fresh.append(record)
        ids, missing = self._customers.resolve(fresh)
        self._bury([(record, *missing[record.source_id]) for record in fresh if record.source_id in missing])
        by_key = {
            f"{self._scope.spec.key_prefix}{record.source_id}": record
            for record in fresh
            if record.source_id not in missing
        }
        wanted = [Wanted(key, self._values(record, ids)) for key, record in by_key.items()]
        values = {row.migration_key: row.values for row in wanted}
        for batch in self._upsert.batches(wanted):
            self._record(batch, by_key, values, known, count_late=count_late)

    def _record(
        self,
        batch: Sequence[Landed],
        by_key: Mapping[str, ChangedRecord],
        values: Mapping[str, Values],
        known: Mapping[str, CarriedRecord],
        *,
        count_late: bool,
    ) -> None:
        scope, now = self._scope, self._scope.clock()
        carried = []
        for landed in batch:
            record, fate = by_key[landed.migration_key], landed.fate
            if fate is not Fate.REFUSED:
                self._note(record.source_id, fate.value)
            if fate in (Fate.REFUSED, Fate.UNKNOWN):
                continue
            place = (scope.spec.entity, landed.migration_key, landed.target_id)
            digest = self._digest(canonical_json(values[landed.migration_key]))
            carried.append(CarriedRecord(record.source_id, *place, digest, record.changed_at))
            before = landed.before and {name: landed.before.get(name) for name in values[landed.migration_key]}
            old = known.get(record.source_id)
            if fate is Fate.UPDATED and old and before and self._digest(canonical_json(before)) != old.digest:
                self._tally.overwrote.add(record.source_id)
            is_new = fate in (Fate.CREATED, Fate.UPDATED)
            if count_late and is_new and (now - record.changed_at).total_seconds() > scope.spec.late_after_s:
                self._tally.late.add(record.source_id)
        with scope.journal.transaction() as connection:
            scope.lease.assert_fence(connection)
            self._syncs.remember(connection, scope.name, carried, now)
            ids = [row.source_id for row in carried]
            self._tally.resolved += self._syncs.resolve(connection, scope.name, ids, now)
        refused = (landed for landed in batch if landed.fate is Fate.REFUSED)
        self._bury([(by_key[row.migration_key], row.reason_code, row.message) for row in refused])

    def _note(self, source_id: str, fate: str) -> None:
        """What became of a record; read again unchanged in the same run, it keeps what it was before."""
        if fate != Fate.UNCHANGED.value or self._tally.fates.get(source_id) not in ("created", "updated"):
            self._tally.fates[source_id] = fate

    def _values(self, record: ChangedRecord, ids: Mapping[str, str]) -> dict[str, str | None]:
        values = carried_values(self._scope.spec, record)
        for name, told in self._scope.spec.references.items():
            number = record.values.get(told)
            values[name] = ids[number] if number is not None else None
        return values

    def _known(self, source_ids: Sequence[str]) -> dict[str, CarriedRecord]:
        with self._scope.journal.transaction() as connection:
            return self._syncs.known(connection, self._scope.name, source_ids)

    # Dead letters

    def _bury(self, dead: Sequence[tuple[ChangedRecord, str, str]]) -> None:
        if not dead:
            return
        if self._sealer is None:
            self._sealer = self._scope.journal.new_data_key()
        letters = [
            DeadLetter(
                record.source_id,
                reason,
                mask_text(message)[:MAX_MESSAGE],
                self._sealer.key_id,
                self._sealer.seal(dict(record.values), self._place(record.source_id)),
                record.changed_at,
            )
            for record, reason, message in dead
            # In the overlap a letter that was just tried again comes once more: that is no second attempt.
            if self._tally.fates.get(record.source_id) != f"dead {record.changed_at.isoformat()}"
        ]
        for letter in letters:
            self._tally.fates[letter.source_id] = f"dead {letter.changed_at.isoformat()}"
        with self._scope.journal.transaction() as connection:
            self._scope.lease.assert_fence(connection)
            self._syncs.bury(connection, self._scope.name, letters, self._scope.clock())

    def _opened(self, letter: DeadLetter) -> ChangedRecord:
        sealer = self._scope.journal.sealer(letter.key_id)
        return ChangedRecord(
            letter.source_id, letter.changed_at, sealer.open(letter.payload, self._place(letter.source_id))
        )

    def _resolve(self, source_ids: Sequence[str]) -> None:
        with self._scope.journal.transaction() as connection:
            self._tally.resolved += self._syncs.resolve(connection, self._scope.name, source_ids, self._scope.clock())

    def _place(self, source_id: str) -> str:
        return f"dead_letter/{self._scope.target_name}/{self._scope.name}/{source_id}"

    # What must hold before anything is sent

    def _check_lease(self) -> None:
        self._scope.lease.check(call_timeout_s=self._scope.target.capabilities.call_timeout_s)

    def _check_fields(self) -> None:
        """A misspelt field would carry nothing into it, again and again."""
        spec = self._scope.spec
        told = self._scope.feed.describe().entities
        held = self._scope.target.describe().entities
        where = f"integration.syncs.{self._scope.name}"
        if spec.entity not in held:
            raise ConfigError(f"the CRM has no entity '{spec.entity}'", where=where, hint=f"it has: {', '.join(held)}")
        asked = {**spec.fields, **spec.references}
        wrong = [f"'{name}' of the CRM's {spec.entity}" for name in asked if name not in held[spec.entity]]
        stream = told.get(spec.stream, {})
        wrong += [f"'{name}' of the stream {spec.stream}" for name in asked.values() if name not in stream]
        if wrong:
            raise ConfigError(f"there is no field {', no field '.join(wrong)}", where=where, hint="correct its name")
