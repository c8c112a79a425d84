"""Fault drills: systems are interrupted on purpose, and afterwards nothing may be missing or double."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rollout.connectors.base import ChangedRecord, Connector, TargetRecord
from rollout.errors import UnsupportedOperation
from rollout.integrate.arrivals import ORDERS, compare
from rollout.integrate.proxy import FaultProxy
from rollout.integrate.stage import FailedError, NotJudgedError, Outcome, ScriptedFeed, Stage
from rollout.integrate.sync import Feed, SyncFigures
from rollout.integrate.upsert import CrmTarget
from rollout.model.integration import DrillEvent, DrillFigures, Fact
from rollout.project.spec_around import SyncSpec

REFUSED = range(101, 107)
LOST = (range(201, 207), range(207, 213))
"""Numbers of the test orders: those entered while the ERP is gone, and those whose answers the CRM's network loses."""
HEALING_RUNS = 3
"""Runs in which a sync has to be through again once everything works."""
PAGE_ROWS = 200


def erp_refuses(stage: Stage) -> Outcome:
    """While the ERP refuses connections the sync says so and carries nothing; afterwards it makes up for it."""
    name, spec, feed = stage.sync_of(ORDERS)
    drill = _Drill(stage, "erp_refuses", name, spec, feed)
    with _behind_proxy(stage, spec.system) as (proxy, connector):
        proxied: Feed = connector  # type: ignore[assignment]  # of the same class as the sync's own
        drill.enter(REFUSED)
        proxy.refuse()
        drill.note("interrupted")
        if stage.run_sync(name, feed=proxied).stopped is None:
            raise FailedError("not_reported", system=spec.system)
        drill.note("stopped")
        proxy.heal()
        drill.note("healed")
        drill.catch_up(lambda: stage.run_sync(name, feed=proxied))
    return drill.outcome("healed", {})


def answer_lost(stage: Stage) -> Outcome:
    """The CRM stores orders and its answers are lost on the way: none is missing afterwards, none is there twice."""
    name, spec, feed = stage.sync_of(ORDERS)
    drill = _Drill(stage, "answer_lost", name, spec, feed)
    with _behind_proxy(stage, stage.crm_name) as (proxy, connector):
        proxied: CrmTarget = connector  # type: ignore[assignment]  # of the same class as the CRM's own
        # Only calls that write name a field: what the sync then asks the CRM gets through.
        written = f'"{next(iter(spec.fields))}"'.encode()
        for numbers in LOST:
            drill.enter(numbers)
            proxy.lose_answers(1, matching=written)
            stage.run_sync(name, target=proxied)
            drill.note("answer_lost", proxy.counters.lost_answers)
        lost = proxy.counters.lost_answers
        proxy.heal()
        drill.note("healed")
        drill.catch_up(lambda: stage.run_sync(name, target=proxied))
    if lost < len(LOST):
        raise NotJudgedError("no_answer_lost", lost=lost, wanted=len(LOST))
    return drill.outcome("none_lost", {"lost": lost})


class _Drill:
    """One drill's records and timeline."""

    def __init__(self, stage: Stage, scenario: str, sync: str, spec: SyncSpec, feed: ScriptedFeed) -> None:
        self._stage = stage
        self._scenario = scenario
        self._sync = sync
        self._spec = spec
        self._feed = feed
        self._cursor = stage.cursor(sync)
        self._ids: set[str] = set()
        self._begun_s = stage.monotonic_s()

    def note(self, event: str, records: int | None = None) -> None:
        at_s = round(self._stage.monotonic_s() - self._begun_s, 2)
        self._stage.events.append(DrillEvent(scenario=self._scenario, at_s=at_s, event=event, records=records))

    def enter(self, numbers: Sequence[int]) -> None:
        self._ids.update(record.source_id for record in self._stage.enter(self._sync, self._feed, numbers))
        self.note("entered", len(numbers))

    def catch_up(self, run: Callable[[], SyncFigures]) -> None:
        """Run the sync until it gets through."""
        figures = run()
        for _ in range(HEALING_RUNS - 1):
            if figures.stopped is None:
                break
            figures = run()
        if figures.stopped is not None:
            raise FailedError("not_healed", message=figures.stopped)
        self.note("caught_up", figures.created)

    def outcome(self, name: str, facts: dict[str, Fact]) -> Outcome:
        """Compare all test orders of the CRM with all of the ERP's, read anew from both."""
        wanted = {record.source_id: record for record in self._told()}
        prefix = self._spec.key_prefix
        held: list[TargetRecord] = []
        for beginning in sorted({source_id[:-2] for source_id in self._ids}):  # the drill's hundred
            held += self._stage.held(self._spec, beginning)
        by_key: dict[str, list[TargetRecord]] = {}
        for record in held:
            by_key.setdefault(str(record.migration_key).removeprefix(prefix), []).append(record)
        figures = DrillFigures(
            scenario=self._scenario,
            put=len(wanted),
            found=len(held),
            missing=sum(source_id not in by_key for source_id in wanted),
            extra=len(held) - sum(source_id in by_key for source_id in wanted),
            different=sum(
                _differs(self._spec, sent, by_key[source_id][0])
                for source_id, sent in wanted.items()
                if source_id in by_key
            ),
        )
        self._stage.drills.append(figures)
        self.note("compared", figures.found)
        told: dict[str, Fact] = {
            **facts,
            **figures.model_dump(include={"put", "found", "missing", "extra", "different"}),
        }
        if set(wanted) != self._ids:
            raise NotJudgedError("feed_differs", told=len(wanted), wanted=len(self._ids))
        if figures.missing or figures.extra or figures.different:
            raise FailedError("drill_dirty", **told)
        return name, told

    def _told(self) -> Iterator[ChangedRecord]:
        """The drill's orders as the ERP tells them, past the sync and past the proxy."""
        cursor, has_more = self._cursor, True
        while has_more:
            page = self._feed.changes(self._spec.stream, cursor, overlap_s=0, limit=PAGE_ROWS)
            yield from (record for record in page.records if record.source_id in self._ids)
            cursor, has_more = page.cursor, page.has_more


def _differs(spec: SyncSpec, sent: ChangedRecord, record: TargetRecord) -> bool:
    try:
        compare(spec, sent, record)
    except FailedError:
        return True
    return False


@contextmanager
def _behind_proxy(stage: Stage, system: str) -> Iterator[tuple[FaultProxy, object]]:
    """A fault proxy in front of a system, and a connector that speaks through it."""
    address = stage.addresses.get(system)
    if address is None:
        raise NotJudgedError("no_proxy", system=system, message="its options name no base_url")
    try:
        proxy = FaultProxy(address)
    except UnsupportedOperation as error:
        raise NotJudgedError("no_proxy", system=system, message=str(error)) from None
    with proxy:
        connector = stage.connect(system, proxy.url)
        try:
            yield proxy, connector
        finally:
            if isinstance(connector, Connector):
                connector.close()
